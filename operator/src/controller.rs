//! The driver: which session is looked at when, and the five steps of a look.
//!
//! Comes in: sessions that something has happened to. Goes out: writes, through the steps. At most so many at once, never
//! the same one twice at once; each waits longer after each failure of its own.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::SignedDuration;
use kube::Resource as _;
use kube::runtime::controller::{self, Action, ReconcileRequest, applier};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::apply::{ApplyError, Work, apply, let_go, write_status};
use crate::call::CallError;
use crate::context::Context;
use crate::decide::{Decision, Step, Unreadable, decide, unreadable};
use crate::deferral::When;
use crate::dereference::{DereferenceError, dereference};
use crate::health::Health;
use crate::observe::{Endpoint, Observed, PodSeen, SessionKey};
use crate::status::{Facts, Outcome, tell};
use crate::validate::validate;
use crate::world::{Guarded, reference};
use crate::{build, report};

/// The longest that one look may take.
const LOOK_WITHIN: Duration = Duration::from_mins(2);
/// How long until a session is looked at again whose last writes the watches do not show yet.
const STALE_AGAIN: Duration = Duration::from_secs(1);
/// How often the controller says that it lives.
const BEAT: Duration = Duration::from_secs(15);
/// Its name there.
const LOOP: &str = "controller";
/// How long at least until a session is looked at again that did not do what it was asked to; longer each time.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A look at a session failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Something could not be looked at.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// Something could not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The status could not be written.
    #[error("write the status: {0}")]
    Status(#[source] CallError),
    /// It took too long.
    #[error("a look took longer than {} s", LOOK_WITHIN.as_secs())]
    Late,
    /// The resource cannot be read.
    #[error("the resource cannot be read: {0}")]
    Unreadable(String),
}

impl ReconcileError {
    /// One word for a metric.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dereference(error) => error.source.kind(),
            Self::Apply(error) => error.kind(),
            Self::Status(error) => error.kind(),
            Self::Late => "late",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// Looks after all sessions until `stop` comes; looks that are under way are brought to their end.
pub async fn run(
    context: Arc<Context>,
    (concurrency, health): (u16, Health),
    woken: mpsc::Receiver<SessionKey>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let queue = queue(&context, woken).take_until(stop);
    let store = context.world.sessions.clone();
    let config = controller::Config::default().concurrency(concurrency);
    let look = |session: Arc<Guarded>, context: Arc<Context>| Box::pin(reconcile(session, context));
    let mut looks = pin!(applier(look, on_error, Arc::clone(&context), store, queue.boxed(), config));
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            look = looks.next() => match look {
                Some(Err(controller::Error::ObjectNotFound(gone))) => {
                    let key = SessionKey::new(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                    context.world.gate.forget(&key);
                    if let Some(uid) = context.memory.forget(&key) {
                        context.polls.forget(&uid);
                        context.errands.forget(&uid);
                    }
                }
                Some(_) => {}
                None => break,
            },
            _ = beat.tick() => {}
        }
        health.beat(LOOP);
    }
    health.rest(LOOP);
}

/// All sessions first, then those that something happens to.
fn queue(
    context: &Arc<Context>,
    wake: mpsc::Receiver<SessionKey>,
) -> impl Stream<Item = Result<ReconcileRequest<Guarded>, std::convert::Infallible>> + use<> {
    let all =
        futures_util::stream::iter(context.world.sessions.state()).map(|session| SessionKey::of(&*session));
    let woken = futures_util::stream::unfold(wake, |mut wake| async { Some((wake.recv().await?, wake)) });
    all.chain(woken).map(|key| Ok(ReconcileRequest::from(reference(&key))))
}

