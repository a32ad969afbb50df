//! Who was written to lately: the least time between two sends to the same recipient. Pure.
//!
//! Counting begins with the policy that asks for it; what a process has taken before is told to the next by the store.

use std::collections::HashMap;

use session_api::SessionPolicy;

/// Longest cooldown that a policy may ask for: a day.
pub(crate) const MAX_COOLDOWN_MS: u64 = 86_400_000;
/// Recipients that are remembered. Past it, the one whose cooldown ends first is forgotten.
const MAX_RECIPIENTS: usize = 50_000;
/// Sends that can be on their way to the store at a time, and more.
const MAX_UNSTORED: usize = 1_024;

/// The cooldown of a policy, milliseconds; none when it asks for none.
pub(crate) fn asked(policy: &SessionPolicy) -> Option<u64> {
    policy.cooldown_ms.filter(|ms| *ms > 0).map(|ms| ms.min(MAX_COOLDOWN_MS))
}

/// When each recipient was last written to, and with which message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cooldowns {
    last: HashMap<String, Last>,
    /// Sends that are not known to be stored, oldest first, and what they took the place of.
    unstored: Vec<(String, Last, Option<Last>)>,
}

/// The last send to a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Last {
    id: String,
    at: u64,
}

impl Last {
    /// Milliseconds until the next send is taken.
    fn left(&self, cooldown: u64, now: u64) -> u64 {
        (self.at + cooldown).saturating_sub(now)
    }
}

impl Cooldowns {
    /// What the store knows: recipients, when a send to them was last taken, and which. A time in the future (the clock was set
    /// back while no process ran) holds nobody up.
    pub(crate) fn load(recent: Vec<(String, u64, String)>, now: u64) -> Self {
        let past = recent.into_iter().filter(|(_, at, _)| *at <= now);
        Self { last: past.map(|(to, at, id)| (to, Last { id, at })).collect(), unstored: Vec::new() }
    }

    /// The clock was set by so many milliseconds.
    pub(crate) fn clock_set(&mut self, by: i64) {
        let unstored =
            self.unstored.iter_mut().flat_map(|(_, last, before)| std::iter::once(last).chain(before));
        self.last.values_mut().chain(unstored).for_each(|last| last.at = last.at.saturating_add_signed(by));
    }

    /// Takes a send, or says for how many milliseconds more none is taken. The last one itself may be repeated at any time.
    ///
    /// # Errors
    /// The recipient's cooldown is not over.
    pub(crate) fn take(&mut self, to: &str, id: &str, cooldown: u64, now: u64) -> Result<(), u64> {
        match self.last.get(to) {
            Some(last) if last.id == id => return Ok(()),
            Some(last) if last.left(cooldown, now) > 0 => return Err(last.left(cooldown, now)),
            Some(_) | None => {}
        }
        if self.last.len() >= MAX_RECIPIENTS {
            self.last.retain(|_, last| last.left(cooldown, now) > 0);
        }
        if self.last.len() >= MAX_RECIPIENTS
            && let Some(oldest) = self.last.iter().min_by_key(|(_, last)| last.at).map(|(to, _)| to.clone())
        {
            self.last.remove(&oldest);
        }
        let last = Last { id: id.to_owned(), at: now };
        let before = self.last.insert(to.to_owned(), last.clone());
        if self.unstored.len() >= MAX_UNSTORED {
            self.unstored.remove(0);
        }
        self.unstored.push((to.to_owned(), last, before));
        Ok(())
    }

    /// The send is in the store.
    pub(crate) fn stored(&mut self, id: &str) {
        self.unstored.retain(|(_, last, _)| last.id != id);
    }

