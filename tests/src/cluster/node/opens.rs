//! Who had a volume open, and when: what a test for "at most one" judges by.
//!
//! Comes in: starts and ends of processes, from whoever starts and reaps them. Goes out: intervals.
//! It must not ask the API server: this is what really happened.

use std::sync::Mutex;
use std::time::Instant;

/// A process that had a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// UID of the claim.
    pub claim: String,
    /// UID of the pod.
    pub pod: String,
    /// `namespace/name` of the pod.
    pub name: String,
    /// The node.
    pub node: String,
    /// The process.
    pub pid: u32,
    /// Just before it started.
    pub started: Instant,
    /// Once it was reaped; nothing while it runs.
    pub ended: Option<Instant>,
}

impl Open {
    /// Whether both had the same claim at the same time, for different pods.
    fn overlaps(&self, other: &Self) -> bool {
        let before = |one: &Self, two: &Self| one.ended.is_some_and(|ended| ended <= two.started);
        self.claim == other.claim && self.pod != other.pod && !before(self, other) && !before(other, self)
    }
}

/// All opens of a cluster.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Opens(Mutex<Vec<Open>>);

impl Opens {
    /// Takes the start of a process; gives what [`Opens::ended`] wants.
    pub(super) fn started(&self, open: Open) -> usize {
        let mut all = self.0.lock().unwrap();
        all.push(open);
        all.len() - 1
    }

    /// Takes the end of a process.
    pub(super) fn ended(&self, index: usize, at: Instant) {
        self.0.lock().unwrap()[index].ended = Some(at);
    }

    /// All so far, in the order of their starts.
    pub(in crate::cluster) fn all(&self) -> Vec<Open> {
        self.0.lock().unwrap().clone()
    }
}

/// Pairs of processes of different pods that had the same volume at the same time.
pub fn overlaps(all: &[Open]) -> Vec<(Open, Open)> {
    let pairs =
        all.iter().enumerate().flat_map(|(index, one)| all[index + 1..].iter().map(move |two| (one, two)));
    pairs.filter(|(one, two)| one.overlaps(two)).map(|(one, two)| (one.clone(), two.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn open(base: Instant, claim: &str, pod: &str, started: u64, ended: Option<u64>) -> Open {
        let at = |seconds| base + Duration::from_secs(seconds);
        Open {
            claim: claim.into(),
            pod: pod.into(),
            name: format!("n/{pod}"),
            node: "a".into(),
            pid: 1,
            started: at(started),
            ended: ended.map(at),
        }
    }

    #[test]
    fn only_two_pods_on_one_claim_at_one_time_overlap() {
        let now = Instant::now();
        let all =
            [open(now, "c", "p", 0, Some(5)), open(now, "c", "q", 5, Some(6)), open(now, "d", "r", 0, None)];
        assert_eq!(overlaps(&all), []);
        let all =
            [open(now, "c", "p", 0, Some(5)), open(now, "c", "q", 4, None), open(now, "c", "p", 5, Some(6))];
        let names: Vec<_> = overlaps(&all).into_iter().map(|(one, two)| (one.pod, two.pod)).collect();
        assert_eq!(names, [("p".to_owned(), "q".to_owned()), ("q".to_owned(), "p".to_owned())]);
    }
}
