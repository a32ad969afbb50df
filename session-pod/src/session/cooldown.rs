//! Who was written to lately: the least time between two sends to the same recipient. Pure.
//!
//! Counting begins with the policy that asks for it; what a process has taken before is told to the next by the store.

use std::collections::HashMap;

use session_api::SessionPolicy;

/// Longest cooldown that a policy may ask for: a day.
pub(crate) const MAX_COOLDOWN_MS: u64 = 86_400_000;
/// Recipients that are remembered. Past it, the one whose cooldown ends first is forgotten.
const MAX_RECIPIENTS: usize = 50_000;

/// The cooldown of a policy, milliseconds; none when it asks for none.
pub(crate) fn asked(policy: &SessionPolicy) -> Option<u64> {
    policy.cooldown_ms.filter(|ms| *ms > 0).map(|ms| ms.min(MAX_COOLDOWN_MS))
}

/// When each recipient was last written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cooldowns {
    last: HashMap<String, u64>,
}

impl Cooldowns {
    /// What the store knows: recipients and when a send to them was taken.
    pub(crate) fn load(recent: Vec<(String, u64)>) -> Self {
        Self { last: recent.into_iter().collect() }
    }

    /// Takes a send, or says for how many milliseconds more none is taken.
    ///
    /// # Errors
    /// The recipient's cooldown is not over.
    pub(crate) fn take(&mut self, to: &str, cooldown: u64, now: u64) -> Result<(), u64> {
        let left = |at: u64| (at + cooldown).saturating_sub(now).min(cooldown);
        let wait = self.last.get(to).map_or(0, |at| left(*at));
        if wait > 0 {
            return Err(wait);
        }
        if self.last.len() >= MAX_RECIPIENTS {
            self.last.retain(|_, at| left(*at) > 0);
        }
        if self.last.len() >= MAX_RECIPIENTS
            && let Some(oldest) = self.last.iter().min_by_key(|(_, at)| **at).map(|(to, _)| to.clone())
        {
            self.last.remove(&oldest);
        }
        self.last.insert(to.to_owned(), now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_recipient_waits_and_others_do_not() {
        let mut cooldowns = Cooldowns::load(vec![("a".into(), 1_000)]);
        assert_eq!(cooldowns.take("a", 500, 1_100), Err(400));
        assert_eq!(cooldowns.take("b", 500, 1_100), Ok(()));
        assert_eq!(cooldowns.take("a", 500, 1_500), Ok(()));
        assert_eq!(cooldowns.take("a", 500, 1_999), Err(1), "a refusal prolongs nothing");
        assert_eq!(cooldowns.take("a", 500, 2_000), Ok(()));
        assert_eq!(cooldowns.take("a", 500, 0), Err(500), "a clock that was set back");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let recent = (0..MAX_RECIPIENTS as u64).map(|n| (n.to_string(), 1_000 + n)).collect();
        let mut cooldowns = Cooldowns::load(recent);
        assert_eq!(cooldowns.take("new", 100_000, 60_000), Ok(()));
        assert_eq!(cooldowns.last.len(), MAX_RECIPIENTS);
        assert!(!cooldowns.last.contains_key("0"), "the oldest is forgotten");
        assert_eq!(cooldowns.take("newer", 1_000, 60_000), Ok(()));
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
