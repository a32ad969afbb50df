//! The first step: everything that a decision needs, from the caches where they have it, from the API server where not. It
//! decides nothing and writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::conditions::reason;
use crds::{WhatsAppSession, names};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolumeClaim, Secret};
use k8s_openapi::jiff::SignedDuration;
use kube::Api;
use kube::api::ListParams;
use session_api::SessionState;
use tracing::warn;

use crate::build::claim;
use crate::call::{CallError, call, maybe};
use crate::context::Context;
use crate::decide::{may_be_unseen, node_to_look_at};
use crate::departures::whole_second;
use crate::index::{account, volume};
use crate::observe::{Answer, ClaimSeen, NodeSeen, Observed, PodSeen, SessionKey, Turn};
use crate::secrets::{self, References};

mod departed;
mod warnings;

pub use warnings::Warnings;

/// Something could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("look at {what}: {source}")]
pub struct DereferenceError {
    /// What.
    pub what: &'static str,
    /// Why.
    pub source: CallError,
}

fn looking_at(what: &'static str) -> impl FnOnce(CallError) -> DereferenceError {
    move |source| DereferenceError { what, source }
}

/// Looks at a session and at everything that belongs to it.
///
/// # Errors
/// Something could not be looked at.
pub async fn dereference(
    context: &Context,
    key: &SessionKey,
    session: Arc<WhatsAppSession>,
) -> Result<(Observed, References), DereferenceError> {
    let references = references(context, key, &session).await?;
    let mut seen = from_caches(context, key, session);
    if seen.session.spec.storage.existing_claim.is_some() || may_be_unseen(&seen) {
        seen.claim = claim_there(context, key, &seen.session).await?;
    }
    if seen.own_pods().next().is_none() {
        departed::look(context, key, &mut seen).await?;
    }
    if let Some(node) = node_to_look_at(&seen) {
        seen.node = look_at_node(context, node).await?;
    }
    seen.warnings = warnings::about(context, key, &seen).await;
    let stays = seen.own_pod().is_some_and(|pod| pod.deleting.is_none());
    let settled = stays && seen.secret.is_some() && seen.network_policy.is_some();
    if !settled && seen.deleted().is_none() && seen.status().is_some_and(|status| status.pod.is_some()) {
        still_there(context, key, seen.uid()).await?;
    }
    seen.namespace_terminating = !settled && is_terminating(context, key.namespace()).await?;
    Ok((seen, references))
}

fn from_caches(context: &Context, key: &SessionKey, session: Arc<WhatsAppSession>) -> Observed {
    let world = &context.world;
    let (same_volume, same_account) = {
        let index = world.index();
        let older = |shared: &_| index.older(shared, key);
        (older(&volume(key, &session)), account(&session).and_then(|account| older(&account)))
    };
    let mut seen = Observed {
        claim: world.claims.get(&key.beside(&names::claim(key.name()))).map(|claim| (*claim).clone()),
        secret: world.secrets.get(&key.beside(&names::secret(key.name()))).map(|kept| kept.0.clone()),
        network_policy: world
            .network_policies
            .get(&key.beside(&names::network_policy(key.name())))
            .map(|kept| kept.0.clone()),
        pods: world.pods.of_session(key).into_iter().map(|pod| (*pod).clone()).collect(),
        session,
        namespace_terminating: false,
        departed: Vec::new(),
        node: NodeSeen::Unknown,
        heard: None,
        same_volume,
        same_account,
        code_asked: false,
        warnings: Vec::new(),
        turn: Turn::Later(String::new()),
        deleted_for: SignedDuration::ZERO,
        now: whole_second(),
    };
    if seen.deleted().is_some() {
        seen.deleted_for = context.memory.deleted_for(key, seen.uid());
    }
    if seen.own_pods().next().is_none() && seen.same_volume.is_none() {
        let volume = claim::place(key.name(), &seen.session.spec);
        let pods = world.pods.find(key.namespace(), |pod| holds(pod, &volume, &seen));
        seen.same_volume = pods.first().map(|pod| holder(key, pod));
    }
    listen(context, key, &mut seen);
    seen
}

/// The session's claim as it is now: no watch shows one that is not ours, nor one whose labels somebody has taken away.
async fn claim_there(
    context: &Context,
    key: &SessionKey,
    session: &WhatsAppSession,
) -> Result<Option<ClaimSeen>, DereferenceError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.world.client.clone(), key.namespace());
    let name = claim::name(key.name(), &session.spec);
    let claim = maybe(api.get(&name)).await.map_err(looking_at("the claim"))?;
    Ok(claim.as_ref().map(ClaimSeen::of))
}

