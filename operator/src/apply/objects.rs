//! The writes to the resource itself, its status, its Secret and its `NetworkPolicy`.

use std::fmt::Debug;

use crds::conditions::reason;
use crds::status::WhatsAppSessionStatus;
use crds::{WhatsAppSession, names};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::amend::{amendment, status_amendment};
use super::{ApplyError, Work, merged, name, posted, wrote};
use crate::call::{CallError, call, maybe};
use crate::context::Context;
use crate::decide::Step;
use crate::gate::Kind;
use crate::observe::SessionKey;

/// What is made and changed in one way: an object in the session's namespace.
trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
    /// What it is made for: nobody else adds to that.
    const CONTENT: &'static str;
}

impl Child for Secret {
    const CONTENT: &'static str = "data";
}

impl Child for NetworkPolicy {
    const CONTENT: &'static str = "spec";
}

fn sessions(work: Work<'_>) -> Api<WhatsAppSession> {
    Api::namespaced(work.context.world.client.clone(), work.key.namespace())
}

/// Adds or removes the finalizer that keeps a session until its device is unlinked; others' stay. Goes out: the resource's new
/// version, if it is still there.
pub(super) async fn finalizers(work: Work<'_>, wanted: bool) -> Result<Option<String>, CallError> {
    let version = finalize(work.context, work.key, &work.seen.session.metadata, wanted).await?;
    wrote(work, Kind::Session, version.as_deref());
    Ok(version)
}

/// Lets a resource go that cannot be read.
///
/// # Errors
/// It was not written.
pub async fn let_go(context: &Context, key: &SessionKey, meta: &ObjectMeta) -> Result<(), ApplyError> {
    if !context.guard.holds() {
        return Err(ApplyError::NotLeading);
    }
    let step = Step::RemoveFinalizer;
    let gone = finalize(context, key, meta, false).await;
    gone.map_err(|source| ApplyError::Call { step: name(&step), source })?;
    if let Some((verb, kind)) = step.write() {
        context.metrics.write(verb, kind);
    }
    Ok(())
}

async fn finalize(
    context: &Context,
    key: &SessionKey,
    meta: &ObjectMeta,
    wanted: bool,
) -> Result<Option<String>, CallError> {
    let mut all = meta.finalizers.clone().unwrap_or_default();
    all.retain(|one| one != names::UNLINK_FINALIZER);
    if wanted {
        all.push(names::UNLINK_FINALIZER.to_owned());
    }
    let change =
        json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": all}});
    let api: Api<WhatsAppSession> = Api::namespaced(context.world.client.clone(), key.namespace());
    let changed = maybe(api.patch_metadata(key.name(), &merged(), &Patch::Merge(change))).await?;
    Ok(changed.and_then(|changed| changed.metadata.resource_version))
}

/// Writes the status on the resource as it was seen, or as `version` has it since. When somebody has changed the resource in
/// between, but not its status, it is written on what is there now, once and only by who still leads. Over another status than
/// the one that this one follows nothing is written: another leader may have noted an account or an epoch there.
///
/// # Errors
/// It was not written.
pub async fn write_status(
    work: Work<'_>,
    version: Option<&String>,
    status: &WhatsAppSessionStatus,
) -> Result<(), CallError> {
    let seen = version.or(work.seen.session.metadata.resource_version.as_ref());
    match patch_status(work, seen, status).await {
        Err(CallError::Stale(why)) if work.context.guard.holds() => {
            let Some(now) = session_now(work).await? else { return Ok(()) };
            if !says_the_same(&work.seen.session, &now) || !work.context.guard.holds() {
                return Err(CallError::Stale(why));
            }
            patch_status(work, now.metadata.resource_version.as_ref(), status).await
        }
        answer => answer,
    }
}

