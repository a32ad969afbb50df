//! The edge of the election: asks the elector what to do, and does it.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Guard;
use super::lease::{Elector, Loss, Settings, Step};
use crate::call::words;

/// One candidate: its elector, and the way to the lease.
pub(super) struct Candidate {
    leases: Api<Lease>,
    elector: Elector,
    settings: Settings,
    /// Longest time for a request.
    request: Duration,
    guard: Guard,
    lead: watch::Sender<bool>,
    /// What went wrong last, so that it is said once.
    trouble: Option<String>,
}

/// The API server did not do what it was asked to.
#[derive(Debug)]
enum Refusal {
    /// Somebody else was first: look again.
    Overtaken,
    /// Anything else; it may have been done all the same.
    Failed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overtaken => f.write_str("somebody else was first"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl Candidate {
    /// A candidate that tells through `told` whether it leads. No request takes longer than `request`.
    pub(super) fn new(
        leases: Api<Lease>,
        settings: Settings,
        request: Duration,
        told: (Guard, watch::Sender<bool>),
    ) -> Self {
        let (guard, lead) = told;
        let elector = Elector::new(settings.clone(), Instant::now());
        Self { leases, elector, settings, request, guard, lead, trouble: None }
    }

    /// Runs until leadership is lost, or until it is told to stop (or who could tell is gone).
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Option<Loss> {
        let mut fresh = false;
        while !*stop.borrow() {
            if let Some(loss) = self.turn(&mut fresh).await {
                return Some(self.lose(loss));
            }
            // With nobody there any more who could say stop, there is nobody to lead for.
            if let Ok(Err(_)) = timeout(self.pause(), stop.wait_for(|stop| *stop)).await {
                break;
            }
        }
        self.release().await;
        None
    }

    /// Looks if need be, then acts. `fresh`: what was seen last is what the next write may build on.
    async fn turn(&mut self, fresh: &mut bool) -> Option<Loss> {
        // Twice at most: a candidate that was overtaken looks again at once.
        for _ in 0..2 {
            // A leader tries with what it knows; a follower that does not see has not observed anything.
            if !*fresh && !self.look().await && self.elector.leads_until().is_none() {
                return None;
            }
            let step = self.elector.next(Instant::now(), Timestamp::now());
            if let Step::Lost(loss) = step {
                return Some(loss);
            }
            match self.take(step).await {
                Ok(written) => {
                    *fresh = written;
                    return None;
                }
                Err(Refusal::Overtaken) => *fresh = false,
                Err(refusal) => {
                    *fresh = false;
                    self.complain(&refusal);
                    return None;
                }
            }
        }
        None
    }

    /// Reads the lease. False: it could not be read.
    async fn look(&mut self) -> bool {
        match self.call(self.leases.get_opt(&self.settings.name)).await {
            Ok(lease) => {
                self.elector.saw(lease, Instant::now());
                true
            }
            Err(refusal) => {
                self.complain(&refusal);
                false
            }
        }
    }

    /// Writes what a step says. False: there is nothing to write.
    async fn take(&mut self, step: Step) -> Result<bool, Refusal> {
        let (sent, params) = (Instant::now(), PostParams::default());
        let lease = match step {
            Step::Create(lease) => self.call(self.leases.create(&params, &lease)).await?,
            Step::Replace(lease) => {
                self.call(self.leases.replace(&self.settings.name, &params, &lease)).await?
            }
            Step::Wait | Step::Lost(_) => return Ok(false),
        };
        self.hold(lease, sent);
        Ok(true)
    }

    fn hold(&mut self, lease: Lease, sent: Instant) {
        self.elector.wrote(lease, sent);
        self.guard.set(self.elector.leads_until());
        self.trouble = None;
        if !self.lead.send_replace(true) {
            tracing::info!(identity = %self.settings.identity, "this operator leads");
        }
    }

    fn lose(&self, loss: Loss) -> Loss {
        self.guard.set(None);
        tracing::error!(identity = %self.settings.identity, "leadership is lost: {loss}");
        loss
    }

    async fn release(self) {
        self.guard.set(None);
        if let Some(lease) = self.elector.release(Timestamp::now()) {
            match self.call(self.leases.replace(&self.settings.name, &PostParams::default(), &lease)).await {
                Ok(_) => tracing::info!("the lease is released"),
                Err(refusal) => {
                    tracing::warn!("the lease could not be released, others wait for it: {refusal}");
                }
            }
        }
    }

    /// One request, never past the moment at which leadership would be over.
    async fn call<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Refusal> {
        let left = self.elector.leads_until().map(|until| until.saturating_duration_since(Instant::now()));
        let within = left.map_or(self.request, |left| left.min(self.request));
        match timeout(within, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_already_exists() => {
                Err(Refusal::Overtaken)
            }
            Ok(Err(error)) => Err(Refusal::Failed(words(&error))),
            Err(_) => Err(Refusal::Failed(format!("no answer within {within:?}"))),
        }
    }

    fn complain(&mut self, refusal: &Refusal) {
        let trouble = refusal.to_string();
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!("the lease {} could not be read or written: {trouble}", self.settings.name);
            self.trouble = Some(trouble);
        }
    }

    /// A little less than the time between two tries, so that candidates do not walk in step; never past the end of the lead.
    fn pause(&self) -> Duration {
        let share = u32::try_from(RandomState::new().hash_one(0) % 250).unwrap_or(0);
        let pause = self.settings.retry * (1_000 - share) / 1_000;
        let left = self.elector.leads_until().map(|until| until.saturating_duration_since(Instant::now()));
        left.map_or(pause, |left| left.min(pause))
    }
}
