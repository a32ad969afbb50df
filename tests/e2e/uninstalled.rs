//! Steps: what is left of a release, that the next one takes it up, and what the witnesses say of all that happened.

use reqwest::Method;
use serde_json::Value;
use system_tests::wait::within;

use crate::kubernetes::{LIMIT, NAMESPACE};
use crate::upgraded::NEXT;
use crate::world::{SESSION, World};

/// What the chart's notes promise to leave.
const KEPT: [&str; 5] = [
    "crd/whatsappsessions.warest.io",
    "was/toko",
    "pvc/toko-session",
    "secret/warest-cluster-key",
    "secret/warest-api-keys",
];

pub(crate) async fn kept(world: &mut World) {
    let before = world.pod_uid().await;
    world
        .kubernetes
        .shell(&format!("helm -n {NAMESPACE} uninstall warest --wait --timeout 3m"), "")
        .await
        .ok();
    for what in KEPT {
        world.kubernetes.get(what).await;
    }
    let kubernetes = &world.kubernetes;
    within(LIMIT, "operator and gateway to be gone, and the session alone to go on", || async {
        let pods = kubernetes.kubectl("get pods -o name").await;
        (pods.trim() == format!("pod/{SESSION}")).then_some(())
    })
    .await;
    assert_eq!(world.pod_uid().await, before);
    let claim = world.kubernetes.get("pvc/toko-session").await;
    assert_eq!(claim["status"]["phase"], "Bound");
    let phones = world.rig().control(Method::GET, "/phones", &Value::Null).await.ok();
    let online = phones["items"]
        .as_array()
        .expect("phones")
        .iter()
        .any(|phone| phone["number"] == *world.phone().number && phone["devices"][0]["online"] == true);
    assert!(online, "{phones}");
}

pub(crate) async fn taken_up(world: &mut World) {
    let before = world.pod_uid().await;
    let install = format!("helm -n {NAMESPACE} install warest charts/warest {NEXT} --wait --timeout 3m");
    world.kubernetes.shell(&install, "").await.ok();
    world.ready().await;
    world.resumed().await;
    assert_eq!(world.pod_uid().await, before, "the session was not disturbed");
}

pub(crate) async fn judged(world: &mut World) {
    // Made by: the resource, a deleted pod, a drained node, another image, a resumption; and the one life of the session made by REST.
    let (lives, starts) = (5 + 1, world.opened + 1);
    assert_eq!(world.pods.as_ref().expect("a witness").pods(), lives, "pods of the sessions");
    world.pairings.as_ref().expect("a witness").only_once();
    if let Some(writers) = world.writers.take() {
        // One more start than pods: the killed container.
        let seen = writers.stop();
        assert_eq!(i64::try_from(seen.len()).expect("a few"), starts, "{seen:?}");
    }
    world.rig().nothing_unknown().await;
}
