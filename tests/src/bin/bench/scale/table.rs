//! The table: each figure with its goal beside it. A figure that misses its goal says so; a count that has to be exact and is not
//! makes the bench fail.

use std::fmt::Display;
use std::time::Duration;

/// A table that is printed row by row, as figures come in.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A count was not exact.
    wrong: bool,
}

/// What stands above a table.
pub(super) fn title(title: &str) {
    println!("{title}");
}

impl Table {
    /// A figure that has no goal.
    #[expect(clippy::unused_self, reason = "a row belongs to a table")]
    pub(super) fn figure(&self, name: &str, value: impl Display) {
        println!("  {name:<58} {:>18}", value.to_string());
    }

    /// A figure and its goal, which may be missed.
    pub(super) fn goal(&self, name: &str, value: impl Display, (goal, met): (&str, bool)) {
        let missed = if met { "" } else { "  MISSED" };
        self.figure(name, format!("{value:>18}   goal {goal}{missed}"));
    }

    /// A count that has to be exact.
    pub(super) fn exact(&mut self, name: &str, found: usize, wanted: usize) {
        self.wrong |= found != wanted;
        let wrong = if found == wanted { "" } else { "  WRONG" };
        self.figure(name, format!("{:>18}   must be {}{wrong}", thousands(found), thousands(wanted)));
    }

    /// Whether all counts were exact.
    pub(super) fn end(self) -> bool {
        println!();
        !self.wrong
    }
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

pub(super) fn milliseconds(time: Duration) -> String {
    format!("{} ms", thousands(usize::try_from(time.as_millis()).unwrap_or(usize::MAX)))
}

/// From KiB.
pub(super) fn mebibytes(kib: u64) -> String {
    format!("{:.1} MiB", f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1_024.0)
}

/// With commas.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [thousands(0), thousands(999), thousands(1_000), thousands(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(mebibytes(1_536), "1.5 MiB");
        assert_eq!(milliseconds(Duration::from_millis(1_500)), "1,500 ms");
        assert_eq!(seconds(Duration::from_millis(1_540)), "1.5 s");
    }

    #[test]
    fn a_wrong_count_is_remembered_and_a_missed_goal_is_not() {
        let mut table = Table::default();
        table.goal("g", 2, ("≤ 1", false));
        table.exact("e", 1, 1);
        assert!(!table.wrong);
        table.exact("e", 1, 2);
        table.exact("e", 1, 1);
        assert!(!table.end());
    }
}