/// Whether a pod of another session writes to this place: one whose resource is gone, or is not looked after any more. A pod
/// of this session's own name is in the way as such.
fn holds(pod: &PodSeen, place: &(String, String), seen: &Observed) -> bool {
    pod.name != seen.name() && !pod.is_of(seen.uid()) && pod.holds(place)
}

/// The session that a pod says it is of.
fn holder(key: &SessionKey, pod: &PodSeen) -> SessionKey {
    let name = pod.owner.as_ref().map_or(&pod.name, |owner| &owner.name);
    key.beside(name)
}

/// What was heard from the pod, and what that pod may expect.
fn listen(context: &Context, key: &SessionKey, seen: &mut Observed) {
    let Some(pod) = seen.own_pod() else { return };
    let (pod_uid, uid) = (pod.uid.clone(), seen.uid().to_owned());
    seen.turn = context.fleet.turn(key, &pod_uid);
    let heard = context.polls.last(&uid).filter(|heard| heard.pod_uid == pod_uid);
    seen.heard = heard.map(|heard| heard.answer);
    if let Some(Answer::Status(said)) = &seen.heard {
        let waits = said.state == SessionState::AwaitingPairing;
        seen.code_asked = waits && context.memory.code_asked(key, &(pod_uid, said.since));
    }
}

async fn references(
    context: &Context,
    key: &SessionKey,
    session: &WhatsAppSession,
) -> Result<References, DereferenceError> {
    let api: Api<Secret> = Api::namespaced(context.world.client.clone(), key.namespace());
    let mut all = BTreeMap::new();
    for name in secrets::named(&session.spec) {
        let secret = maybe(api.get(name)).await.map_err(looking_at("a Secret that the spec names"))?;
        let data = secret
            .map(|secret| secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)));
        all.insert(name.to_owned(), data.map(Iterator::collect));
    }
    Ok(References(all))
}

/// What belonged to the session is gone: so may the session be, and the watch of the sessions be the last one to tell. A list
/// of one, because that is what the operator may do anyway.
async fn still_there(context: &Context, key: &SessionKey, uid: &str) -> Result<(), DereferenceError> {
    let api: Api<WhatsAppSession> = Api::namespaced(context.world.client.clone(), key.namespace());
    let one = ListParams::default().fields(&format!("metadata.name={}", key.name()));
    let there = call(api.list_metadata(&one)).await.map_err(looking_at("the resource"))?;
    let mut there = there.items.iter().map(|session| &session.metadata);
    if there.any(|meta| meta.uid.as_deref() == Some(uid) && meta.deletion_timestamp.is_none()) {
        return Ok(());
    }
    Err(DereferenceError { what: "the resource", source: CallError::Stale("it is being deleted".to_owned()) })
}

/// A node, as it is told to everybody who asks at about the same time.
async fn look_at_node(context: &Context, name: &str) -> Result<NodeSeen, DereferenceError> {
    let look = ask_for_node(context, name);
    context.memory.nodes.once(name, look).await.map_err(looking_at("the pod's node"))
}

/// A node that may not be looked at is not known to be lost.
async fn ask_for_node(context: &Context, name: &str) -> Result<NodeSeen, CallError> {
    let api: Api<Node> = Api::all(context.world.client.clone());
    match call(api.get(name)).await {
        Ok(node) => {
            let seen = NodeSeen::of(&node, |said| context.memory.nodes.answers(name, said));
            Ok(context.memory.nodes.saw(name, seen))
        }
        Err(CallError::NotFound) => Ok(context.memory.nodes.saw(name, NodeSeen::Gone)),
        Err(CallError::Refused { reason: reason::FORBIDDEN, .. }) => {
            if context.memory.nodes_are_forbidden() {
                warn!(
                    "nodes may not be read: spec.onNodeLoss means nothing, and a pod that is gone from the API server counts as ended (chart: rbac.nodes)"
                );
            }
            Ok(NodeSeen::Unknown)
        }
        Err(error) => Err(error),
    }
}

async fn is_terminating(context: &Context, name: &str) -> Result<bool, DereferenceError> {
    if let Some(known) = context.memory.terminating(name) {
        return Ok(known);
    }
    let api: Api<Namespace> = Api::all(context.world.client.clone());
    let namespace = maybe(api.get_metadata(name)).await.map_err(looking_at("the namespace"))?;
    let terminating = namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some());
    context.memory.saw_namespace(name, terminating);
    Ok(terminating)
}