async fn reconcile(session: Arc<Guarded>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let key = SessionKey::of(&*session);
    if !context.world.shows_own_writes(&key) {
        context.metrics.stale_skip();
        return Ok(Action::requeue(STALE_AGAIN));
    }
    // The one that was handed in may be older than what the gate has seen.
    let session = context.world.session(&key).unwrap_or(session);
    let start = Instant::now();
    let look = tokio::time::timeout(LOOK_WITHIN, Box::pin(look(&key, &session, &context))).await;
    let result = look.unwrap_or(Err(ReconcileError::Late));
    if matches!(result, Err(ReconcileError::Unreadable(_))) {
        context.memory.deferrals.forget(&key);
    }
    context.memory.look_ended(&key);
    context.metrics.reconciled(start.elapsed(), result.as_ref().map(|_| ()).map_err(ReconcileError::kind));
    result
}

async fn look(key: &SessionKey, session: &Guarded, context: &Context) -> Result<Action, ReconcileError> {
    let session = match &session.0 {
        Ok(session) => session.clone(),
        Err(invalid) => return unread(key, (&invalid.metadata, &invalid.error), context).await,
    };
    let (seen, references) = dereference(context, key, Arc::new(session)).await?;
    let valid = validate(&seen.session, &references, &context.key);
    let desired = valid.as_ref().map(|valid| build::build(valid, &context.settings, &context.key));
    let decision = decide(&seen, desired.as_ref().map_err(|invalid| *invalid), &context.rules);
    let endpoint = endpoint(context, key, &seen);
    listen(context, key, &seen, endpoint.as_ref());
    let work = Work {
        context,
        key,
        seen: &seen,
        valid: valid.as_ref().ok(),
        desired: desired.as_ref().ok(),
        endpoint: endpoint.as_ref(),
    };
    let (outcome, applied) = apply(work, &decision).await;
    report::steps(context, &seen, &outcome);
    if let Err(error @ ApplyError::NotLeading) = applied {
        return Err(error.into());
    }
    let facts = Facts {
        seen: &seen,
        decision: &decision,
        invalid: valid.as_ref().err(),
        outcome: &outcome,
        key: &context.key,
    };
    let later = write(work, &facts, applied.is_err()).await?;
    applied?;
    let again = again(context, key, &decision, &outcome);
    Ok(Action::requeue(later.map_or(again, |later| later.min(again))))
}

/// A resource that cannot be read is told of and left alone, unless it is deleted and waits for what nobody can do.
async fn unread(
    key: &SessionKey,
    (meta, why): (&ObjectMeta, &str),
    context: &Context,
) -> Result<Action, ReconcileError> {
    let gone_for = if meta.deletion_timestamp.is_some() {
        context.memory.deleted_for(key, meta.uid.as_deref().unwrap_or_default())
    } else {
        SignedDuration::ZERO
    };
    match unreadable(meta, gone_for) {
        Unreadable::Left => return Err(ReconcileError::Unreadable(why.to_owned())),
        Unreadable::Kept(left) => {
            warn!(session = %key, again_in_ms = left.as_millis(), "the resource is deleted and cannot be read: {why}");
            return Ok(Action::requeue(left));
        }
        Unreadable::LetGo => let_go(context, key, meta).await?,
    }
    // In a namespace that goes as well no Event can be written.
    warn!(session = %key, "the resource was deleted and cannot be read: its device was not unlinked: {why}");
    report::not_unlinked(context, meta, why);
    Ok(Action::await_change())
}

/// Writes the status if it says anything new. Goes out: when it is to be looked at again for that, if it is written later.
async fn write(work: Work<'_>, facts: &Facts<'_>, failed: bool) -> Result<Option<Duration>, ReconcileError> {
    let (context, seen) = (work.context, work.seen);
    if facts.outcome.done.contains(&Step::RemoveFinalizer) && seen.deleted().is_some() {
        return Ok(None);
    }
    let status = tell(facts);
    let pressing = failed || facts.outcome.problem.is_some() || !seen.warnings.is_empty();
    let (whose, change) = ((work.key, seen.uid()), (seen.status(), &status));
    match context.memory.deferrals.when(whose, change, pressing, Instant::now()) {
        When::Never => return Ok(None),
        When::In(wait) => return Ok(Some(wait)),
        When::Now => {}
    }
    if !context.guard.holds() {
        return Err(ApplyError::NotLeading.into());
    }
    write_status(work, facts.outcome.version.as_ref(), &status).await.map_err(ReconcileError::Status)?;
    context.memory.deferrals.forget(work.key);
    report::change(context, seen, &status);
    Ok(None)
}

