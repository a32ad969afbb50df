//! How long nodes have answered without a break, as far as the operator has looked.
//!
//! Comes in: what was read of a node, at every look. Goes out: an [`Answering`]. The time that a node itself gives for its return
//! is only compared with itself: its clock may be wrong, but another time means that it was away in between. And one look serves
//! all sessions that ask for the same node: those of a lost node all do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::call::CallError;
use crate::departures::{lasting, whole_second};
use crate::observe::{Answering, NodeSeen};

/// How long a look serves others. Shorter than what a kubelet is given to find a pod that it should not have: a node that looked
/// well so long ago was well when the wait for a pod's departure began.
const SERVES_FOR: Duration = Duration::from_secs(5);
/// What nobody has looked at for so long is forgotten: no session waits for that node.
const KEPT: Duration = Duration::from_hours(1);

/// The nodes that had to be looked at lately, by name.
#[derive(Debug, Default)]
pub struct Nodes {
    known: Mutex<HashMap<String, (Known, Instant)>>,
    looks: Mutex<HashMap<String, Arc<Look>>>,
}

#[derive(Debug)]
enum Known {
    Away { said: Timestamp, start: Instant },
    Answers { said: Option<Timestamp>, since: Timestamp, start: Instant, returned: bool },
}

/// One look at a node.
#[derive(Debug)]
struct Look {
    begun: Instant,
    answer: OnceCell<Result<NodeSeen, CallError>>,
}

impl Nodes {
    /// What `look` says, unless somebody else looks at this node now or has done so a moment ago: then it is not looked again.
    /// A failure is told to those who wait for the same look, and to nobody else.
    ///
    /// # Errors
    /// The look failed.
    pub async fn once(
        &self,
        name: &str,
        look: impl Future<Output = Result<NodeSeen, CallError>>,
    ) -> Result<NodeSeen, CallError> {
        let shared = self.look_at(name, Instant::now());
        shared.answer.get_or_init(|| look).await.clone()
    }

    fn look_at(&self, name: &str, now: Instant) -> Arc<Look> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, look| look.serves(now));
        let new = || Arc::new(Look { begun: now, answer: OnceCell::new() });
        Arc::clone(looks.entry(name.to_owned()).or_insert_with(new))
    }

    /// The node answers, and says since when it does.
    pub fn answers(&self, name: &str, said: Option<Timestamp>) -> Answering {
        let mut known = self.known();
        let before = known.remove(name).map(|(before, _)| before);
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
        note(&mut known, name, now, Instant::now());
        answering
    }

    /// What else can be seen of a node. One that is away has been so since it was first seen away.
    #[must_use]
    pub fn saw(&self, name: &str, node: NodeSeen) -> NodeSeen {
        match node {
            NodeSeen::NotReady { since, .. } => {
                let mut known = self.known();
                let start = match known.get(name) {
                    Some((Known::Away { said, start }, _)) if *said == since => *start,
                    Some((Known::Away { .. } | Known::Answers { .. }, _)) | None => Instant::now(),
                };
                note(&mut known, name, Known::Away { said: since, start }, Instant::now());
                return NodeSeen::NotReady { since, lasted: lasting(since, start).lasted };
            }
            // One that comes again under this name is another machine.
            NodeSeen::Gone => drop(self.known().remove(name)),
            NodeSeen::Ready(_) | NodeSeen::OutOfService | NodeSeen::Unknown => {}
        }
        node
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Known, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(known: &mut HashMap<String, (Known, Instant)>, name: &str, node: Known, now: Instant) {
    known.retain(|_, (_, looked)| now.saturating_duration_since(*looked) < KEPT);
    known.insert(name.to_owned(), (node, now));
}

impl Look {
    /// Whether it serves whoever comes now: it is under way, or has not been over for long.
    fn serves(self: &Arc<Self>, now: Instant) -> bool {
        match self.answer.get() {
            None => Arc::strong_count(self) > 1,
            Some(Ok(_)) => now.saturating_duration_since(self.begun) < SERVES_FOR,
            Some(Err(_)) => false,
        }
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use k8s_openapi::jiff::SignedDuration;

    use super::*;
    use crate::fixtures::{ago, answering};

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

    #[test]
    fn a_node_that_nobody_looks_at_is_forgotten() {
        let nodes = Nodes::default();
        for name in ["waited-for", "scaled-away"] {
            nodes.answers(name, None);
        }
        let node = || Known::Away { said: ago(1), start: Instant::now() };
        note(&mut nodes.known(), "waited-for", node(), Instant::now() + KEPT / 2);
        note(&mut nodes.known(), "waited-for", node(), Instant::now() + KEPT);
        assert_eq!(nodes.known().keys().collect::<Vec<_>>(), ["waited-for"]);
    }

    #[tokio::test]
    async fn sessions_of_one_node_share_a_look() {
        let (nodes, looks) = (Nodes::default(), AtomicUsize::new(0));
        let look = || {
            nodes.once("n", async {
                tokio::task::yield_now().await;
                looks.fetch_add(1, Ordering::Relaxed);
                Ok(answering(5, false))
            })
        };
        let (one, other) = tokio::join!(look(), look());
        assert_eq!((one.unwrap(), other.unwrap()), (answering(5, false), answering(5, false)));
        look().await.unwrap();
        assert_eq!(looks.load(Ordering::Relaxed), 1);
        let later = Instant::now() + SERVES_FOR;
        assert!(nodes.look_at("n", later).answer.get().is_none(), "it is looked anew");
        assert_eq!(nodes.looks.lock().unwrap().len(), 1, "and the old look is gone");
    }

    #[tokio::test]
    async fn a_failed_look_serves_only_those_who_wait_for_it() {
        let nodes = Nodes::default();
        let fails = || async {
            tokio::task::yield_now().await;
            Err(CallError::Late)
        };
        let (one, other) =
            tokio::join!(nodes.once("n", fails()), nodes.once("n", async { panic!("it is under way") }));
        assert!(one.is_err() && other.is_err());
        assert_eq!(nodes.once("n", async { Ok(NodeSeen::Gone) }).await.unwrap(), NodeSeen::Gone);
    }

    #[tokio::test]
    async fn a_look_that_its_asker_gave_up_is_taken_over() {
        let nodes = Nodes::default();
        {
            let mut given_up = Box::pin(nodes.once("n", std::future::pending()));
            assert!(futures_util::poll!(&mut given_up).is_pending());
        }
        assert_eq!(nodes.once("n", async { Ok(NodeSeen::Gone) }).await.unwrap(), NodeSeen::Gone);
    }
}
