//! The machine's clock is set while the session runs: what is awaited comes when it would have come all the same. Pure.
//!
//! Deadlines are Unix times, as they are shown to people, and so are the times that cooldowns are counted from. So they move with the clock, whichever way it is set.

use super::State;

/// By how little the clocks may differ without anything being moved, milliseconds.
const LEAST: u64 = 1_000;

/// How far Unix time is ahead of a time that nobody can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lead(i64);

impl Lead {
    /// From both times, milliseconds.
    pub(crate) fn of(unix: u64, steady: u64) -> Self {
        Self(unix.wrapping_sub(steady).cast_signed())
    }

    /// By how much Unix time was set since this was last told, milliseconds; none if it was not.
    pub(crate) fn moved(&mut self, unix: u64, steady: u64) -> Option<i64> {
        let now = Self::of(unix, steady);
        let by = now.0.wrapping_sub(self.0);
        (by.unsigned_abs() >= LEAST).then(|| {
            *self = now;
            by
        })
    }
}

impl State {
    /// The same state by a clock that was set.
    pub(crate) fn clock_set(mut self, by: i64) -> Self {
        for at in [&mut self.start_at, &mut self.send_at].into_iter().chain(&mut self.stop_at) {
            *at = at.saturating_add_signed(by);
        }
        self.outbox.clock_set(by);
        self.cooldowns.clock_set(by);
        self.codes.clock_set(by);
        self
    }
}