/// How the session's pod is reached, once it has an address and runs.
fn endpoint(context: &Context, key: &SessionKey, seen: &Observed) -> Option<Endpoint> {
    let pod = seen.own_pod().filter(|pod| pod.deleting.is_none() && !pod.has_ended())?;
    let address = pod.ip.as_ref()?.parse().ok()?;
    Some(Endpoint {
        session: key.clone(),
        session_uid: seen.uid().to_owned(),
        pod_uid: pod.uid.clone(),
        address: std::net::SocketAddr::new(address, context.settings.session.port),
        token: crds::token::derive(&context.key, seen.uid()),
    })
}

fn listen(context: &Context, key: &SessionKey, seen: &Observed, endpoint: Option<&Endpoint>) {
    if let Some(former) = context.memory.is_now(key, seen.uid()) {
        context.polls.forget(&former);
        context.errands.forget(&former);
    }
    match endpoint.filter(|_| seen.own_pod().is_some_and(PodSeen::has_run)) {
        Some(endpoint) => context.polls.sync(endpoint.clone()),
        None => context.polls.forget(seen.uid()),
    }
}

/// When to look again if nothing happens.
fn again(context: &Context, key: &SessionKey, decision: &Decision, outcome: &Outcome) -> Duration {
    let resync = jitter(context.resync, key);
    let mut again = decision.again.unwrap_or(resync).min(resync);
    let refused = outcome.problem.as_ref();
    if let Some(due) = context.memory.growth.due(key, Instant::now())
        && refused.is_some_and(|problem| matches!(problem.step, Step::GrowClaim { .. }))
        && !outcome.again
    {
        context.memory.succeeded(key);
        again = again.min(due.max(ASK_AGAIN));
    } else if outcome.again || refused.is_some() {
        let least = if outcome.again { ASK_AGAIN } else { Duration::ZERO };
        again = again.min(context.memory.failed(key, Instant::now()).max(least));
    } else {
        context.memory.succeeded(key);
    }
    again
}

/// The same time for the same session, between 0.8 and 1.2 of it, so that they do not all come at once.
fn jitter(time: Duration, key: &SessionKey) -> Duration {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
    let share = u32::try_from(hash % 401).unwrap_or(0);
    time * (800 + share) / 1_000
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that kube asks for")]
fn on_error(session: Arc<Guarded>, error: &ReconcileError, context: Arc<Context>) -> Action {
    let key = SessionKey::of(&*session);
    match error {
        ReconcileError::Unreadable(why) => {
            warn!(session = %key, "the resource cannot be read and is left alone: {why}");
            report::unreadable(&context, session.meta(), why);
            Action::await_change()
        }
        ReconcileError::Apply(ApplyError::Call { source: CallError::Stale(_), .. })
        | ReconcileError::Dereference(DereferenceError { source: CallError::Stale(_), .. })
        | ReconcileError::Status(CallError::Stale(_)) => {
            debug!(session = %key, "{error}: looked at again");
            Action::requeue(context.memory.failed(&key, Instant::now()))
        }
        ReconcileError::Dereference(_)
        | ReconcileError::Apply(_)
        | ReconcileError::Status(_)
        | ReconcileError::Late => {
            let wait = context.memory.failed(&key, Instant::now());
            info!(session = %key, again_in_ms = wait.as_millis(), "{error}");
            Action::requeue(wait)
        }
    }
}
