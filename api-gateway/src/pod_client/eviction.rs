//! Routes that are not tried for a moment, because the last connection was not answered at all.
//!
//! Comes in: endpoints. Goes out: whether one is held back. So a pod on a lost node costs its callers one wait, not one each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::directory::PodEndpoint;

/// How long a route is held back.
const MOMENT: Duration = Duration::from_secs(5);

/// The routes that are held back, by session and address, and until when.
#[derive(Debug, Clone, Default)]
pub(super) struct Evicted(Arc<Mutex<Until>>);

type Until = HashMap<(String, String), Instant>;

impl Evicted {
    /// Holds a route back.
    pub(super) fn add(&self, pod: &PodEndpoint) {
        let now = Instant::now();
        let mut routes = self.routes();
        routes.retain(|_, until| *until > now);
        routes.insert(key(pod), now + MOMENT);
    }

    /// Whether a route is held back.
    pub(super) fn holds(&self, pod: &PodEndpoint) -> bool {
        let routes = self.routes();
        !routes.is_empty() && routes.get(&key(pod)).is_some_and(|until| *until > Instant::now())
    }

    fn routes(&self) -> MutexGuard<'_, Until> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(pod: &PodEndpoint) -> (String, String) {
    (pod.uid.clone(), pod.address.clone())
}
