//! What a creation of many sessions has cost, and how two of them compare. Pure.

use std::fmt;
use std::time::Duration;

use super::processors::Processors;
use super::table::seconds;

/// What it took until all pods were ready (with the operator: the processors, until all sessions were).
pub(super) struct Creation {
    pub(super) time: Duration,
    pub(super) processors: Processors,
}

/// Seconds by the clock, and of the processors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) clock: f64,
    pub(super) processors: f64,
}

impl Creation {
    pub(super) fn cost(&self) -> Cost {
        Cost { clock: self.time.as_secs_f64(), processors: self.processors.sum() }
    }
}

impl Cost {
    pub(super) fn midpoint(self, other: Self) -> Self {
        self.each(other, f64::midpoint)
    }

    /// Its shares of another one.
    pub(super) fn over(self, other: Self) -> Self {
        self.each(other, |one, other| one / other)
    }

    fn each(self, other: Self, of: impl Fn(f64, f64) -> f64) -> Self {
        Self { clock: of(self.clock, other.clock), processors: of(self.processors, other.processors) }
    }
}

impl fmt::Display for Creation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&seconds(self.time))
    }
}
