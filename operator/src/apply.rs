//! The writing step: carries out what was decided, in order, one call each. It decides nothing.
//!
//! Names are fixed and every write says which UID it means, so that a write that comes late, or twice, does no harm: what
//! exists already and is ours counts as made, what is gone counts as deleted.

use std::time::Instant;

use crds::conditions::reason;
use crds::names;
use kube::api::{DeleteParams, PatchParams, PostParams, Preconditions};

use crate::build::Desired;
use crate::call::CallError;
use crate::context::Context;
use crate::decide::{Decision, Step};
use crate::gate::{Expected, Kind};
use crate::observe::{Endpoint, Observed, SessionKey};
use crate::push::PushError;
use crate::status::{Outcome, Problem};
use crate::validate::Valid;

mod amend;
mod claim;
mod objects;
mod pod;
mod session;

pub use objects::{let_go, write_status};

/// A call that failed so often in a row does not fail for a moment only.
const LASTS: u32 = 3;

/// A step could not be carried out for now.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// This process does not lead any more.
    #[error("this operator does not lead any more: nothing is written")]
    NotLeading,
    /// The API server did not do it.
    #[error("{step}: {source}")]
    Call {
        /// Which step.
        step: &'static str,
        /// Why.
        source: CallError,
    },
}

impl ApplyError {
    /// One word for a metric.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotLeading => "not_leading",
            Self::Call { source, .. } => source.kind(),
        }
    }
}

/// What is written, and for whom.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// What every reconcile shares.
    pub context: &'a Context,
    /// The session.
    pub key: &'a SessionKey,
    /// What is seen of it.
    pub seen: &'a Observed,
    /// What it asks for; none if that cannot be.
    pub valid: Option<&'a Valid>,
    /// Its objects as they shall be.
    pub desired: Option<&'a Desired>,
    /// How its pod is reached.
    pub endpoint: Option<&'a Endpoint>,
}

/// Carries out what was decided.
///
/// # Errors
/// A step failed for a passing reason; those before it are done, those after it are not.
pub async fn apply(work: Work<'_>, decision: &Decision) -> (Outcome, Result<(), ApplyError>) {
    let (mut outcome, heard) = session::hear(work);
    for step in decision.steps.iter().filter(|step| heard.as_ref() != Some(*step)) {
        if !work.context.guard.holds() {
            return (outcome, Err(ApplyError::NotLeading));
        }
        match carry_out(work, step).await {
            Ok(version) => {
                outcome.version = version.or(outcome.version);
                if let Some((verb, kind)) = step.write() {
                    work.context.metrics.write(verb, kind);
                }
                outcome.done.push(step.clone());
            }
            Err(Failure::Call(CallError::Refused { reason, message })) => {
                outcome.problem = Some(Problem { step: step.clone(), reason: told(step, reason), message });
                break;
            }
            Err(Failure::Call(source)) => {
                outcome.problem = lasting_problem(work, step, &source).or(outcome.problem);
                return (outcome, Err(ApplyError::Call { step: name(step), source }));
            }
            Err(Failure::Session(error)) => {
                outcome.problem = session::problem(step, &error).or(outcome.problem);
                tracing::info!(session = %work.key, "{error}");
                outcome.again = true;
            }
            Err(Failure::NothingToDoItWith | Failure::UnderWay) => {}
        }
    }
    (outcome, Ok(()))
}

