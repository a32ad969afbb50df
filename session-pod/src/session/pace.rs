//! How fast a session sends. Pure: the random number comes in.

use session_api::SessionPolicy;

use super::outbox::BURST;

/// Longest pace and jitter that a policy may ask for: ten minutes each.
pub(crate) const MAX_PACE_MS: u64 = 600_000;

/// Time between the start of one send and the start of the next, milliseconds. `roll` is 0 to 999.
pub(crate) fn gap(policy: &SessionPolicy, roll: u32) -> u64 {
    let pace = policy.pace_ms.unwrap_or(0).min(MAX_PACE_MS);
    let jitter = policy.jitter_ms.unwrap_or(0).min(MAX_PACE_MS);
    pace + jitter * u64::from(roll.min(999)) / 999
}

/// How many messages may be handed over ahead: one by one when a pace is asked for.
pub(crate) fn ahead(policy: &SessionPolicy) -> usize {
    let paced = policy.pace_ms.unwrap_or(0) > 0 || policy.jitter_ms.unwrap_or(0) > 0;
    if paced { 1 } else { BURST }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_lies_between_pace_and_pace_plus_jitter() {
        let policy = SessionPolicy { pace_ms: Some(100), jitter_ms: Some(50), ..SessionPolicy::default() };
        assert_eq!(gap(&policy, 0), 100);
        assert_eq!(gap(&policy, 999), 150);
        assert_eq!(gap(&policy, 5_000), 150);
        assert_eq!(gap(&SessionPolicy::default(), 999), 0);
        let mad =
            SessionPolicy { pace_ms: Some(u64::MAX), jitter_ms: Some(u64::MAX), ..SessionPolicy::default() };
        assert_eq!(gap(&mad, 999), 2 * MAX_PACE_MS);
    }
}
