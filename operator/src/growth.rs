//! Larger volumes that the API server refuses: asked for again ever more rarely, as nothing tells when its class allows them.
//!
//! Comes in: refusals. Goes out: the refusal that holds until the next try. Another size, or another claim, is tried at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::observe::SessionKey;

/// The first wait; it doubles.
const FIRST: Duration = Duration::from_mins(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_hours(1);

/// What was asked for: the claim's UID and the size.
pub type Wish = (String, String);

/// What was refused, by session.
#[derive(Debug, Default)]
pub struct Growth(Mutex<HashMap<SessionKey, Refusal>>);

#[derive(Debug)]
struct Refusal {
    wish: Wish,
    count: u32,
    until: Instant,
    told: (&'static str, String),
}

impl Growth {
    /// The refusal of this wish that holds now: reason and words.
    pub fn holds(&self, key: &SessionKey, wish: &Wish, now: Instant) -> Option<(&'static str, String)> {
        let refusals = self.refusals();
        let refusal = refusals.get(key).filter(|refusal| refusal.wish == *wish && now < refusal.until)?;
        Some(refusal.told.clone())
    }

    /// The wish was refused, once more.
    pub fn refused(&self, key: &SessionKey, wish: Wish, told: (&'static str, String), now: Instant) {
        let mut refusals = self.refusals();
        let before =
            refusals.get(key).filter(|refusal| refusal.wish == wish).map_or(0, |before| before.count);
        let wait = FIRST.saturating_mul(1 << before.min(16)).min(LONGEST);
        refusals
            .insert(key.clone(), Refusal { wish, count: before.saturating_add(1), until: now + wait, told });
    }

    /// When the next try is due.
    pub fn due(&self, key: &SessionKey, now: Instant) -> Option<Duration> {
        self.refusals().get(key).map(|refusal| refusal.until.saturating_duration_since(now))
    }

    /// It was granted, or the session is gone.
    pub fn forget(&self, key: &SessionKey) {
        self.refusals().remove(key);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.refusals().len()
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<SessionKey, Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_tried_ever_more_rarely_and_another_wish_at_once() {
        let (growth, mut now) = (Growth::default(), Instant::now());
        let key = SessionKey::new("shop", "toko");
        let wish = |size: &str| ("c-1".to_owned(), size.to_owned());
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(growth.holds(&key, &wish("2Gi"), now), None);
            growth.refused(&key, wish("2Gi"), ("ResizeFailed", "no".to_owned()), now);
            assert_eq!(growth.holds(&key, &wish("2Gi"), now), Some(("ResizeFailed", "no".to_owned())));
            assert_eq!(growth.holds(&key, &wish("3Gi"), now), None);
            let wait = growth.due(&key, now).unwrap();
            waits.push(wait.as_secs() / 60);
            now += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        growth.refused(&key, wish("3Gi"), ("ResizeFailed", "no".to_owned()), now);
        assert_eq!(growth.due(&key, now), Some(FIRST));
        growth.forget(&key);
        assert_eq!(growth.due(&key, now), None);
    }
}
