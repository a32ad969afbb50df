//! `helm upgrade` and `helm uninstall` with a session that runs: it is restarted when its own image changes, and by nothing else.

use serde_json::Value;
use system_tests::wait::within;

use super::running::{Installed, LIMIT};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_every_upgrade_and_the_release() {
    let installed = Installed::start().await;
    installed.rig.phone().await.scan(&installed.qr("toko").await).await;
    ready(&installed).await;
    let before = pod(&installed).await;

    upgrade(&installed, "operator.log=debug,gateway.log=debug,operator.replicas=2").await;
    assert_eq!(
        pod(&installed).await["metadata"]["uid"],
        before["metadata"]["uid"],
        "nothing of the session has changed"
    );

    upgrade(&installed, "session.image.tag=next").await;
    within(LIMIT, "the session's pod to have the new image", || async {
        let all = installed.kubectl(&["get", "pods", "-l", "warest.io/session=toko", "-o", "json"]).await;
        let all: Value = serde_json::from_str(&all).unwrap();
        let images = all["items"].as_array()?.iter().map(|pod| pod["spec"]["containers"][0]["image"].clone());
        (images.collect::<Vec<_>>() == ["warest/session-pod:next"]).then_some(())
    })
    .await;
    ready(&installed).await;
    let upgraded = pod(&installed).await;

    installed.cluster.helm(&["uninstall", "warest", "-n", &installed.namespace, "--wait"]).await.ok();
    assert_eq!(
        pod(&installed).await["metadata"]["uid"],
        upgraded["metadata"]["uid"],
        "it runs without the release"
    );
    let kept = installed
        .kubectl(&["get", "whatsappsession/toko", "pvc/toko-session", "secret/warest-api-keys", "-o", "name"])
        .await;
    assert_eq!(kept.lines().count(), 3, "{kept}");
}

async fn upgrade(installed: &Installed, set: &str) {
    let chart = super::chart().to_string_lossy().into_owned();
    let upgrade = ["upgrade", "warest", &chart, "-n", &installed.namespace, "--reuse-values", "--set", set];
    installed.cluster.helm(&upgrade).await.ok();
    for deployment in ["deployment/warest-operator", "deployment/warest-gateway"] {
        installed.kubectl(&["rollout", "status", deployment, "--timeout=100s"]).await;
    }
}

async fn pod(installed: &Installed) -> Value {
    serde_json::from_str(&installed.kubectl(&["get", "pod", "toko", "-o", "json"]).await).unwrap()
}

async fn ready(installed: &Installed) {
    installed.kubectl(&["wait", "--for=condition=Ready", "whatsappsession/toko", "--timeout=100s"]).await;
}
