//! What to do with the Lease, from what was seen of it and when by the own clock. Pure.
//!
//! Whether a holder still lives is judged by local observation alone: its record has not changed for the lease's duration
//! while this process was looking. The times in the record are the holder's clock and are never compared with anything.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

/// A foreign record is never waited for longer than this, whatever it says.
const MAX_DURATION: Duration = Duration::from_mins(10);

/// What candidates agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Namespace of the lease.
    pub namespace: String,
    /// Name of the lease.
    pub name: String,
    /// Who this process is. No other process may ever have the same, not even its own successor.
    pub identity: String,
    /// How long others wait for a holder that does not renew.
    pub duration: Duration,
    /// A holder that could not renew for so long has lost. Less than `duration`: it stops before anybody else begins.
    pub renew_deadline: Duration,
    /// Time between two tries. Less than `renew_deadline`.
    pub retry: Duration,
}

/// The times do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "lease times must be: retry < renew deadline < duration, and retry at least a second; these are {retry:?}, {renew_deadline:?}, {duration:?}"
)]
pub struct InvalidTimes {
    retry: Duration,
    renew_deadline: Duration,
    duration: Duration,
}

impl Settings {
    /// Checks the times.
    pub fn check(&self) -> Result<(), InvalidTimes> {
        let Self { retry, renew_deadline, duration, .. } = *self;
        let fits = Duration::from_secs(1) <= retry && retry < renew_deadline && renew_deadline < duration;
        if fits { Ok(()) } else { Err(InvalidTimes { retry, renew_deadline, duration }) }
    }
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the lease.
    Create(Box<Lease>),
    /// Replace the lease, on condition that it is still the version that was seen.
    Replace(Box<Lease>),
    /// Look again later.
    Wait,
    /// Leadership is over.
    Lost(Loss),
}

/// Why leadership is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The lease could not be renewed in time.
    #[error("the lease could not be renewed for {0:?}")]
    Overdue(Duration),
    /// Another process holds it.
    #[error("the lease is held by {0}")]
    Taken(String),
}

/// One candidate's view of the election.
#[derive(Debug)]
pub struct Elector {
    settings: Settings,
    seen: Option<Lease>,
    /// When what is seen was first seen so.
    unchanged_since: Instant,
    /// When the last write that made this process the holder was sent.
    renewed: Option<Instant>,
}

impl Elector {
    /// A candidate that has seen nothing yet.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self { settings, seen: None, unchanged_since: now, renewed: None }
    }

    /// The lease was read; None: there is none.
    pub fn saw(&mut self, lease: Option<Lease>, now: Instant) {
        let spec = |lease: &Option<Lease>| lease.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        if spec(&self.seen) != spec(&lease) {
            self.unchanged_since = now;
        }
        self.seen = lease;
    }

    /// A write that was sent then has made this process the holder.
    pub fn wrote(&mut self, lease: Lease, sent: Instant) {
        self.seen = Some(lease);
        self.unchanged_since = sent;
        self.renewed = Some(sent);
    }

    /// Until when this process leads, if it is not renewed. None: it does not.
    pub fn leads_until(&self) -> Option<Instant> {
        self.renewed.map(|renewed| renewed + self.settings.renew_deadline)
    }

    /// What is to be done now. `wall` only goes into the record, for people.
    pub fn next(&self, now: Instant, wall: Timestamp) -> Step {
        let holder = self.holder();
        if let Some(renewed) = self.renewed {
            let silence = now.saturating_duration_since(renewed);
            if silence >= self.settings.renew_deadline {
                return Step::Lost(Loss::Overdue(silence));
            }
            if let Some(other) = holder.filter(|holder| *holder != self.settings.identity) {
                return Step::Lost(Loss::Taken(other.to_owned()));
            }
        }
        match &self.seen {
            None => Step::Create(Box::new(self.record(None, wall))),
            Some(lease) if self.may_take(now) => Step::Replace(Box::new(self.record(Some(lease), wall))),
            Some(_) => Step::Wait,
        }
    }

    /// The record without a holder, so that others need not wait. None: this process does not hold it.
    pub fn release(&self, wall: Timestamp) -> Option<Lease> {
        let mut lease = self.seen.clone().filter(|_| self.renewed.is_some())?;
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(wall));
        Some(lease)
    }

    fn holder(&self) -> Option<&str> {
        let spec = self.seen.as_ref()?.spec.as_ref()?;
        spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// Nobody holds it, or this process does, or its holder has been silent for the whole duration.
    fn may_take(&self, now: Instant) -> bool {
        let Some(holder) = self.holder() else { return true };
        // It was not known to be written, and was: the answer got lost. Nobody else has this identity.
        holder == self.settings.identity
            || now.saturating_duration_since(self.unchanged_since) >= self.patience()
    }

    /// The longer of the own duration and the one that the holder goes by.
    fn patience(&self) -> Duration {
        let theirs = self.seen.as_ref().and_then(|lease| lease.spec.as_ref()?.lease_duration_seconds);
        let theirs = Duration::from_secs(theirs.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0));
        self.settings.duration.max(theirs.min(MAX_DURATION))
    }

    fn record(&self, old: Option<&Lease>, wall: Timestamp) -> Lease {
        let mut lease = old.cloned().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.settings.name.clone()),
                namespace: Some(self.settings.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let mine = self.holder() == Some(&self.settings.identity);
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: i32::try_from(self.settings.duration.as_secs()).ok(),
            acquire_time: before.acquire_time.filter(|_| mine).or(Some(MicroTime(wall))),
            renew_time: Some(MicroTime(wall)),
            lease_transitions: Some(if mine || old.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..before
        });
        lease
    }
}

#[cfg(test)]
mod tests;