/// Why a step was not carried out.
enum Failure {
    /// The API server did not do it.
    Call(CallError),
    /// The session did not do it.
    Session(PushError),
    /// It is under way: what comes of it is heard later.
    UnderWay,
    /// What it needs is not there (the spec is invalid, the pod has no address yet).
    NothingToDoItWith,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// Carries out one step. Goes out: the version that the resource itself has by that, if it was changed.
async fn carry_out(work: Work<'_>, step: &Step) -> Result<Option<String>, Failure> {
    match step {
        Step::AddFinalizer => return Ok(objects::finalizers(work, true).await?),
        Step::RemoveFinalizer => return Ok(objects::finalizers(work, false).await?),
        Step::CreateClaim => claim::create(work).await?,
        Step::TakeClaim { uid, version } => claim::take(work, uid, version).await?,
        Step::GrowClaim { uid } => grow(work, uid).await?,
        Step::DeleteClaim { uid } => claim::delete(work, uid).await?,
        Step::CreateSecret => objects::create_secret(work).await?,
        Step::ApplySecret => objects::apply_secret(work).await?,
        Step::CreateNetworkPolicy => objects::create_network_policy(work).await?,
        Step::ApplyNetworkPolicy => objects::apply_network_policy(work).await?,
        Step::CreatePod => pod::create(work).await?,
        Step::LabelPod { uid, version } => pod::label(work, uid, version).await?,
        Step::DeletePod { uid, .. } => pod::delete(work, uid, None).await?,
        Step::ForceDeletePod { uid, version } => pod::delete(work, uid, Some(version)).await?,
        Step::PushConfig | Step::AskPairingCode | Step::LogOut => session::ask(work, step).await?,
    }
    Ok(None)
}

/// Asks for a larger volume, unless that was refused a short while ago: then the same words hold.
async fn grow(work: Work<'_>, uid: &str) -> Result<(), Failure> {
    let (growth, size) = (&work.context.memory.growth, &work.seen.session.spec.storage.size);
    let wish = (uid.to_owned(), size.clone());
    if let Some((reason, message)) = growth.holds(work.key, &wish, Instant::now()) {
        return Err(Failure::Call(CallError::Refused { reason, message }));
    }
    let answer = claim::patch(work, claim::grow(work, uid)).await;
    match &answer {
        Ok(()) => growth.forget(work.key),
        Err(CallError::Refused { reason, message }) => {
            growth.refused(work.key, wish, (reason, message.clone()), Instant::now());
        }
        Err(_) => {}
    }
    Ok(answer?)
}

/// What should pass and does not, as when an admission webhook is broken, is told as if it were a refusal.
fn lasting_problem(work: Work<'_>, step: &Step, error: &CallError) -> Option<Problem> {
    let message = error.server_words()?;
    let lasts = work.context.memory.call_failed(work.key, name(step)) >= LASTS;
    lasts.then(|| Problem { step: step.clone(), reason: reason::REFUSED, message })
}

fn told(step: &Step, reason: &'static str) -> &'static str {
    let grows = matches!(step, Step::GrowClaim { .. });
    if grows && reason != reason::FORBIDDEN { reason::RESIZE_FAILED } else { reason }
}

fn only(uid: &str, at_once: Option<&String>) -> DeleteParams {
    DeleteParams {
        grace_period_seconds: at_once.map(|_| 0),
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: at_once.cloned() }),
        ..DeleteParams::default()
    }
}

/// What is gone already counts as deleted.
fn gone<T>(answer: Result<T, CallError>) -> Result<(), CallError> {
    match answer {
        Ok(_) | Err(CallError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

fn posted() -> PostParams {
    PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn merged() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// The cache has to show this before the session is looked at again.
fn wrote(work: Work<'_>, kind: Kind, version: Option<&str>) {
    if let Some(version) = version.and_then(|version| version.parse().ok()) {
        work.context.world.gate.expect(work.key, kind, Expected::Version(version), Instant::now());
    }
}

/// A step in words.
const fn name(step: &Step) -> &'static str {
    match step {
        Step::AddFinalizer => "add the finalizer",
        Step::RemoveFinalizer => "remove the finalizer",
        Step::CreateClaim => "make the claim",
        Step::TakeClaim { .. } => "take the claim",
        Step::GrowClaim { .. } => "grow the claim",
        Step::DeleteClaim { .. } => "delete the claim",
        Step::CreateSecret => "make the Secret",
        Step::ApplySecret => "change the Secret",
        Step::CreateNetworkPolicy => "make the NetworkPolicy",
        Step::ApplyNetworkPolicy => "change the NetworkPolicy",
        Step::CreatePod => "make the pod",
        Step::LabelPod { .. } => "label the pod",
        Step::DeletePod { .. } => "delete the pod",
        Step::ForceDeletePod { .. } => "forget the pod",
        Step::PushConfig => "push the configuration",
        Step::AskPairingCode => "ask for a pairing code",
        Step::LogOut => "unlink the device",
    }
}

impl Step {
    /// The write that it is, in the API's words; none if it is a request to the session.
    pub const fn write(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::AddFinalizer | Self::RemoveFinalizer => ("patch", "WhatsAppSession"),
            Self::CreateClaim => ("create", "PersistentVolumeClaim"),
            Self::TakeClaim { .. } | Self::GrowClaim { .. } => ("patch", "PersistentVolumeClaim"),
            Self::DeleteClaim { .. } => ("delete", "PersistentVolumeClaim"),
            Self::CreateSecret => ("create", "Secret"),
            Self::ApplySecret => ("patch", "Secret"),
            Self::CreateNetworkPolicy => ("create", "NetworkPolicy"),
            Self::ApplyNetworkPolicy => ("patch", "NetworkPolicy"),
            Self::CreatePod => ("create", "Pod"),
            Self::LabelPod { .. } => ("patch", "Pod"),
            Self::DeletePod { .. } | Self::ForceDeletePod { .. } => ("delete", "Pod"),
            Self::PushConfig | Self::AskPairingCode | Self::LogOut => return None,
        })
    }
}
