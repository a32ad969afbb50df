//! When a changed status is written: at once, or a little later if it only tells of something that passes by itself.
//!
//! Comes in: the status that was written last and the one that holds now. Goes out: whether to write it now, later, or not at
//! all. A session that starts is in half a dozen states within a second or two, and each write is work for the API server and
//! for all who watch. What somebody waits for, and what a later operator goes by, is never put off. What is remembered
//! here may be forgotten: every look compares anew, and who was forgotten waits anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crds::conditions::{self, reason};
use crds::status::WhatsAppSessionStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::observe::SessionKey;
use crate::status::differs;

/// How long a status that differs in passing only is not written, when few wait.
const WAIT: Duration = Duration::from_secs(2);
/// How much longer for each that waits already: they come one after another. Of up to six hundred passing states ten are written
/// a second, and most of them never, because they have passed. A write costs the API server as much as three creations.
const EACH: Duration = Duration::from_millis(100);
/// The longest that anything waits.
const LONGEST: Duration = Duration::from_mins(1);
/// How often it is looked whether the crowd is gone.
const LOOK: Duration = Duration::from_secs(10);

/// Reasons that pass by themselves in the course of things.
const PASSING: [&str; 9] = [
    reason::AS_EXPECTED,
    reason::RUNNING,
    reason::STARTING,
    reason::RECONNECTING,
    reason::POD_MISSING,
    reason::POD_TERMINATING,
    reason::CONTAINER_NOT_READY,
    reason::STORAGE_PENDING,
    reason::UNKNOWN,
];

/// When a status is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It says nothing new.
    Never,
    /// At once.
    Now,
    /// When it still holds after so long.
    In(Duration),
}

/// What is written later, by session.
#[derive(Debug, Default)]
pub struct Deferrals(Mutex<HashMap<SessionKey, Deferral>>);

#[derive(Debug)]
struct Deferral {
    /// Of the session of this UID.
    uid: String,
    /// Since when what was written differs from what holds.
    since: Instant,
    /// Its turn, if as many as now go on waiting.
    turn: Instant,
}

impl Deferrals {
    /// When the status of the session of this UID is written. `pressing`: it is not to be put off, whatever it says.
    pub fn when(
        &self,
        (key, uid): (&SessionKey, &str),
        (before, status): (Option<&WhatsAppSessionStatus>, &WhatsAppSessionStatus),
        pressing: bool,
        now: Instant,
    ) -> When {
        if !differs(before, status) {
            self.forget(key);
            return When::Never;
        }
        let left = self.due(key, uid, now).saturating_duration_since(now);
        if left.is_zero() || pressing || !may_wait(before, status) {
            return When::Now;
        }
        When::In(left.min(LOOK))
    }

    /// It was written, or never will be: the session is gone, or cannot be read.
    pub fn forget(&self, key: &SessionKey) {
        self.all().remove(key);
    }

    /// How many statuses wait.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each has its turn, and nobody is put off by who comes later. When few are left they do not wait for turns that nobody takes.
    fn due(&self, key: &SessionKey, uid: &str, now: Instant) -> Instant {
        let mut all = self.all();
        let wait = EACH.saturating_mul(u32::try_from(all.len()).unwrap_or(u32::MAX));
        let deferral = all.entry(key.clone()).or_insert_with(|| Deferral::new(uid, now, wait));
        if deferral.uid != uid {
            *deferral = Deferral::new(uid, now, wait);
        }
        if wait <= WAIT { deferral.since + WAIT } else { deferral.turn }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SessionKey, Deferral>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deferral {
    fn new(uid: &str, now: Instant, wait: Duration) -> Self {
        Self { uid: uid.to_owned(), since: now, turn: now + wait.clamp(WAIT, LONGEST) }
    }
}

/// Whether a reason passes by itself in the course of things.
pub fn passes(reason: &str) -> bool {
    PASSING.contains(&reason)
}

/// Whether this status may follow the one before it a little later: the session was not Ready and is not, for passing reasons
/// alone; the spec is the same; and nothing has changed that is read from here again.
fn may_wait(before: Option<&WhatsAppSessionStatus>, now: &WhatsAppSessionStatus) -> bool {
    let nothing = WhatsAppSessionStatus::default();
    let before = before.unwrap_or(&nothing);
    let same_spec = before.observed_generation.is_none_or(|seen| now.observed_generation == Some(seen));
    let passing = now.conditions.iter().all(|condition| {
        let was = find(before, &condition.type_);
        let same =
            was.is_some_and(|was| (&was.status, &was.reason) == (&condition.status, &condition.reason));
        same || (passes(&condition.reason) && was.is_none_or(|was| passes(&was.reason)))
    });
    let holds = |status, kind| find(status, kind).is_some_and(|condition| condition.status == "True");
    let unready = !holds(before, conditions::READY) && !holds(now, conditions::READY);
    let same_link = holds(before, conditions::PAIRED) == holds(now, conditions::PAIRED);
    same_spec && passing && unready && same_link && !teaches(before, now)
}

/// Whether there is something new to be remembered: what the next decision, or another operator, would lack.
fn teaches(before: &WhatsAppSessionStatus, now: &WhatsAppSessionStatus) -> bool {
    let opened = |status: &WhatsAppSessionStatus| (status.account.clone(), status.writer_epoch);
    // Volume and pod matter once a process has opened the volume, which is heard of at once.
    let place = |status: &WhatsAppSessionStatus| {
        let storage = status.storage.clone();
        let claim = storage.map(|storage| (storage.claim_name, storage.claim_uid, storage.reset_token));
        let pod = status.pod.clone().map(|pod| (pod.name, pod.uid, pod.node, pod.outdated));
        Some((claim, pod)).filter(|_| opened(status) != (None, None))
    };
    opened(before) != opened(now) || place(before) != place(now) || before.recovery != now.recovery
}

fn find<'s>(status: &'s WhatsAppSessionStatus, kind: &str) -> Option<&'s Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests;
