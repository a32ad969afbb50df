//! Steps: another image by `helm upgrade`, suspension, and what a session's pod costs.

use std::cell::RefCell;

use serde_json::Value;
use system_tests::wait::within;

use crate::installed::simulated;
use crate::kubernetes::{LIMIT, NAMESPACE};
use crate::world::{SESSION, World};

/// Most memory of a session's pod, the pause container included, bytes.
const GOAL: f64 = 24.0 * MIB;

const MIB: f64 = 1024.0 * 1024.0;

/// Another tag is another image to everybody but the runtime.
pub(crate) async fn image(world: &mut World) {
    let before = world.kubernetes.get(&format!("pod/{SESSION}")).await;
    let uid = world.pod_uid().await;
    let image = before["spec"]["containers"][0]["image"].as_str().expect("an image");
    let name = |image: &str| format!("docker.io/{}", image.trim_start_matches("docker.io/"));
    let next = format!("{image}-next");
    world.kubernetes.ctr(&format!("images tag --force {} {}", name(image), name(&next))).await;
    let upgrade = format!("helm -n {NAMESPACE} upgrade warest charts/warest {}", simulated("simulator-next"));
    world.kubernetes.shell(&upgrade, "").await.ok();
    world.replaced(&uid).await;
    let after = world.kubernetes.get(&format!("pod/{SESSION}")).await;
    assert_eq!(after["spec"]["containers"][0]["image"], next.as_str());
    world.kubernetes.kubectl("rollout status deployment/warest-operator --timeout=180s").await;
    world.resumed().await;
    world.opened_once_more().await;
}

async fn mode(world: &World, mode: &str) {
    let patch = format!(r#"patch was {SESSION} --type merge -p '{{"spec":{{"operatingMode":"{mode}"}}}}'"#);
    world.kubernetes.kubectl(&patch).await;
}

async fn claim(world: &World) -> Value {
    world.kubernetes.get(&format!("pvc/{SESSION}-session")).await
}

pub(crate) async fn suspended(world: &mut World) {
    let (uid, before) = (world.pod_uid().await, claim(world).await);
    mode(world, "Suspended").await;
    world.kubernetes.kubectl(&format!("wait --for=condition=Suspended was/{SESSION} --timeout=120s")).await;
    world.kubernetes.kubectl(&format!("wait --for=delete pod/{SESSION} --timeout=120s")).await;
    let kept = claim(world).await;
    assert_eq!(kept["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(kept["spec"]["volumeName"], before["spec"]["volumeName"]);
    mode(world, "Running").await;
    world.replaced(&uid).await;
    world.resumed().await;
    world.opened_once_more().await;
}

/// The kubelet's own figure, of the pod's cgroup: the session program and the pause container.
pub(crate) async fn memory(world: &mut World) {
    let pod = world.kubernetes.get(&format!("pod/{SESSION}")).await;
    let (uid, node) = (world.pod_uid().await, pod["spec"]["nodeName"].as_str().expect("a node"));
    let (kubernetes, first) = (&world.kubernetes, RefCell::new(None));
    let bytes = within(LIMIT, "a later figure of the kubelet's than the first", || async {
        let path = format!("get --raw /api/v1/nodes/{node}/proxy/stats/summary");
        let stats: Value = serde_json::from_str(&kubernetes.kubectl(&path).await).expect("JSON");
        let pods = stats["pods"].as_array()?;
        let memory = &pods.iter().find(|pod| pod["podRef"]["uid"] == uid.as_str())?["memory"];
        // The first may be from a time when the session was not there yet.
        let earliest = first.borrow_mut().get_or_insert_with(|| memory["time"].clone()).clone();
        memory["workingSetBytes"].as_f64().filter(|bytes| *bytes > 0.0 && memory["time"] != earliest)
    })
    .await;
    let (mib, goal) = (bytes / MIB, GOAL / MIB);
    println!("e2e: a session's pod has a working set of {mib:.1} MiB (goal: at most {goal} MiB)");
    assert!(bytes <= GOAL, "{mib:.1} MiB");
}
