//! How pods that end again and again are made anew ever more slowly.

use crds::status::RecoveryStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::observe::{Container, Observed, PodSeen};

/// The first wait, seconds; it doubles.
const FIRST: i64 = 10;
/// The longest wait, seconds.
const LONGEST: i64 = 300;
/// A pod that has run so long is well.
const STABLE: SignedDuration = SignedDuration::from_mins(10);

/// What is remembered once this pod has been found ended.
pub fn after_end(seen: &Observed, pod: &PodSeen) -> RecoveryStatus {
    let before = seen.status().and_then(|status| status.recovery.as_ref()).filter(|_| !was_stable(seen, pod));
    let count = before.map_or(0, |before| before.count).saturating_add(1);
    let wait = FIRST.saturating_mul(1_i64 << (count - 1).clamp(0, 10)).min(LONGEST);
    RecoveryStatus {
        count,
        last_reason: reason(pod),
        last_time: Time(seen.now),
        retry_after: Some(Time(later(seen.now, SignedDuration::from_secs(wait)))),
    }
}

/// Why a pod has ended, in one word.
pub fn reason(pod: &PodSeen) -> String {
    let exit = match &pod.container {
        Container::Terminated(exit) => Some(exit),
        Container::Unseen | Container::Waiting { .. } | Container::Running { .. } => pod.last_exit.as_ref(),
    };
    let exit = exit.map(|exit| exit.reason.clone()).filter(|reason| !reason.is_empty());
    let mut word = pod.reason.clone().or(exit).unwrap_or_else(|| format!("{:?}", pod.phase));
    word.truncate(word.floor_char_boundary(64));
    word
}

/// When the pod will have run long enough for what was before to be forgotten.
pub fn forgiven_at(pod: &PodSeen) -> Option<Timestamp> {
    match &pod.container {
        // A kubelet's clock that is behind forgives nothing too early.
        Container::Running { since } => {
            since.map(|since| later(pod.made.map_or(since, |made| made.max(since)), STABLE))
        }
        Container::Unseen | Container::Waiting { .. } | Container::Terminated(_) => None,
    }
}

fn was_stable(seen: &Observed, pod: &PodSeen) -> bool {
    pod.made.is_some_and(|made| pod.has_run() && seen.now.duration_since(made) > STABLE)
}

/// A time that much later.
pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
