//! Writes that nobody waits for: they go along with the next commit, at the latest after a moment. Pure: the time comes in.

use std::time::{Duration, Instant};

use crate::store::Write;

/// How long a record waits for a commit that takes it along.
const DELAY: Duration = Duration::from_millis(5);
/// Records that wait at most.
const MOST: usize = 256;
/// Records that are kept while the store takes none: more than the queue is long.
const MOST_KEPT: usize = 16_384;

/// The writes, oldest first.
#[derive(Debug, Default)]
pub(super) struct Records {
    writes: Vec<Write>,
    due: Option<Instant>,
}

impl Records {
    /// One more.
    pub(super) fn add(&mut self, write: Write, now: Instant) {
        self.due.get_or_insert(now + DELAY);
        self.writes.push(write);
    }

    /// When they are to be committed at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether they are to be committed now.
    pub(super) fn are_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now || self.writes.len() >= MOST)
    }

    /// These could not be committed: they come first again, and wait for the next commit, whenever that is. Says how many of the
    /// newest found no room.
    pub(super) fn put_back(&mut self, mut writes: Vec<Write>) -> usize {
        self.due = None;
        writes.append(&mut self.writes);
        let lost = writes.len().saturating_sub(MOST_KEPT);
        writes.truncate(MOST_KEPT);
        self.writes = writes;
        lost
    }

    /// Takes them, to be committed.
    pub(super) fn take(&mut self) -> Vec<Write> {
        self.due = None;
        std::mem::take(&mut self.writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(id: usize) -> Write {
        Write::Acked { id: id.to_string() }
    }

    #[test]
    fn the_first_one_says_when_all_are_due() {
        let (mut records, start) = (Records::default(), Instant::now());
        assert!(records.due().is_none() && !records.are_due(start + DELAY * 9));
        records.add(write(1), start);
        records.add(write(2), start + DELAY / 2);
        assert!(!records.are_due(start + DELAY / 2));
        assert!(records.are_due(start + DELAY));
        assert_eq!(records.take(), [write(1), write(2)]);
        assert!(records.due().is_none() && records.take().is_empty());
    }

    #[test]
    fn what_could_not_be_committed_comes_first_and_asks_for_no_commit() {
        let (mut records, now) = (Records::default(), Instant::now());
        records.add(write(3), now);
        assert_eq!(records.put_back((0..MOST).map(write).collect()), 0);
        assert!(
            records.due().is_none() && !records.are_due(now + DELAY),
            "a store that fails is not pressed"
        );
        records.add(write(4), now);
        assert!(records.are_due(now), "something new is a reason to try");
        let all = records.take();
        assert_eq!((&all[..2], &all[MOST..]), (&[write(0), write(1)][..], &[write(3), write(4)][..]));
        assert_eq!(records.put_back((0..MOST_KEPT + 2).map(write).collect()), 2);
        assert_eq!(records.take().len(), MOST_KEPT);
    }

    #[test]
    fn many_do_not_wait() {
        let (mut records, now) = (Records::default(), Instant::now());
        (0..MOST).for_each(|id| records.add(write(id), now));
        assert!(records.are_due(now));
    }
}
