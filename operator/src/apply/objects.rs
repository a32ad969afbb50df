//! The writes to the resource itself, its status, its Secret and its `NetworkPolicy`.

use std::fmt::Debug;

use crds::conditions::reason;
use crds::status::WhatsAppSessionStatus;
use crds::{WhatsAppSession, names};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Work, merged, posted, wrote};
use crate::call::{CallError, call};
use crate::gate::Kind;

fn sessions(work: Work<'_>) -> Api<WhatsAppSession> {
    Api::namespaced(work.context.world.client.clone(), &work.key.namespace)
}

/// Adds or removes the finalizer that keeps a session until its device is unlinked; others' stay.
pub(super) async fn finalizers(work: Work<'_>, wanted: bool) -> Result<(), CallError> {
    let meta = &work.seen.session.metadata;
    let mut all = meta.finalizers.clone().unwrap_or_default();
    all.retain(|one| one != names::UNLINK_FINALIZER);
    if wanted {
        all.push(names::UNLINK_FINALIZER.to_owned());
    }
    let change =
        json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version, "finalizers": all}});
    match call(sessions(work).patch_metadata(&work.key.name, &merged(), &Patch::Merge(change))).await {
        Ok(changed) => {
            wrote(work, Kind::Session, changed.metadata.resource_version.as_deref());
            Ok(())
        }
        Err(CallError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes the status.
///
/// # Errors
/// It was not written.
pub async fn write_status(work: Work<'_>, status: &WhatsAppSessionStatus) -> Result<(), CallError> {
    let body = json!({
        "apiVersion": "warest.io/v1alpha1",
        "kind": "WhatsAppSession",
        "metadata": {"name": work.key.name, "uid": work.seen.uid()},
        "status": status,
    });
    match call(sessions(work).patch_status(&work.key.name, &applied(), &Patch::Apply(body))).await {
        Ok(changed) => {
            work.context.metrics.write("patch", "WhatsAppSession/status");
            wrote(work, Kind::Session, changed.metadata.resource_version.as_deref());
            Ok(())
        }
        Err(CallError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
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
async fn create<K>(work: Work<'_>, kind: Kind, object: &K) -> Result<(), CallError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(work.context.world.client.clone(), &work.key.namespace);
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

/// Makes an object what it should be.
async fn apply<K>(work: Work<'_>, kind: Kind, object: &K) -> Result<(), CallError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(work.context.world.client.clone(), &work.key.namespace);
    let name = object.meta().name.clone().unwrap_or_default();
    let changed = call(api.patch(&name, &applied(), &Patch::Apply(object))).await?;
    wrote(work, kind, changed.meta().resource_version.as_deref());
    Ok(())
}

fn applied() -> PatchParams {
    PatchParams::apply(names::FIELD_MANAGER).force()
}
