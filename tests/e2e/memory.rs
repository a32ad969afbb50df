//! What sessions take of their node's memory, by the kubelet's own figures.
//!
//! Comes in: `/stats/summary` of the node. Goes out: the step that holds one pod to the goal, and the bench's figures of many, which it
//! must not assert. A pod's figures are those of its cgroup: the session program and the pause container. Pages of the image's files
//! are counted to the pod that read them first.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use system_tests::gateway::Rest;
use system_tests::wait::within;

use crate::kubernetes::{Kubernetes, LIMIT, NAMESPACE};
use crate::world::{SESSION, World};

/// Most memory of a session's pod, bytes.
const GOAL: f64 = 24.0 * MIB;

const MIB: f64 = 1024.0 * 1024.0;

/// How many sessions pair at a time.
const AT_ONCE: usize = 4;

/// A pod by its UID → bytes.
type Memory = BTreeMap<String, Figures>;

/// Of one pod, bytes.
#[derive(Debug, Clone)]
struct Figures {
    name: String,
    time: String,
    /// What the kernel could not take back at once.
    working_set: f64,
    /// Anonymous memory of its containers but pause.
    anonymous: f64,
}

/// One session's pod keeps to the goal.
pub(crate) async fn one(world: &mut World) {
    let uid = world.pod_uid().await;
    let pods = later_figures(&world.kubernetes, &[uid]).await;
    let mib = pods.values().next().expect("the pod").working_set / MIB;
    println!("e2e: a session's pod has a working set of {mib:.1} MiB (goal: at most {} MiB)", GOAL / MIB);
    assert!(mib * MIB <= GOAL, "{mib:.1} MiB");
}

/// The bench: so many sessions, each linked and with a text sent and one received.
pub(crate) async fn many(world: &mut World, sessions: usize) {
    let (rest, _) = world.gateway().await;
    let (world, rest) = (&*world, &rest);
    let linked = (1..=sessions).map(|number| linked(world, rest, format!("{SESSION}-{number}")));
    let uids: Vec<String> = futures_util::stream::iter(linked).buffer_unordered(AT_ONCE).collect().await;
    print(&later_figures(&world.kubernetes, &uids).await);
}

/// Makes a session and links it; a text goes out and one comes in. Gives its pod's UID.
async fn linked(world: &World, rest: &Rest, name: String) -> String {
    let manifest = json!({
        "apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"displayName": name},
    });
    world.kubernetes.shell("kubectl apply -f -", &manifest.to_string()).await.ok();
    let code = within(LIMIT, "a QR code through the gateway", || async {
        let answer = rest.get(&format!("/api/sessions/{name}/qr?wait=5")).await;
        answer.body["qr"].as_str().map(str::to_owned)
    })
    .await;
    let phone = world.rig().phone().await;
    phone.scan(&code).await;
    world.kubernetes.kubectl(&format!("wait --for=condition=Ready was/{name} --timeout=180s")).await;
    rest.session_is(&name, "open").await;
    let text = format!("Halo dari {name}");
    let body = json!({"sessionId": name, "to": world.friend().number, "text": text});
    rest.post("/api/messages/text", &body).await.ok();
    world.friend().receives(&text).await;
    world.friend().send(&phone.number, "Hai").await;
    let pod = world.kubernetes.get(&format!("pod/{name}")).await;
    pod["metadata"]["uid"].as_str().expect("a UID").to_owned()
}

/// The figures of pods that were taken after those that are there now: these may be from a time before the sessions were.
async fn later_figures(kubernetes: &Kubernetes, uids: &[String]) -> Memory {
    let first = RefCell::new(None);
    within(LIMIT, "later figures of the kubelet's than the first", || async {
        let now = figures(kubernetes, uids).await?;
        let earliest = first.borrow_mut().get_or_insert_with(|| now.clone()).clone();
        let later = now.iter().all(|(uid, figures)| figures.time != earliest[uid].time);
        later.then_some(now)
    })
    .await
}

/// What the kubelets have of these pods, once they have all of them.
async fn figures(kubernetes: &Kubernetes, uids: &[String]) -> Option<Memory> {
    let nodes = kubernetes.kubectl("get nodes -o jsonpath={.items[*].metadata.name}").await;
    let mut found = Memory::new();
    for node in nodes.split_whitespace() {
        let stats = kubernetes.kubectl(&format!("get --raw /api/v1/nodes/{node}/proxy/stats/summary")).await;
        let stats: Value = serde_json::from_str(&stats).expect("JSON");
        let pods = stats["pods"].as_array()?.iter().filter_map(of_pod);
        found.extend(pods.filter(|(uid, _)| uids.contains(uid)));
    }
    (found.len() == uids.len()).then_some(found)
}

fn of_pod(pod: &Value) -> Option<(String, Figures)> {
    let containers = pod["containers"].as_array()?.iter();
    let figures = Figures {
        name: pod["podRef"]["name"].as_str()?.to_owned(),
        time: pod["memory"]["time"].as_str()?.to_owned(),
        working_set: pod["memory"]["workingSetBytes"].as_f64().filter(|bytes| *bytes > 0.0)?,
        anonymous: containers.filter_map(|container| container["memory"]["rssBytes"].as_f64()).sum(),
    };
    Some((pod["podRef"]["uid"].as_str()?.to_owned(), figures))
}

fn print(pods: &Memory) {
    println!("bench: {:24} {:>16} {:>14}", "pod", "working set MiB", "anonymous MiB");
    let mut all: Vec<&Figures> = pods.values().collect();
    all.sort_by(|one, other| one.working_set.total_cmp(&other.working_set));
    for pod in &all {
        println!("bench: {:24} {:16.1} {:14.1}", pod.name, pod.working_set / MIB, pod.anonymous / MIB);
    }
    if let (Some(least), Some(most)) = (all.first(), all.last()) {
        let median = all[all.len() / 2].working_set / MIB;
        println!(
            "bench: a session's pod, pause container included: median {median:.1} MiB, from {:.1} to {:.1} (goal: at most {} MiB)",
            least.working_set / MIB,
            most.working_set / MIB,
            GOAL / MIB
        );
    }
}
