//! The queue of sends: which message may go out now, what an acknowledgement or its absence means, when to give up. Pure.
//!
//! Messages are written one at a time and in order: a few are handed over ahead, and when one of them cannot be written those
//! behind it come back untried, before anything else goes out. A few may wait for their acknowledgement together. A message that waits for its next
//! try holds back only messages to the same recipient; one that the store cannot read holds back none, and is never given up.

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
/// Pause before a message that the store could not read is read again, milliseconds; it doubles.
const FIRST_UNREAD_PAUSE_MS: u64 = 5_000;
/// Longest such pause.
const MAX_UNREAD_PAUSE_MS: u64 = 600_000;

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
    /// How often in a row the store could not read it.
    unread: u32,
    stage: Stage,
}

impl Entry {
    fn new(id: String, to: String) -> Self {
        Self { id, to, attempts: 0, unread: 0, stage: Stage::Waiting { from: 0 } }
    }
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
        let entry = |q: Queued| Entry { attempts: q.attempts, ..Entry::new(q.id, q.to) };
        Self { entries: queued.into_iter().map(entry).collect(), stalled: false }
    }

    /// The clock was set by so many milliseconds.
    pub(crate) fn clock_set(&mut self, by: i64) {
        for entry in &mut self.entries {
            match &mut entry.stage {
                Stage::Waiting { from: at } | Stage::Written { since: at } => {
                    *at = at.saturating_add_signed(by);
                }
                Stage::Writing => {}
            }
        }
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
        self.entries.push_back(Entry::new(id, to));
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
                if entry.unread == 0 {
                    held.insert(entry.to.as_str());
                }
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
            Stage::Waiting { from } => Some((entry, from)),
            Stage::Writing | Stage::Written { .. } => None,
        });
        waiting
            .filter(|(entry, _)| match entry.unread {
                0 => seen.insert(entry.to.as_str()),
                // It holds nobody up, but keeps its place behind those that do.
                _ => !seen.contains(entry.to.as_str()),
            })
            .map(|(_, from)| from)
            .min()
    }

    /// The message is on the wire.
    pub(crate) fn written(&mut self, id: &str, now: u64) {
        if let Some(entry) = self.find(id).filter(|entry| entry.stage == Stage::Writing) {
            entry.stage = Stage::Written { since: now };
            entry.unread = 0;
        }
    }

    /// The store cannot read the message: that was no try. It is read again later, less and less often.
    pub(crate) fn unreadable(&mut self, id: &str, now: u64) {
        if let Some(entry) = self.find(id) {
            entry.unread = entry.unread.saturating_add(1);
            entry.stage = Stage::Waiting { from: now + unread_pause(entry.unread) };
        }
    }

    /// Messages that the store cannot read.
    pub(crate) fn count_unreadable(&self) -> usize {
        self.entries.iter().filter(|entry| entry.unread > 0).count()
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
        entry.unread = 0;
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

fn unread_pause(times: u32) -> u64 {
    (FIRST_UNREAD_PAUSE_MS << times.saturating_sub(1).min(20)).min(MAX_UNREAD_PAUSE_MS)
}

fn backoff(attempts: u32) -> u64 {
    (500_u64 << attempts.min(20)).min(MAX_BACKOFF_MS)
}

#[cfg(test)]
mod tests;
