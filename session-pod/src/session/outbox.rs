//! The queue of sends: which message may go out now, what an acknowledgement or its absence means, when to give up. Pure.
//!
//! Messages are written one at a time and in order: a few are handed over ahead, and when one of them cannot be written those
//! behind it come back untried, before anything else goes out. A few may wait for their acknowledgement together. A message that waits for its next
//! try holds back only messages to the same recipient.

use std::collections::{HashSet, VecDeque};

use crate::store::Queued;

/// Messages that may wait for WhatsApp's acknowledgement at a time.
const WINDOW: usize = 16;
/// Messages that are handed over together when no pace is asked for.
pub(crate) const BURST: usize = 8;
/// How long WhatsApp may take to acknowledge, milliseconds.
const ACK_TIMEOUT_MS: u64 = 20_000;
/// Failed tries after which a message is given up.
pub(crate) const MAX_ATTEMPTS: u32 = 8;
/// Longest pause between two tries, milliseconds.
const MAX_BACKOFF_MS: u64 = 60_000;

/// The queue, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    /// One could not be written: nothing goes out until those behind it have come back.
    stalled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: String,
    to: String,
    attempts: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// May go out from then on.
    Waiting { from: u64 },
    /// Is being encrypted and written.
    Writing,
    /// Is on the wire since then.
    Written { since: u64 },
}

/// What a failed try leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another try follows; so many have failed.
    Again {
        /// Which message.
        id: String,
        /// Failed tries.
        attempts: u32,
    },
    /// That was the last try.
    GiveUp {
        /// Which message.
        id: String,
    },
}

impl Outbox {
    /// The queue that the store holds.
    pub(crate) fn load(queued: Vec<Queued>) -> Self {
        let entry =
            |q: Queued| Entry { id: q.id, to: q.to, attempts: q.attempts, stage: Stage::Waiting { from: 0 } };
        Self { entries: queued.into_iter().map(entry).collect(), stalled: false }
    }

    /// Messages that WhatsApp has not acknowledged.
    pub(crate) fn depth(&self) -> usize {
        self.entries.len()
    }

    /// A message was stored. One that is in the queue already stays where it is.
    pub(crate) fn push(&mut self, id: String, to: String) {
        if self.holds(&id) {
            return;
        }
        self.entries.push_back(Entry { id, to, attempts: 0, stage: Stage::Waiting { from: 0 } });
    }

