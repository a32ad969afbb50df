//! Where the gateway looks for sessions: some namespaces, or all of them.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::cluster::{Cluster, ClusterConfig};
use system_tests::crd;
use system_tests::roles;
use system_tests::wait::eventually;

use super::gateway::{ADMIN, Gateway, KEYS, KEYS_SECRET, apply, cluster_key, get, keys};
use super::session;

/// A gateway with the chart's own rights, installed into `own` with these values and this environment.
async fn installed(cluster: &Cluster, own: &str, values: &[&str], more: &[(&str, &str)]) -> Gateway {
    let account = roles::install(cluster, own, values).await.gateway;
    keys(cluster, own, KEYS).await;
    cluster_key(cluster, own).await;
    let kubeconfig = cluster.kubeconfig_for_service_account(own, &account).await;
    Gateway::with(own, &kubeconfig, &[&KEYS_SECRET[..], more].concat()).await.ready().await
}

async fn sees(gateway: &Gateway, ids: &[&str]) {
    let wanted = async || (gateway.ids(ADMIN).await == ids).then_some(());
    eventually(&format!("the sessions {ids:?}"), wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_found_where_they_are_looked_for() {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    crd::install(&cluster).await;
    let [home, shops, labs, hall, main] =
        ["home", "shops", "labs", "hall", "main"].map(|name| cluster.namespace(name));
    let (home, shops, labs, hall, main) = tokio::join!(home, shops, labs, hall, main);
    for (namespace, name) in [(&home, "own"), (&shops, "shop"), (&labs, "lab"), (&shops, "own")] {
        apply(&cluster, namespace, &session(name)).await;
    }
    let watched = format!("{home},{shops}");
    let values =
        [&format!("watchNamespaces={{{watched}}}"), &format!("gateway.watchNamespaces={{{watched}}}")];
    let some =
        installed(&cluster, &home, &values.map(String::as_str), &[("WAREST_WATCH_NAMESPACES", &watched)])
            .await;
    let values = ["gateway.watchNamespaces={*}", &format!("gateway.sessionsNamespace={hall}")];
    let all = [("WAREST_WATCH_NAMESPACES", "*"), ("WAREST_NAMESPACE", &hall)];
    let all = installed(&cluster, &main, &values, &all).await;
    sees(&some, &["own", "shop"]).await;
    sees(&all, &["lab", "own", "shop"]).await;
    let hidden = some.get("/health/misc").await.ok();
    assert_eq!(
        hidden["problemCount"], 1,
        "two of one name: the one at home has the id, the other is told: {hidden}"
    );

    some.call(ADMIN, Method::DELETE, "/api/sessions/lab", &Value::Null).await.error(404, "session_not_found");
    some.post("/api/sessions", &json!({"id": "new"})).await.ok();
    let hook = json!({"id": "hall", "webhookUrl": "https://x.example/", "webhookSecret": "s3cret"});
    all.post("/api/sessions", &hook).await.ok();
    get(&cluster, &hall, "secret/hall-webhook").await;
    all.call(ADMIN, Method::DELETE, "/api/sessions/hall", &Value::Null).await.ok();
    let elsewhere = json!({"id": "shop", "webhookUrl": "https://x.example/", "webhookSecret": "s3cret"});
    for gateway in [&some, &all] {
        let told = gateway.post("/api/sessions", &elsewhere).await.error(400, "invalid_body");
        assert!(told.contains(&shops) && told.contains("secretRef"), "{told}");
    }
    some.post("/api/sessions", &json!({"id": "shop", "label": "Shop"})).await.ok();
    assert_eq!(get(&cluster, &shops, "whatsappsession/shop").await["spec"]["displayName"], "Shop");
    all.call(ADMIN, Method::DELETE, "/api/sessions/lab", &Value::Null).await.ok();
    sees(&some, &["new", "own", "shop"]).await;
    sees(&all, &["new", "own", "shop"]).await;
    let later = cluster.namespace("later").await;
    apply(&cluster, &later, &session("late")).await;
    sees(&all, &["late", "new", "own", "shop"]).await;
    cluster.kubectl(&["-n", &home, "delete", "whatsappsession/own"]).await.ok();
    eventually("the other session of this name", async || {
        let misc = some.get("/health/misc").await.ok();
        (misc["problemCount"] == 0).then_some(())
    })
    .await;
    sees(&some, &["new", "own", "shop"]).await;
}
