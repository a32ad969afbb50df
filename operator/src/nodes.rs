//! How long nodes have answered without a break, as far as the operator has looked.
//!
//! Comes in: what was read of a node, at every look. Goes out: an [`Answering`]. The time that a node itself gives for its return
//! is only compared with itself: its clock may be wrong, but another time means that it was away in between.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;

use crate::departures::{lasting, whole_second};
use crate::observe::{Answering, NodeSeen};

/// The nodes that had to be looked at, by name. There are no more of them than the cluster has had.
#[derive(Debug, Default)]
pub struct Nodes(Mutex<HashMap<String, Known>>);

#[derive(Debug)]
enum Known {
    Away { said: Timestamp, start: Instant },
    Answers { said: Option<Timestamp>, since: Timestamp, start: Instant, returned: bool },
}

impl Nodes {
    /// The node answers, and says since when it does.
    pub fn answers(&self, name: &str, said: Option<Timestamp>) -> Answering {
        let mut nodes = self.nodes();
        let before = nodes.remove(name);
        let now = match before {
            Some(Known::Answers { said: same, since, start, returned }) if same == said => {
                Known::Answers { said, since, start, returned }
            }
            before => {
                let (since, start) = (whole_second(), Instant::now());
                Known::Answers { said, since, start, returned: before.is_some() }
            }
        };
        let answering = now.told();
        nodes.insert(name.to_owned(), now);
        answering
    }

    /// What else can be seen of a node. One that is away has been so since it was first seen away.
    #[must_use]
    pub fn saw(&self, name: &str, node: NodeSeen) -> NodeSeen {
        match node {
            NodeSeen::NotReady { since, .. } => {
                let mut nodes = self.nodes();
                let start = match nodes.get(name) {
                    Some(Known::Away { said, start }) if *said == since => *start,
                    Some(Known::Away { .. } | Known::Answers { .. }) | None => Instant::now(),
                };
                nodes.insert(name.to_owned(), Known::Away { said: since, start });
                return NodeSeen::NotReady { since, lasted: lasting(since, start).lasted };
            }
            // One that comes again under this name is another machine.
            NodeSeen::Gone => drop(self.nodes().remove(name)),
            NodeSeen::Ready(_) | NodeSeen::OutOfService | NodeSeen::Unknown => {}
        }
        node
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn told(&self) -> Answering {
        match self {
            Self::Answers { since, start, returned, .. } => {
                Answering { lasting: lasting(*since, *start), returned: *returned }
            }
            Self::Away { .. } => {
                Answering { lasting: lasting(whole_second(), Instant::now()), returned: true }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::SignedDuration;

    use super::*;
    use crate::fixtures::ago;

    #[test]
    fn a_node_is_back_when_it_was_seen_away_or_says_another_time() {
        let nodes = Nodes::default();
        let first = nodes.answers("n", Some(ago(900)));
        assert!(!first.returned, "nobody saw it away");
        assert_eq!(nodes.answers("n", Some(ago(900))).lasting.since, first.lasting.since);
        assert!(nodes.answers("n", Some(ago(3))).returned, "it was away for a moment");
        assert!(!nodes.answers("other", Some(ago(3))).returned);
        let away = NodeSeen::NotReady { since: ago(900), lasted: SignedDuration::ZERO };
        assert_eq!(nodes.saw("n", away), away, "whatever another clock says");
        assert!(nodes.answers("n", Some(ago(3))).returned);
        assert_eq!(nodes.saw("n", NodeSeen::Gone), NodeSeen::Gone);
        assert!(!nodes.answers("n", Some(ago(3))).returned, "another machine");
    }
}
