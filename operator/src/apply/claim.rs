//! The writes to a session's claim.

use std::time::Instant;

use crds::conditions::reason;
use crds::names;
use crds::spec::RetentionPolicy;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::Patch;
use serde_json::{Value, json};

use super::objects::now;
use super::{Work, gone, merged, only, posted, wrote};
use crate::build;
use crate::call::{CallError, call};
use crate::decide::conflict;
use crate::gate::{Expected, Kind};
use crate::observe::ClaimSeen;

fn claims(work: Work<'_>) -> Api<PersistentVolumeClaim> {
    Api::namespaced(work.context.world.client.clone(), work.key.namespace())
}

pub(super) async fn create(work: Work<'_>) -> Result<(), CallError> {
    let Some(claim) = work.desired.and_then(|desired| desired.claim.as_ref()) else { return Ok(()) };
    let api = claims(work);
    let made = match call(api.create(&posted(), claim)).await {
        Err(CallError::Exists) => {
            let there = call(api.get(&names::claim(work.key.name()))).await?;
            let claim = ClaimSeen::of(&there);
            if let Some(whose) = conflict(work.seen, &claim) {
                return Err(refused(&claim.name, &whose));
            }
            if !claim.labelled {
                // The watch does not show it without its labels: it would be made again at every look.
                return patch(work, taking(work, &claim)).await;
            }
            there
        }
        answer => answer?,
    };
    wrote(work, Kind::Claim, made.metadata.resource_version.as_deref());
    Ok(())
}

fn refused(name: &str, whose: &str) -> CallError {
    CallError::Refused {
        reason: reason::CLAIM_NAME_CONFLICT,
        message: format!(
            "A claim {name} exists that belongs to {whose}. It is left alone: delete it, or give this session another name."
        ),
    }
}

/// Gives the claim that was seen its labels and the owner that its policy says, and no other one.
pub(super) async fn take(work: Work<'_>, uid: &str, version: &str) -> Result<(), CallError> {
    let seen = work.seen.claim.as_ref().filter(|claim| claim.uid == uid && claim.version == version);
    match seen {
        Some(claim) => patch(work, taking(work, claim)).await,
        None => Ok(()),
    }
}

fn taking(work: Work<'_>, claim: &ClaimSeen) -> Value {
    let owned = work.seen.session.spec.retention_policy == RetentionPolicy::Delete;
    let own = owned.then(|| build::owner(work.key, work.seen.uid()));
    let owners = owners(own, &claim.others, work.seen.uid());
    let labels = build::labels(work.key.name(), work.seen.uid());
    let (uid, version) = (&claim.uid, &claim.version);
    json!({"metadata": {"uid": uid, "resourceVersion": version, "labels": labels, "ownerReferences": owners}})
}

/// A list is replaced as a whole: what others have put there stays.
fn owners(own: Option<OwnerReference>, others: &[OwnerReference], uid: &str) -> Vec<OwnerReference> {
    let foreign = others.iter().filter(|owner| owner.uid != uid).cloned();
    own.into_iter().chain(foreign).collect()
}

pub(super) fn grow(work: Work<'_>, uid: &str) -> Value {
    let size = &work.seen.session.spec.storage.size;
    json!({"metadata": {"uid": uid}, "spec": {"resources": {"requests": {"storage": size}}}})
}

pub(super) async fn patch(work: Work<'_>, change: Value) -> Result<(), CallError> {
    let name = names::claim(work.key.name());
    let changed = call(claims(work).patch(&name, &merged(), &Patch::Merge(change))).await?;
    wrote(work, Kind::Claim, changed.metadata.resource_version.as_deref());
    Ok(())
}

pub(super) async fn delete(work: Work<'_>, uid: &str) -> Result<(), CallError> {
    still_wanted(work).await?;
    let name = names::claim(work.key.name());
    let mut params = only(uid, None);
    let version = work.seen.claim.as_ref().map(|claim| claim.version.clone());
    if let Some(preconditions) = &mut params.preconditions {
        preconditions.resource_version = version;
    }
    gone(call(claims(work).delete(&name, &params)).await)?;
    let expected = Expected::Deleted { name, uid: uid.to_owned() };
    work.context.world.gate.expect(work.key, Kind::Claim, expected, Instant::now());
    Ok(())
}

/// A volume cannot be brought back: what is asked for is read anew before one is thrown away, as the watch of the sessions may
/// be late.
async fn still_wanted(work: Work<'_>) -> Result<(), CallError> {
    let there = now(work).await?;
    if is_as_seen(&work.seen.session.metadata, there.as_slice()) {
        return Ok(());
    }
    Err(CallError::Stale("the resource is not the one that asked for an empty volume".to_owned()))
}

/// Whether the one that is there is the one that was seen, unchanged.
fn is_as_seen(seen: &ObjectMeta, there: &[ObjectMeta]) -> bool {
    let same = |meta: &ObjectMeta| meta.uid == seen.uid && meta.resource_version == seen.resource_version;
    seen.resource_version.is_some() && there.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_references_of_others_stay_on_a_claim() {
        let owner = |uid: &str| OwnerReference { uid: uid.to_owned(), ..OwnerReference::default() };
        let uids =
            |owners: Vec<OwnerReference>| owners.into_iter().map(|owner| owner.uid).collect::<Vec<_>>();
        let others = [owner("backup"), owner("u-1")];
        assert_eq!(uids(owners(Some(owner("u-1")), &others, "u-1")), ["u-1", "backup"]);
        assert_eq!(uids(owners(None, &others, "u-1")), ["backup"]);
    }

    #[test]
    fn a_resource_counts_as_seen_only_while_nothing_has_changed() {
        let meta = |uid: &str, version: Option<&str>| ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: version.map(ToOwned::to_owned),
            ..ObjectMeta::default()
        };
        let seen = meta("u-1", Some("7"));
        assert!(is_as_seen(&seen, &[meta("u-1", Some("7"))]));
        assert!(!is_as_seen(&seen, &[meta("u-1", Some("8"))]));
        assert!(!is_as_seen(&seen, &[meta("u-2", Some("7"))]));
        assert!(!is_as_seen(&seen, &[]));
        assert!(!is_as_seen(&meta("u-1", None), &[meta("u-1", None)]));
    }
}