    /// Whether the message is in the queue.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| entry.id == id)
    }

    /// Takes the messages that may go out now, in the order in which they are to be written, so that at most so many are
    /// being written.
    pub(crate) fn start(&mut self, most: usize, now: u64) -> Vec<String> {
        let room = self.room(most);
        self.stalled &= self.is_writing();
        let places: Vec<usize> = self.ready(now).take(room).collect();
        let start = |place: usize| {
            let entry = self.entries.get_mut(place)?;
            entry.stage = Stage::Writing;
            Some(entry.id.clone())
        };
        places.into_iter().filter_map(start).collect()
    }

    /// Whether messages are being written.
    pub(crate) fn is_writing(&self) -> bool {
        self.entries.iter().any(|entry| entry.stage == Stage::Writing)
    }

    /// How many messages may be started so that at most `most` are being written.
    fn room(&self, most: usize) -> usize {
        let (mut writing, mut written) = (0, 0);
        for entry in &self.entries {
            match entry.stage {
                Stage::Writing => writing += 1,
                Stage::Written { .. } => written += 1,
                Stage::Waiting { .. } => {}
            }
        }
        if self.stalled && writing > 0 {
            return 0;
        }
        most.saturating_sub(writing).min(WINDOW.saturating_sub(writing + written))
    }

    /// Places of the messages that nothing holds back, oldest first.
    fn ready(&self, now: u64) -> impl Iterator<Item = usize> {
        let mut held = HashSet::new();
        self.entries.iter().enumerate().filter_map(move |(place, entry)| match entry.stage {
            Stage::Waiting { from } if from > now => {
                held.insert(entry.to.as_str());
                None
            }
            Stage::Waiting { .. } => (!held.contains(entry.to.as_str())).then_some(place),
            Stage::Writing | Stage::Written { .. } => None,
        })
    }

    /// When the first message that only its pause holds back may go out.
    fn next_try(&self) -> Option<u64> {
        let mut seen = HashSet::new();
        let waiting = self.entries.iter().filter_map(|entry| match entry.stage {
            Stage::Waiting { from } => Some((entry.to.as_str(), from)),
            Stage::Writing | Stage::Written { .. } => None,
        });
        waiting.filter(|(to, _)| seen.insert(*to)).map(|(_, from)| from).min()
    }

    /// The message is on the wire.
    pub(crate) fn written(&mut self, id: &str, now: u64) {
        if let Some(entry) = self.find(id).filter(|entry| entry.stage == Stage::Writing) {
            entry.stage = Stage::Written { since: now };
        }
    }

    /// The message is settled. Says whether it was waiting.
    pub(crate) fn settle(&mut self, id: &str) -> bool {
        let place = self.entries.iter().position(|entry| entry.id == id);
        place.and_then(|place| self.entries.remove(place)).is_some()
    }

    /// Everything is settled.
    pub(crate) fn clear(&mut self) -> Vec<String> {
        self.entries.drain(..).map(|entry| entry.id).collect()
    }

    /// The connection went before the message was written: that was no try.
    pub(crate) fn put_back(&mut self, id: &str) {
        self.stalled = true;
        if let Some(entry) = self.find(id) {
            entry.stage = Stage::Waiting { from: 0 };
        }
    }

    /// The connection is new: what was not acknowledged goes out again, with the same id.
    pub(crate) fn put_all_back(&mut self) {
        self.stalled = false;
        for entry in &mut self.entries {
            if matches!(entry.stage, Stage::Written { .. } | Stage::Writing) {
                entry.stage = Stage::Waiting { from: 0 };
            }
        }
    }

    /// A try failed.
    pub(crate) fn failed(&mut self, id: &str, now: u64) -> Option<Verdict> {
        self.stalled |= self.find(id)?.stage == Stage::Writing;
        let entry = self.find(id)?;
        entry.attempts += 1;
        let attempts = entry.attempts;
        if attempts >= MAX_ATTEMPTS {
            self.settle(id);
            return Some(Verdict::GiveUp { id: id.to_owned() });
        }
        entry.stage = Stage::Waiting { from: now + backoff(attempts) };
        Some(Verdict::Again { id: id.to_owned(), attempts })
    }

    /// Messages whose acknowledgement is overdue: each is a failed try.
    pub(crate) fn expire(&mut self, now: u64) -> Vec<Verdict> {
        let overdue =
            |e: &&Entry| matches!(e.stage, Stage::Written { since } if since + ACK_TIMEOUT_MS <= now);
        let ids: Vec<String> = self.entries.iter().filter(overdue).map(|e| e.id.clone()).collect();
        ids.iter().filter_map(|id| self.failed(id, now)).collect()
    }

    /// When something is to be done next, if at most so many are to be written at a time.
    pub(crate) fn wake_at(&self, most: usize, now: u64) -> Option<u64> {
        let next = if self.room(most) > 0 { self.next_try() } else { None };
        if next.is_some_and(|at| at <= now) {
            return Some(now);
        }
        let overdue = self.entries.iter().filter_map(|entry| match entry.stage {
            Stage::Written { since } => Some(since + ACK_TIMEOUT_MS),
            Stage::Waiting { .. } | Stage::Writing => None,
        });
        overdue.chain(next).min()
    }

    /// Whether anything is on the way or could go out right now.
    pub(crate) fn is_busy(&self, now: u64) -> bool {
        self.entries.iter().any(|entry| match entry.stage {
            Stage::Waiting { from } => from <= now,
            Stage::Writing | Stage::Written { .. } => true,
        })
    }

    fn find(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }
}

