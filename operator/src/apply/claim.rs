//! The writes to a session's claim.

use std::time::Instant;

use crds::conditions::reason;
use crds::names;
use crds::spec::RetentionPolicy;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::Patch;
use serde_json::{Value, json};

use super::{Work, gone, merged, only, posted, wrote};
use crate::build;
use crate::call::{CallError, call};
use crate::gate::{Expected, Kind};
use crate::observe::ClaimSeen;

fn claims(work: Work<'_>) -> Api<PersistentVolumeClaim> {
    Api::namespaced(work.context.world.client.clone(), &work.key.namespace)
}

pub(super) async fn create(work: Work<'_>) -> Result<(), CallError> {
    let Some(claim) = work.desired.and_then(|desired| desired.claim.as_ref()) else { return Ok(()) };
    let api = claims(work);
    let made = match call(api.create(&posted(), claim)).await {
        Err(CallError::Exists) => {
            let there = call(api.get(&names::claim(&work.key.name))).await?;
            let seen = ClaimSeen::of(&there);
            let ours = seen.session.as_deref() == Some(&work.key.name);
            ours.then_some(there).ok_or_else(|| CallError::Refused {
                reason: reason::CLAIM_NAME_CONFLICT,
                message: format!(
                    "A claim {} exists that is not this session's. It is left alone: delete it, or give this session another name.",
                    seen.name
                ),
            })?
        }
        answer => answer?,
    };
    wrote(work, Kind::Claim, made.metadata.resource_version.as_deref());
    Ok(())
}

pub(super) fn take(work: Work<'_>, uid: &str, version: Option<&String>) -> Value {
    let owned = work.seen.session.spec.retention_policy == RetentionPolicy::Delete;
    let owners = if owned { vec![build::owner(work.key, work.seen.uid())] } else { Vec::new() };
    let labels = build::labels(&work.key.name, work.seen.uid());
    json!({"metadata": {"uid": uid, "resourceVersion": version, "labels": labels, "ownerReferences": owners}})
}

pub(super) fn grow(work: Work<'_>, uid: &str) -> Value {
    let size = &work.seen.session.spec.storage.size;
    json!({"metadata": {"uid": uid}, "spec": {"resources": {"requests": {"storage": size}}}})
}

pub(super) async fn patch(work: Work<'_>, change: Value) -> Result<(), CallError> {
    let name = names::claim(&work.key.name);
    let changed = call(claims(work).patch(&name, &merged(), &Patch::Merge(change))).await?;
    wrote(work, Kind::Claim, changed.metadata.resource_version.as_deref());
    Ok(())
}

pub(super) async fn delete(work: Work<'_>, uid: &str) -> Result<(), CallError> {
    let name = names::claim(&work.key.name);
    gone(call(claims(work).delete(&name, &only(uid, None))).await)?;
    let expected = Expected::Deleted { name, uid: uid.to_owned() };
    work.context.world.gate.expect(work.key, Kind::Claim, expected, Instant::now());
    Ok(())
}
