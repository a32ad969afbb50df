//! A node towards the API: it registers, says that it lives, and follows the pods that are bound to it.
//!
//! Comes in: a node and its client. Goes out: the Node object, its lease, and one task per pod.
//! It must not know what a pod does: it only hands on what the API says.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::inner::Inner;
use super::logs;
use super::sources::{Failure, call};
use super::status::time;

/// Between two attempts to reach the API.
const RETRY: Duration = Duration::from_millis(300);

const LEASE_SECONDS: i32 = 40;

/// Runs until it is dropped.
pub(super) async fn run(node: Arc<Inner>) {
    tokio::join!(live(&node), follow(&node), answer(&node));
}

/// Serves what the API server asks of a kubelet.
async fn answer(node: &Arc<Inner>) {
    match TcpListener::bind((node.address, node.port)).await {
        Ok(listener) => logs::serve(Arc::clone(node), listener, node.acceptor()).await,
        Err(error) => node.note(&format!("no logs for kubectl: {error}")),
    }
}

async fn live(node: &Inner) {
    let nodes: Api<Node> = Api::all(node.client.clone());
    let leases: Api<Lease> = Api::namespaced(node.client.clone(), "kube-node-lease");
    loop {
        let object = serde_json::from_value(object(node)).expect("a node");
        match call(nodes.create(&PostParams::default(), &object)).await {
            Ok(_) | Err(Failure::Gone) => break,
            Err(Failure::Refused(text)) => return node.note(&format!("node refused: {text}")),
            Err(Failure::Away(_)) => tokio::time::sleep(RETRY).await,
        }
    }
    loop {
        let beat = async {
            let status = Patch::Strategic(status(node, node.now()));
            call(nodes.patch_status(&node.name, &PatchParams::default(), &status)).await?;
            renew(&leases, node).await
        };
        let pause = if beat.await.is_ok() { node.config.heartbeat } else { RETRY };
        tokio::time::sleep(pause).await;
    }
}

async fn renew(leases: &Api<Lease>, node: &Inner) -> Result<(), Failure> {
    let name = &node.name;
    let now = node.now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now},
    });
    match call(leases.patch(name, &PatchParams::default(), &Patch::Merge(&lease))).await {
        Err(Failure::Gone) => {
            let lease = serde_json::from_value(lease).expect("a lease");
            call(leases.create(&PostParams::default(), &lease)).await.map(drop)
        }
        other => other.map(drop),
    }
}

fn object(node: &Inner) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch(),
    });
    for (name, value) in &node.config.labels {
        labels[name] = json!(value);
    }
    json!({"metadata": {"name": node.name, "labels": labels}})
}

fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn status(node: &Inner, now: Timestamp) -> Value {
    let capacity = json!({"cpu": "64", "memory": "64Gi", "ephemeral-storage": "500Gi", "pods": "1000"});
    let conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
        ("Ready", "True", "KubeletReady"),
    ];
    let conditions = conditions.map(|(name, status, reason)| {
        json!({"type": name, "status": status, "reason": reason, "lastHeartbeatTime": time(now), "lastTransitionTime": time(node.since)})
    });
    json!({"status": {
        "capacity": capacity, "allocatable": capacity, "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": node.address}, {"type": "Hostname", "address": node.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": node.port}},
        "nodeInfo": {
            "machineID": node.name, "systemUUID": node.name, "bootID": node.name, "kernelVersion": "", "osImage": "process node",
            "containerRuntimeVersion": "process://1", "kubeletVersion": "v1.34.4-process-node", "kubeProxyVersion": "",
            "operatingSystem": "linux", "architecture": arch(),
        },
    }})
}

async fn follow(node: &Arc<Inner>) {
    let config = Config::default().fields(&format!("spec.nodeName={}", node.name));
    let mut events = pin!(watcher(Api::<Pod>::all(node.client.clone()), config));
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod)) => {
                listed.extend(pod.uid());
                node.accept(pod);
            }
            Ok(Event::InitDone) => node.release_all_but(&listed),
            Ok(Event::Apply(pod)) => node.accept(pod),
            Ok(Event::Delete(pod)) => node.release(pod),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}