fn backoff(attempts: u32) -> u64 {
    (500_u64 << attempts.min(20)).min(MAX_BACKOFF_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&str; 0] = [];

    fn outbox(messages: &[(&str, &str)]) -> Outbox {
        let queued = |(id, to): &(&str, &str)| Queued { id: (*id).into(), to: (*to).into(), attempts: 0 };
        Outbox::load(messages.iter().map(queued).collect())
    }

    #[test]
    fn one_is_written_at_a_time_and_in_order() {
        let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "b")]);
        assert_eq!(outbox.start(1, 0).first().map(String::as_str), Some("1"));
        assert_eq!(outbox.start(1, 0), NONE, "the first is still being written");
        outbox.written("1", 10);
        assert_eq!(
            outbox.start(1, 10).first().map(String::as_str),
            Some("2"),
            "its acknowledgement is not waited for"
        );
        outbox.written("2", 11);
        assert!(outbox.settle("1"));
        assert!(!outbox.settle("1"));
        assert_eq!(outbox.start(1, 12).first().map(String::as_str), Some("3"));
    }

    #[test]
    fn a_few_are_handed_over_together_and_come_back_in_order() {
        let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "b"), ("4", "a")]);
        assert_eq!(outbox.start(3, 0), ["1", "2", "3"]);
        assert_eq!(outbox.start(3, 0), NONE, "these are still being written");
        // The second cannot be written; the third comes back untried.
        outbox.written("1", 5);
        outbox.failed("2", 5);
        assert_eq!(outbox.start(3, 5), NONE);
        outbox.put_back("3");
        assert_eq!(outbox.start(3, 5), ["3"], "the fourth goes to who waits for the second");
        outbox.written("3", 6);
        assert_eq!(outbox.start(3, 1_005), ["2", "4"]);
    }

    #[test]
    fn the_next_ones_are_handed_over_while_the_first_are_being_written() {
        let mut outbox = outbox(&[("1", "a"), ("2", "b")]);
        assert_eq!(outbox.start(3, 0), ["1", "2"]);
        outbox.push("3".into(), "b".into());
        outbox.push("4".into(), "a".into());
        assert_eq!(outbox.wake_at(3, 0), Some(0));
        assert_eq!(outbox.start(3, 0), ["3"], "three at a time");
        assert!(outbox.is_writing());
        // The first cannot be written: those behind it come back before anything else goes out.
        outbox.failed("1", 0);
        outbox.push("5".into(), "b".into());
        assert_eq!((outbox.start(3, 0), outbox.wake_at(3, 0)), (Vec::new(), None));
        outbox.put_back("2");
        assert_eq!(outbox.start(3, 0), NONE, "the third is still to come");
        outbox.put_back("3");
        assert_eq!(outbox.start(3, 0), ["2", "3", "5"]);
        outbox.written("2", 0);
        assert_eq!(outbox.start(3, 1_000), ["1"], "nothing is held any more");
    }

    #[test]
    fn only_so_many_wait_for_an_acknowledgement() {
        let ids: Vec<String> = (0..=WINDOW).map(|n| n.to_string()).collect();
        let messages: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
        let mut outbox = outbox(&messages);
        for _ in 0..WINDOW {
            let id = outbox.start(1, 0).remove(0);
            outbox.written(&id, 0);
        }
        assert_eq!(outbox.start(1, 0), NONE);
        outbox.settle("5");
        assert_eq!(outbox.start(1, 0).first().map(String::as_str), Some(WINDOW.to_string().as_str()));
    }

    #[test]
    fn a_retry_holds_back_its_recipient_only() {
        let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "b")]);
        outbox.start(1, 0);
        assert_eq!(outbox.failed("1", 0), Some(Verdict::Again { id: "1".into(), attempts: 1 }));
        assert_eq!(outbox.start(1, 0).first().map(String::as_str), Some("3"));
        outbox.written("3", 0);
        outbox.settle("3");
        assert_eq!(outbox.start(1, 999), NONE);
        assert_eq!(outbox.wake_at(1, 0), Some(1_000));
        assert_eq!(outbox.start(1, 1_000).first().map(String::as_str), Some("1"));
        outbox.written("1", 1_000);
        assert_eq!(outbox.start(1, 1_000).first().map(String::as_str), Some("2"));
    }

    #[test]
    fn silence_is_a_failed_try_and_tries_are_bounded() {
        let mut outbox = outbox(&[("1", "a")]);
        let mut now = 0;
        for attempt in 1..MAX_ATTEMPTS {
            assert_eq!(outbox.start(1, now).first().map(String::as_str), Some("1"), "attempt {attempt}");
            outbox.written("1", now);
            assert_eq!(outbox.expire(now + ACK_TIMEOUT_MS - 1), []);
            now = outbox.wake_at(1, now).unwrap();
            assert_eq!(outbox.expire(now), [Verdict::Again { id: "1".into(), attempts: attempt }]);
            now = outbox.wake_at(1, now).unwrap();
        }
        outbox.start(1, now);
        outbox.written("1", now);
        assert_eq!(outbox.expire(now + ACK_TIMEOUT_MS), [Verdict::GiveUp { id: "1".into() }]);
        assert_eq!(outbox.depth(), 0);
    }

    #[test]
    fn a_new_connection_sends_the_unacknowledged_again_in_order() {
        let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "a")]);
        for now in 0..2 {
            let id = outbox.start(1, now).remove(0);
            outbox.written(&id, now);
        }
        outbox.put_all_back();
        assert_eq!(outbox.start(1, 5).first().map(String::as_str), Some("1"));
        outbox.put_back("1");
        assert_eq!(
            outbox.start(1, 5).first().map(String::as_str),
            Some("1"),
            "a lost connection is no failed try"
        );
        outbox.written("1", 5);
        assert_eq!(outbox.start(1, 5).first().map(String::as_str), Some("2"));
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        assert_eq!([1, 2, 3, 7, 30].map(backoff), [1_000, 2_000, 4_000, 60_000, 60_000]);
    }
}
