//! Steps: what happens to pods in the life of a cluster. The session resumes each time, by what is on its volume.

use std::time::{Duration, Instant};

use serde_json::Value;
use system_tests::wait::within;

use crate::kubernetes::LIMIT;
use crate::world::{SESSION, World};

/// `kubectl drain` may take so much longer than the longest grace period of a pod.
const BEYOND_GRACE: Duration = Duration::from_secs(30);

pub(crate) async fn pod_deleted(world: &mut World) {
    let before = world.pod_uid().await;
    world.kubernetes.kubectl(&format!("delete pod {SESSION}")).await;
    world.replaced(&before).await;
    world.resumed().await;
    world.opened_once_more().await;
}

/// The one container of the session's pod.
async fn container(world: &World) -> Option<Value> {
    let pod = world.kubernetes.find(&format!("pod/{SESSION}")).await?;
    pod["status"]["containerStatuses"].get(0).cloned()
}

pub(crate) async fn container_killed(world: &mut World) {
    let uid = world.pod_uid().await;
    let before = container(world).await.expect("a container");
    let id = before["containerID"].as_str().and_then(|id| id.strip_prefix("containerd://")).expect("an id");
    world.kubernetes.ctr(&format!("tasks kill --signal SIGKILL {id}")).await;
    within(LIMIT, "the container to be started again", || async {
        let now = container(world).await?;
        let again = now["restartCount"].as_i64()? == before["restartCount"].as_i64()? + 1;
        (again && now["ready"] == true).then_some(())
    })
    .await;
    assert_eq!(world.pod_uid().await, uid, "the same pod");
    world.ready().await;
    world.resumed().await;
    world.opened_once_more().await;
}

pub(crate) async fn node_drained(world: &mut World) {
    let pod = world.kubernetes.get(&format!("pod/{SESSION}")).await;
    let (before, node) =
        (world.pod_uid().await, pod["spec"]["nodeName"].as_str().expect("a node").to_owned());
    let grace = grace(world).await;
    let begun = Instant::now();
    let drain = format!("drain {node} --ignore-daemonsets --delete-emptydir-data");
    world.kubernetes.kubectl(&drain).await;
    let took = begun.elapsed();
    println!("e2e: drained in {:.1} s (grace {} s)", took.as_secs_f32(), grace.as_secs());
    assert!(took <= grace + BEYOND_GRACE, "the node was drained in {took:?}, with a grace of {grace:?}");
    world.kubernetes.kubectl(&format!("uncordon {node}")).await;
    world.replaced(&before).await;
    for deployment in ["warest/warest-gateway", "warest/warest-operator", "simulator/simulator"] {
        let (namespace, name) = deployment.split_once('/').expect("namespace/name");
        let status = format!("kubectl -n {namespace} rollout status deployment/{name} --timeout=180s");
        world.kubernetes.shell(&status, "").await.ok();
    }
    world.call_phones().await;
    world.ready().await;
    world.resumed().await;
    world.opened_once_more().await;
}

/// The longest grace period of any pod that we run.
async fn grace(world: &World) -> Duration {
    let pods = world.kubernetes.kubectl("get pods -o json").await;
    let pods: Value = serde_json::from_str(&pods).expect("JSON");
    let all = pods["items"].as_array().expect("pods").iter();
    let longest = all.filter_map(|pod| pod["spec"]["terminationGracePeriodSeconds"].as_u64()).max();
    Duration::from_secs(longest.expect("a pod"))
}
