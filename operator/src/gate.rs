//! Read your own writes: a session is looked at again only once the watches show what was last written for it.
//!
//! Comes in: what the API server answered to a write. Goes out: whether the caches have come that far. A watch that does not
//! tell in time is not waited for: names, UIDs and resource versions keep a stale decision from doing harm.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::observe::SessionKey;

/// How long a watch is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which cache has to show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The resource itself.
    Session,
    /// Its pod.
    Pod,
    /// Its claim.
    Claim,
    /// Its Secret.
    Secret,
    /// Its `NetworkPolicy`.
    NetworkPolicy,
}

/// What a cache has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Everything up to this resource version.
    Version(u64),
    /// That the object of this name and UID is deleted, or being deleted.
    Deleted {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
}

/// One thing that is waited for, and since when.
type Waiting = (Kind, Expected, Instant);

/// What is waited for, by session.
#[derive(Debug, Default)]
pub struct Gate {
    waiting: Mutex<HashMap<SessionKey, Vec<Waiting>>>,
}

impl Gate {
    /// The cache of this kind has to show this first.
    pub fn expect(&self, key: &SessionKey, kind: Kind, expected: Expected, now: Instant) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(key.clone()).or_default().push((kind, expected, now));
    }

    /// Whether everything is shown. `shows` answers for one cache.
    pub fn is_open(&self, key: &SessionKey, now: Instant, shows: impl Fn(Kind, &Expected) -> bool) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(all) = waiting.get_mut(key) else { return true };
        all.retain(|(kind, expected, since)| {
            now.duration_since(*since) < PATIENCE && !shows(*kind, expected)
        });
        let open = all.is_empty();
        if open {
            waiting.remove(key);
        }
        open
    }

    /// For how many sessions something is waited for.
    pub fn len(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session is gone.
    pub fn forget(&self, key: &SessionKey) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_when_all_caches_show_it_or_when_time_is_up() {
        let (gate, start) = (Gate::default(), Instant::now());
        let key = SessionKey::new("a", "x");
        assert!(gate.is_open(&key, start, |_, _| false));
        gate.expect(&key, Kind::Pod, Expected::Version(7), start);
        gate.expect(&key, Kind::Claim, Expected::Version(6), start);
        let at = |version: u64| move |_: Kind, expected: &Expected| *expected <= Expected::Version(version);
        assert!(!gate.is_open(&key, start, at(5)));
        assert!(!gate.is_open(&key, start, at(6)));
        assert!(gate.is_open(&key, start, at(7)));
        gate.expect(&key, Kind::Pod, Expected::Version(9), start);
        assert!(gate.is_open(&key, start + PATIENCE, at(0)));
    }

    impl PartialOrd for Expected {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            match (self, other) {
                (Self::Version(a), Self::Version(b)) => a.partial_cmp(b),
                _ => None,
            }
        }
    }
}
