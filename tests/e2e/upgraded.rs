//! Steps: another image by `helm upgrade`, and suspension.

use serde_json::Value;

use crate::kubernetes::NAMESPACE;
use crate::world::{SESSION, World};

/// The README's values for the simulated WhatsApp, and another image of the session program.
pub(crate) const NEXT: &str = concat!(
    "-f examples/simulator-values.yaml --set session.image.tag=",
    env!("CARGO_PKG_VERSION"),
    "-simulator-next"
);

/// Another tag is another image to everybody but the runtime.
pub(crate) async fn image(world: &mut World) {
    let before = world.kubernetes.get(&format!("pod/{SESSION}")).await;
    let uid = world.pod_uid().await;
    let image = before["spec"]["containers"][0]["image"].as_str().expect("an image");
    let name = |image: &str| format!("docker.io/{}", image.trim_start_matches("docker.io/"));
    let next = format!("{image}-next");
    world.kubernetes.ctr(&format!("images tag --force {} {}", name(image), name(&next))).await;
    let upgrade = format!("helm -n {NAMESPACE} upgrade warest charts/warest {NEXT}");
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
