//! Processor time: on a machine that does other things as well it says more than the clock.

use std::fmt;

use system_tests::memory::processor_seconds;

/// Processor seconds of each of several processes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Processors(Vec<(&'static str, f64)>);

impl Processors {
    /// So far, of these. Who has ended counts for nothing.
    pub(super) fn of(processes: impl Iterator<Item = (&'static str, u32)>) -> Self {
        Self(processes.map(|(name, id)| (name, processor_seconds(id).unwrap_or_default())).collect())
    }

    /// With those of others.
    #[must_use]
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// What the same processes have had since then.
    #[must_use]
    pub(super) fn since(self, before: &Self) -> Self {
        Self(
            self.0
                .into_iter()
                .zip(&before.0)
                .map(|((name, now), (_, before))| (name, now - before))
                .collect(),
        )
    }

    pub(super) fn sum(&self) -> f64 {
        self.0.iter().map(|(_, seconds)| seconds).sum()
    }
}

impl fmt::Display for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s:", self.sum())?;
        self.0.iter().try_for_each(|(name, seconds)| write!(f, " {name} {seconds:.1}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_add_up() {
        let (before, now) = (Processors(vec![("a", 1.0)]), Processors(vec![("a", 3.5)]));
        let both = now.since(&before).and(Processors(vec![("b", 1.0)]));
        assert_eq!(both.to_string(), "3.5 s: a 2.5 b 1.0");
    }
}
