//! Which of the gateway's sources of truth can be relied on: each watch has a line on the board.
//!
//! Comes in: what each watch experiences. Goes out: a [`Standing`] for probes and people, a figure per watch for metrics.
//! The words on it name kinds and namespaces, never a session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::now_ms;

/// Whether what the gateway knows can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is complete and current.
    Current,
    /// It was complete; a source does not answer, or says something that cannot be used: what was last known is served.
    Stale {
        /// Since when, Unix milliseconds.
        since: u64,
        /// What is wrong and what to do.
        why: String,
    },
    /// It has not been complete yet.
    NotReady {
        /// What is missing and what to do.
        why: String,
    },
}

#[derive(Debug)]
struct State {
    source: &'static str,
    known: bool,
    trouble: Option<(u64, String)>,
}

/// All lines.
#[derive(Debug, Default)]
pub struct Board(Mutex<Vec<State>>);

/// One source's line.
#[derive(Debug, Clone)]
pub struct Line {
    board: Arc<Board>,
    at: usize,
}

impl Board {
    /// A line for a source (`sessions`, `pods`, …) that nothing is known of yet. Several lines may have one name.
    pub fn line(self: &Arc<Self>, source: &'static str) -> Line {
        let mut lines = self.lines();
        lines.push(State { source, known: false, trouble: None });
        Line { board: Arc::clone(self), at: lines.len() - 1 }
    }

    /// All sources together.
    pub fn standing(&self) -> Standing {
        let lines = self.lines();
        let waits = |line: &State| match &line.trouble {
            Some((_, why)) => why.clone(),
            None => format!("{} are being read", line.source.replace('_', " ")),
        };
        if let Some(line) = lines.iter().find(|line| !line.known) {
            return Standing::NotReady { why: waits(line) };
        }
        let oldest = lines.iter().filter_map(|line| line.trouble.clone()).min();
        oldest.map_or(Standing::Current, |(since, why)| Standing::Stale { since, why })
    }

    /// Each source, and whether all of its lines are known and without trouble.
    pub fn sources(&self) -> Vec<(&'static str, bool)> {
        let mut sources: Vec<(&'static str, bool)> = Vec::new();
        for line in self.lines().iter() {
            let good = line.known && line.trouble.is_none();
            match sources.iter_mut().find(|(source, _)| *source == line.source) {
                Some((_, all)) => *all &= good,
                None => sources.push((line.source, good)),
            }
        }
        sources
    }

    fn lines(&self) -> MutexGuard<'_, Vec<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// The source is known and can be relied on.
    pub fn up(&self) {
        let mut lines = self.board.lines();
        let line = &mut lines[self.at];
        line.known = true;
        if line.trouble.take().is_some() {
            tracing::info!(source = line.source, "a source is current again");
        }
    }

    /// The source does not answer, or what it says cannot be used. What is known of it stays; the beginning of the trouble too.
    pub fn down(&self, why: impl Into<String>) {
        let (mut lines, why) = (self.board.lines(), why.into());
        let line = &mut lines[self.at];
        let since = match &line.trouble {
            Some((_, before)) if *before == why => return,
            Some((since, _)) => *since,
            None => now_ms(),
        };
        tracing::warn!(source = line.source, known = line.known, %why, "a source is not current");
        line.trouble = Some((since, why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_once_every_source_is_known_and_stale_when_one_falls_silent() {
        let board = Arc::new(Board::default());
        assert_eq!(board.standing(), Standing::Current, "nothing to wait for");
        let (sessions, pods) = (board.line("sessions"), board.line("pods"));
        sessions.up();
        assert_eq!(board.standing(), Standing::NotReady { why: "pods are being read".to_owned() });
        pods.down("no");
        assert_eq!(board.standing(), Standing::NotReady { why: "no".to_owned() });
        pods.up();
        assert_eq!(board.standing(), Standing::Current);
        sessions.down("away");
        sessions.down("still away");
        assert!(
            matches!(board.standing(), Standing::Stale { since, why } if why == "still away" && since > 0)
        );
        assert_eq!(board.sources(), [("sessions", false), ("pods", true)]);
        sessions.up();
        assert_eq!(board.standing(), Standing::Current);
    }

    #[test]
    fn a_source_in_several_namespaces_is_one() {
        let board = Arc::new(Board::default());
        let (one, two) = (board.line("pods"), board.line("pods"));
        one.up();
        assert_eq!(board.sources(), [("pods", false)]);
        two.up();
        assert_eq!(board.sources(), [("pods", true)]);
    }
}
