//! How long nodes have answered without a break, as far as the operator has looked.
//!
//! Comes in: what was read of a node, at every look. Goes out: an [`Answering`]. The time that a node itself gives for its return
//! is only compared with itself: its clock may be wrong, but another time means that it was away in between. And one look serves
//! all sessions that ask for the same node: those of a lost node all do. That a node is lost may let a session give its process
//! up, so it is told only to those who had asked before that look began: the node may be back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

use crate::call::CallError;
use crate::departures::{lasting, whole_second};
use crate::observe::{Answering, NodeSeen};

/// How long a node that looked well is told to those who come later. Shorter than what a kubelet is given to find a pod that it
/// should not have: a node that looked well so long ago was well when the wait for a pod's departure began.
const SERVES_FOR: Duration = Duration::from_secs(5);
/// The least time from one look to the next: for others to ask for the same.
const PAUSE: Duration = Duration::from_millis(100);
/// What nobody has looked at for so long is forgotten: no session waits for that node.
const KEPT: Duration = Duration::from_hours(1);

/// The nodes that had to be looked at lately, by name.
#[derive(Debug, Default)]
pub struct Nodes {
    known: Mutex<HashMap<String, (Known, Instant)>>,
    looks: Mutex<HashMap<String, Arc<LastLook>>>,
}

#[derive(Debug)]
enum Known {
    Away { said: Timestamp, start: Instant },
    Answers { said: Option<Timestamp>, since: Timestamp, start: Instant, returned: bool },
}

/// The look at a node that was over last. Locked while the next one is under way.
type LastLook = tokio::sync::Mutex<Option<Look>>;

#[derive(Debug)]
struct Look {
    begun: Instant,
    answer: Result<NodeSeen, CallError>,
}

impl Nodes {
    /// What `look` says, unless somebody else has begun to look at this node since this was asked, or has found it well a moment
    /// before. There is one look at a time and a pause between two, so all who ask meanwhile share the next.
    ///
    /// # Errors
    /// The look failed.
    pub async fn once(
        &self,
        name: &str,
        look: impl Future<Output = Result<NodeSeen, CallError>>,
    ) -> Result<NodeSeen, CallError> {
        let asked = Instant::now();
        let last_look = self.last_look(name, asked);
        let mut last = last_look.lock().await;
        if let Some(last) = &*last {
            if last.serves(asked, Instant::now()) {
                return last.answer.clone();
            }
            tokio::time::sleep(last.pause(Instant::now())).await;
        }
        let begun = Instant::now();
        let answer = look.await;
        last.insert(Look { begun, answer }).answer.clone()
    }

    fn last_look(&self, name: &str, now: Instant) -> Arc<LastLook> {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, last| {
            let is_recent = |last: &Option<Look>| last.as_ref().is_some_and(|last| last.is_recent(now));
            Arc::strong_count(last) > 1 || last.try_lock().is_ok_and(|last| is_recent(&last))
        });
        Arc::clone(looks.entry(name.to_owned()).or_default())
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

    /// How many are remembered.
    pub fn count(&self) -> usize {
        self.known().len()
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
    /// Whether it serves who asked then and has waited until now.
    fn serves(&self, asked: Instant, now: Instant) -> bool {
        let is_harmless = matches!(self.answer, Ok(NodeSeen::Ready(_) | NodeSeen::Unknown));
        asked < self.begun || (is_harmless && self.is_recent(now))
    }

    /// How long the next one has to wait.
    fn pause(&self, now: Instant) -> Duration {
        PAUSE.saturating_sub(now.saturating_duration_since(self.begun))
    }

    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) < SERVES_FOR
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
    use crate::fixtures::{ago, answering, silent};

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

    /// Asks for the node; each look counts, and takes until others have asked.
    async fn ask(
        (nodes, looks): &(Nodes, AtomicUsize),
        answer: Result<NodeSeen, CallError>,
    ) -> Result<NodeSeen, CallError> {
        let look = async {
            tokio::task::yield_now().await;
            looks.fetch_add(1, Ordering::Relaxed);
            answer
        };
        nodes.once("n", look).await
    }

    #[tokio::test]
    async fn sessions_of_one_node_share_a_look() {
        let counted = &<(Nodes, AtomicUsize)>::default();
        let look = || ask(counted, Ok(answering(5, false)));
        let (one, other) = tokio::join!(look(), look());
        assert_eq!((one.unwrap(), other.unwrap()), (answering(5, false), answering(5, false)));
        look().await.unwrap();
        assert_eq!(counted.1.load(Ordering::Relaxed), 1);
        let later = Instant::now() + SERVES_FOR;
        assert!(counted.0.last_look("n", later).try_lock().unwrap().is_none(), "it is looked anew");
        assert_eq!(counted.0.looks.lock().unwrap().len(), 1, "and the old look is gone");
    }

    #[tokio::test]
    async fn that_a_node_was_lost_before_a_session_asked_is_nothing_to_it() {
        for lost in [silent(300), NodeSeen::Gone, NodeSeen::OutOfService] {
            let counted = &<(Nodes, AtomicUsize)>::default();
            let back = || ask(counted, Ok(answering(0, true)));
            let (first, second) = tokio::join!(ask(counted, Ok(lost)), back());
            assert_eq!((first.unwrap(), second.unwrap()), (lost, answering(0, true)), "it was under way");
            let counted = &<(Nodes, AtomicUsize)>::default();
            let start = Instant::now();
            ask(counted, Ok(lost)).await.unwrap();
            let later = ask(counted, Ok(answering(0, true))).await;
            assert_eq!(later.unwrap(), answering(0, true), "it was over");
            assert!(start.elapsed() >= PAUSE, "others had time to ask");
        }
    }

    #[tokio::test]
    async fn a_thousand_sessions_of_a_lost_node_need_two_looks() {
        let counted = &<(Nodes, AtomicUsize)>::default();
        let all = (0..1_000).map(|_| ask(counted, Ok(NodeSeen::Gone)));
        let answers = futures_util::future::join_all(all).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(NodeSeen::Gone))));
        assert_eq!(counted.1.load(Ordering::Relaxed), 2, "the first, and one for all who came during it");
    }

    #[test]
    fn sessions_that_ask_one_after_another_do_not_each_cause_a_look() {
        let begun = Instant::now();
        let last = Look { begun, answer: Ok(NodeSeen::Gone) };
        assert_eq!(last.pause(begun + PAUSE / 4), PAUSE * 3 / 4);
        assert_eq!(last.pause(begun + PAUSE * 2), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_failed_look_serves_only_those_who_asked_before_it() {
        let counted = &<(Nodes, AtomicUsize)>::default();
        let fails = || ask(counted, Err(CallError::Late));
        let (one, other, third) = tokio::join!(fails(), fails(), fails());
        assert!(one.is_err() && other.is_err() && third.is_err());
        assert_eq!(counted.1.load(Ordering::Relaxed), 2);
        assert_eq!(ask(counted, Ok(NodeSeen::Gone)).await.unwrap(), NodeSeen::Gone);
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