async fn patch_status(
    work: Work<'_>,
    version: Option<&String>,
    status: &WhatsAppSessionStatus,
) -> Result<(), CallError> {
    let body = json!({
        "apiVersion": "warest.io/v1alpha1",
        "kind": "WhatsAppSession",
        "metadata": {"name": work.key.name(), "uid": work.seen.uid(), "resourceVersion": version},
        "status": status,
    });
    let (api, name) = (sessions(work), work.key.name());
    let changed = match call(api.patch_status(name, &applied(), &Patch::Apply(body))).await {
        Ok(changed) => changed,
        Err(CallError::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    work.context.metrics.write("patch", "WhatsAppSession/status");
    wrote(work, Kind::Session, changed.metadata.resource_version.as_deref());
    // What somebody else claims as his own stays when it is not told any more.
    if let Some(amended) = status_amendment(&changed, status) {
        let changed = call(api.patch_status(name, &merged(), &Patch::Merge(amended))).await?;
        work.context.metrics.write("patch", "WhatsAppSession/status");
        wrote(work, Kind::Session, changed.metadata.resource_version.as_deref());
    }
    Ok(())
}

/// Whether the resource still asks for what was seen: the watch of the sessions may lag behind that of their pods.
///
/// # Errors
/// It has changed or is gone, or cannot be looked at.
pub(super) async fn still_asks(work: Work<'_>) -> Result<(), CallError> {
    let seen = &work.seen.session.metadata;
    let same = now(work).await?.is_some_and(|meta| asks_the_same(seen, &meta));
    let stale = || CallError::Stale("the resource asks for something else by now".to_owned());
    same.then_some(()).ok_or_else(stale)
}

fn asks_the_same(seen: &ObjectMeta, now: &ObjectMeta) -> bool {
    (seen.generation, &seen.deletion_timestamp) == (now.generation, &now.deletion_timestamp)
}

/// Whether nobody has written another status since.
fn says_the_same(seen: &WhatsAppSession, now: &WhatsAppSession) -> bool {
    seen.status == now.status
}

/// The resource as it is now; none if it is gone. A list of one, because that is what the operator may do anyway.
async fn session_now(work: Work<'_>) -> Result<Option<WhatsAppSession>, CallError> {
    let there = call(sessions(work).list(&one(work))).await?.items;
    Ok(there.into_iter().find(|session| session.metadata.uid.as_deref() == Some(work.seen.uid())))
}

/// The resource's metadata alone.
pub(super) async fn now(work: Work<'_>) -> Result<Option<ObjectMeta>, CallError> {
    let there = call(sessions(work).list_metadata(&one(work))).await?;
    let mut there = there.items.into_iter().map(|session| session.metadata);
    Ok(there.find(|meta| meta.uid.as_deref() == Some(work.seen.uid())))
}

fn one(work: Work<'_>) -> ListParams {
    ListParams::default().fields(&format!("metadata.name={}", work.key.name()))
}

pub(super) async fn create_secret(work: Work<'_>) -> Result<(), CallError> {
    let Some(desired) = work.desired else { return Ok(()) };
    create(work, Kind::Secret, &desired.secret.0).await
}

pub(super) async fn apply_secret(work: Work<'_>) -> Result<(), CallError> {
    let Some(desired) = work.desired else { return Ok(()) };
    apply(work, Kind::Secret, &desired.secret.0).await
}

pub(super) async fn create_network_policy(work: Work<'_>) -> Result<(), CallError> {
    let Some(desired) = work.desired else { return Ok(()) };
    create(work, Kind::NetworkPolicy, &desired.network_policy.0).await
}

pub(super) async fn apply_network_policy(work: Work<'_>) -> Result<(), CallError> {
    let Some(desired) = work.desired else { return Ok(()) };
    apply(work, Kind::NetworkPolicy, &desired.network_policy.0).await
}

/// Makes an object. One that exists and is ours is made what it should be (the watch may not show it for want of its labels);
/// anybody else's is left alone.
async fn create<K: Child>(work: Work<'_>, kind: Kind, object: &K) -> Result<(), CallError> {
    let api: Api<K> = Api::namespaced(work.context.world.client.clone(), work.key.namespace());
    let name = object.meta().name.clone().unwrap_or_default();
    match call(api.create(&posted(), object)).await {
        Ok(made) => wrote(work, kind, made.meta().resource_version.as_deref()),
        Err(CallError::Exists) => {
            let there = call(api.get_metadata(&name)).await?;
            let owners = there.metadata.owner_references.iter().flatten();
            if !owners.into_iter().any(|owner| owner.uid == work.seen.uid()) {
                let what = K::kind(&());
                let message = format!(
                    "A {what} {name} exists that is not this session's. It is left alone: delete it, or give this session another name."
                );
                return Err(CallError::Refused { reason: reason::REFUSED, message });
            }
            return apply(work, kind, object).await;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Makes an object what it should be. What others have added to its content stays when it is applied, and is taken away after
/// that: it would have to be applied again at every look.
async fn apply<K: Child>(work: Work<'_>, kind: Kind, object: &K) -> Result<(), CallError> {
    let api: Api<K> = Api::namespaced(work.context.world.client.clone(), work.key.namespace());
    let name = object.meta().name.clone().unwrap_or_default();
    let mut changed = call(api.patch(&name, &applied(), &Patch::Apply(object))).await?;
    if let Some(amended) = amendment(&changed, object, K::CONTENT) {
        changed = call(api.patch(&name, &merged(), &Patch::Merge(amended))).await?;
    }
    wrote(work, kind, changed.meta().resource_version.as_deref());
    Ok(())
}

/// Without a second reading for unknown fields: what is sent is made of the API's own types, and nobody reads the warnings.
fn applied() -> PatchParams {
    PatchParams::apply(names::FIELD_MANAGER).force().validation_ignore()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{PAIRED, seen};

    #[test]
    fn a_status_is_not_written_over_another_leaders() {
        let built_from = seen("{}", PAIRED).session;
        let mut now = (*built_from).clone();
        now.metadata.resource_version = Some("99".to_owned());
        now.metadata.labels = Some([("team".to_owned(), "shop".to_owned())].into());
        assert!(says_the_same(&built_from, &now), "the resource alone has changed");
        let mut next = now.clone();
        next.status.as_mut().unwrap().writer_epoch = Some(5);
        assert!(!says_the_same(&built_from, &next), "another leader has started a writer");
        now.status = None;
        assert!(!says_the_same(&built_from, &now));
        assert!(!says_the_same(&now, &built_from), "the first status was another leader's");
    }

    #[test]
    fn another_generation_or_a_deletion_asks_for_something_else() {
        let meta = |generation| ObjectMeta { generation: Some(generation), ..ObjectMeta::default() };
        assert!(asks_the_same(&meta(3), &ObjectMeta { resource_version: Some("9".to_owned()), ..meta(3) }));
        assert!(!asks_the_same(&meta(3), &meta(4)));
        let deleted = crate::fixtures::ago(1);
        let deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(deleted));
        assert!(!asks_the_same(&meta(3), &ObjectMeta { deletion_timestamp, ..meta(3) }));
    }
}
