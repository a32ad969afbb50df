//! The volumes of a cluster: a provisioner for the storage classes `standard` and `immediate`.
//!
//! Comes in: claims. Goes out: persistent volumes, each a folder of the cluster, as if on storage that every node reaches.
//! A claim of class `standard` gets its volume once the scheduler has chosen a node for its first pod, one of class
//! `immediate` at once. Claims may grow. A released volume goes when its policy says so, with its folder.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::Shared;

/// Name of the provisioner.
const NAME: &str = "warest.io/process-node";

/// Claims that are worked on at the same time.
const PARALLEL: usize = 16;

/// Between two attempts to reach the API.
const RETRY: Duration = Duration::from_millis(300);

/// The storage classes, `standard` as the default one.
pub(super) fn classes() -> Vec<StorageClass> {
    let class = |name: &str, default: &str, mode: &str| {
        let class = json!({
            "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default}},
            "provisioner": NAME, "reclaimPolicy": "Delete", "volumeBindingMode": mode, "allowVolumeExpansion": true,
        });
        serde_json::from_value(class).expect("a storage class")
    };
    vec![class("standard", "true", "WaitForFirstConsumer"), class("immediate", "false", "Immediate")]
}

/// Runs until it is dropped.
pub(super) async fn run(client: Client, shared: Arc<Shared>) {
    tokio::join!(claims(&client, &shared), volumes(&client, &shared));
}

async fn claims(client: &Client, shared: &Shared) {
    let events = watcher(Api::<PersistentVolumeClaim>::all(client.clone()), Config::default());
    let each = events.for_each_concurrent(PARALLEL, |event| async {
        match event {
            Ok(Event::Apply(claim) | Event::InitApply(claim)) => provide(client, shared, &claim).await,
            Ok(Event::Delete(_) | Event::Init | Event::InitDone) => {}
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    });
    each.await;
}

/// Gives a claim what it waits for.
async fn provide(client: &Client, shared: &Shared, claim: &PersistentVolumeClaim) {
    if let Some(volume) = volume(claim, shared) {
        // Made before, or made again when the claim changes.
        let volumes: Api<PersistentVolume> = Api::all(client.clone());
        let _ = volumes.create(&PostParams::default(), &volume).await;
    }
    if let Some(size) = growth(claim) {
        grow(client, claim, &size).await;
    }
}

/// The volume that a claim waits for.
fn volume(claim: &PersistentVolumeClaim, shared: &Shared) -> Option<PersistentVolume> {
    let (annotations, spec) = (claim.annotations(), claim.spec.as_ref()?);
    let ours = annotations.get("volume.kubernetes.io/storage-provisioner").is_some_and(|name| name == NAME);
    let class = spec.storage_class_name.as_deref()?;
    let chosen = class == "immediate" || annotations.contains_key("volume.kubernetes.io/selected-node");
    if !ours || !chosen || spec.volume_name.is_some() || claim.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let name = format!("pvc-{}", claim.uid()?);
    let volume = json!({
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": NAME}},
        "spec": {
            "capacity": {"storage": requested(claim)?}, "accessModes": spec.access_modes, "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Delete", "volumeMode": "Filesystem",
            "hostPath": {"path": shared.volumes().join(&name), "type": "DirectoryOrCreate"},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim.name_any(),
                "namespace": claim.namespace(), "uid": claim.uid(), "resourceVersion": claim.resource_version()},
        },
    });
    serde_json::from_value(volume).ok()
}

fn requested(claim: &PersistentVolumeClaim) -> Option<String> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    Some(requests.get("storage")?.0.clone())
}

/// The size that a bound claim asks for and has not got.
fn growth(claim: &PersistentVolumeClaim) -> Option<String> {
    let has = claim.status.as_ref()?.capacity.as_ref()?.get("storage")?;
    requested(claim).filter(|wanted| *wanted != has.0)
}

async fn grow(client: &Client, claim: &PersistentVolumeClaim, size: &str) {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
    let merge = |patch: Value| Patch::Merge(patch);
    let larger = merge(json!({"spec": {"capacity": {"storage": size}}}));
    if volumes.patch(&volume, &PatchParams::default(), &larger).await.is_ok() {
        let larger = merge(json!({"status": {"capacity": {"storage": size}}}));
        let _ = claims.patch_status(&claim.name_any(), &PatchParams::default(), &larger).await;
    }
}

async fn volumes(client: &Client, shared: &Shared) {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let mut events = pin!(watcher(volumes.clone(), Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(volume) | Event::InitApply(volume)) if is_waste(&volume) => {
                let _ = std::fs::remove_dir_all(shared.volumes().join(volume.name_any()));
                let _ = volumes.delete(&volume.name_any(), &DeleteParams::default()).await;
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Whether nobody wants a volume of ours any more.
fn is_waste(volume: &PersistentVolume) -> bool {
    let ours = volume.annotations().get("pv.kubernetes.io/provisioned-by").is_some_and(|name| name == NAME);
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    ours && released && policy == Some("Delete") && volume.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_is_the_default() {
        let default = |class: &StorageClass| {
            class.annotations()["storageclass.kubernetes.io/is-default-class"] == "true"
        };
        let names: Vec<_> =
            classes().iter().filter(|class| default(class)).map(ResourceExt::name_any).collect();
        assert_eq!(names, ["standard"]);
    }

    #[test]
    fn only_what_was_released_and_may_go_is_waste() {
        let volume = |phase: &str, policy: &str| {
            let volume = json!({
                "metadata": {"name": "v", "annotations": {"pv.kubernetes.io/provisioned-by": NAME}},
                "spec": {"persistentVolumeReclaimPolicy": policy}, "status": {"phase": phase},
            });
            is_waste(&serde_json::from_value(volume).unwrap())
        };
        assert!(volume("Released", "Delete"));
        assert!(!volume("Released", "Retain") && !volume("Bound", "Delete"));
    }

    #[test]
    fn a_claim_grows_when_it_asks_for_more_than_it_has() {
        let claim = |wanted: &str| {
            let claim = json!({"spec": {"resources": {"requests": {"storage": wanted}}}, "status": {"capacity": {"storage": "1Gi"}}});
            growth(&serde_json::from_value(claim).unwrap())
        };
        assert_eq!(claim("1Gi"), None);
        assert_eq!(claim("2Gi").as_deref(), Some("2Gi"));
    }
}
