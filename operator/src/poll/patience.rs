//! When to ask again after a failure, and when silence becomes news. Pure.

use std::time::{Duration, Instant};

/// The times of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a session holds an unchanged status back.
    pub wait: Duration,
    /// Pause after the first failure; it doubles.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// After so long without sense, the session counts as silent. A fresh pod takes its time to start.
    pub silent_after: Duration,
    /// Pause after an answer in which nothing mattered, so that a busy session is not asked at every message.
    pub calm: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(50),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            silent_after: Duration::from_secs(15),
            calm: Duration::from_secs(1),
        }
    }
}

/// How a session has failed to answer so far.
#[derive(Debug)]
pub(super) struct Patience {
    timing: Timing,
    failing_since: Instant,
    failures: u32,
}

impl Patience {
    pub(super) fn new(timing: Timing, now: Instant) -> Self {
        Self { timing, failing_since: now, failures: 0 }
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
    }

    /// It has not. Goes out: whether its silence is news by now, and how long to wait before the next try. `dice`, 0 to 255,
    /// spreads the tries of many sessions.
    pub(super) fn failed(&mut self, now: Instant, dice: u8) -> (bool, Duration) {
        // The time since the last answer, which the connection may have outlived, does not count.
        if self.failures == 0 {
            self.failing_since = now;
        }
        let pause =
            self.timing.first_pause.saturating_mul(1 << self.failures.min(16)).min(self.timing.longest_pause);
        self.failures = self.failures.saturating_add(1);
        let silent = now.saturating_duration_since(self.failing_since) >= self.timing.silent_after;
        (silent, pause * (1_000 - u32::from(dice)) / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_news_after_a_while_and_tries_become_rare() {
        let start = Instant::now();
        let mut patience = Patience::new(Timing::default(), start);
        let mut now = start;
        let mut pauses = Vec::new();
        let mut news_at = None;
        for _ in 0..8 {
            let (silent, pause) = patience.failed(now, 0);
            pauses.push(pause.as_secs());
            if silent && news_at.is_none() {
                news_at = Some(now.duration_since(start).as_secs());
            }
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(news_at, Some(15));
    }

    #[test]
    fn an_answer_makes_patient_again() {
        let start = Instant::now();
        let mut patience = Patience::new(Timing::default(), start);
        patience.failed(start, 0);
        assert!(patience.failed(start + Duration::from_secs(20), 0).0);
        patience.answered();
        let (silent, pause) = patience.failed(start + Duration::from_mins(15), 255);
        assert!(!silent && pause < Duration::from_secs(1) && pause > Duration::from_millis(700));
    }
}