    /// What was not stored has taken no cooldown.
    pub(crate) fn undo(&mut self) {
        for (to, last, before) in self.unstored.drain(..).rev() {
            if self.last.get(&to) != Some(&last) {
                continue;
            }
            match before {
                Some(before) => self.last.insert(to, before),
                None => self.last.remove(&to),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_recipient_waits_and_others_do_not() {
        let mut cooldowns = Cooldowns::load(vec![("a".into(), 1_000, "1".into())], 1_000);
        assert_eq!(cooldowns.take("a", "2", 500, 1_100), Err(400));
        assert_eq!(cooldowns.take("b", "3", 500, 1_100), Ok(()));
        assert_eq!(cooldowns.take("a", "4", 500, 1_500), Ok(()));
        assert_eq!(cooldowns.take("a", "5", 500, 1_999), Err(1), "a refusal prolongs nothing");
        assert_eq!(cooldowns.take("a", "5", 500, 2_000), Ok(()));
    }

    #[test]
    fn the_last_send_may_be_repeated_and_that_prolongs_nothing() {
        let mut cooldowns = Cooldowns::load(vec![("a".into(), 1_000, "1".into())], 1_000);
        assert_eq!(cooldowns.take("a", "1", 500, 1_100), Ok(()));
        assert_eq!(cooldowns.take("a", "2", 500, 1_499), Err(1));
        assert_eq!(cooldowns.take("a", "2", 500, 1_500), Ok(()));
        assert_eq!(cooldowns.take("a", "2", 500, 1_500), Ok(()), "twice at the same time");
        assert_eq!(cooldowns.take("a", "3", 500, 1_500), Err(500));
    }

    #[test]
    fn a_stored_time_in_the_future_holds_nobody_up() {
        let mut cooldowns = Cooldowns::load(vec![("a".into(), 1_000, "1".into())], 999);
        assert_eq!(cooldowns.take("a", "2", 500, 999), Ok(()), "the clock was set back");
        assert_eq!(cooldowns.take("a", "3", 500, 1_000), Err(499));
    }

    #[test]
    fn a_clock_that_runs_back_a_little_lets_nobody_through() {
        let mut cooldowns = Cooldowns::default();
        assert_eq!(cooldowns.take("a", "1", 500, 1_000), Ok(()));
        assert_eq!(cooldowns.take("a", "2", 500, 900), Err(600), "too little to be told of");
    }

    #[test]
    fn a_clock_that_is_set_moves_what_was_not_stored_too() {
        let mut cooldowns = Cooldowns::load(vec![("a".into(), 10_000, "1".into())], 10_000);
        assert_eq!(cooldowns.take("a", "2", 500, 10_500), Ok(()));
        cooldowns.clock_set(-5_000);
        assert_eq!(cooldowns.take("a", "3", 500, 5_600), Err(400));
        cooldowns.undo();
        assert_eq!(cooldowns.take("a", "3", 700, 5_600), Err(100), "the one before counts again");
    }

    #[test]
    fn what_was_not_stored_takes_no_cooldown() {
        let mut cooldowns = Cooldowns::load(vec![("a".into(), 1_000, "1".into())], 1_000);
        for (to, id) in [("a", "2"), ("b", "3"), ("c", "4")] {
            assert_eq!(cooldowns.take(to, id, 500, 1_500), Ok(()));
        }
        cooldowns.stored("4");
        cooldowns.undo();
        assert_eq!(cooldowns.take("c", "5", 500, 1_600), Err(400), "it was stored");
        assert_eq!(cooldowns.take("b", "5", 500, 1_600), Ok(()));
        assert_eq!(cooldowns.take("a", "5", 700, 1_600), Err(100), "the one before counts again");
        (0..MAX_UNSTORED * 2).for_each(|n| cooldowns.take(&n.to_string(), "x", 500, 1_600).unwrap());
        assert_eq!(cooldowns.unstored.len(), MAX_UNSTORED);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let recent = (0..MAX_RECIPIENTS as u64).map(|n| (n.to_string(), 1_000 + n, n.to_string())).collect();
        let mut cooldowns = Cooldowns::load(recent, 60_000);
        assert_eq!(cooldowns.take("new", "new", 100_000, 60_000), Ok(()));
        assert_eq!(cooldowns.last.len(), MAX_RECIPIENTS);
        assert!(!cooldowns.last.contains_key("0"), "the oldest is forgotten");
        assert_eq!(cooldowns.take("newer", "newer", 1_000, 60_000), Ok(()));
        assert_eq!(cooldowns.last.len(), 2, "what is over is forgotten first");
    }

    #[test]
    fn a_policy_without_one_has_none() {
        let asks = |cooldown_ms| asked(&SessionPolicy { cooldown_ms, ..SessionPolicy::default() });
        assert_eq!(
            [None, Some(0), Some(5), Some(u64::MAX)].map(asks),
            [None, None, Some(5), Some(MAX_COOLDOWN_MS)]
        );
    }
}
