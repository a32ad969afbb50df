//! Where the gateway looks for sessions: some namespaces, or all of them.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::cluster::{Cluster, ClusterConfig};
use system_tests::crd;
use system_tests::wait::eventually;

use super::gateway::{ADMIN, Gateway, KEYS, KEYS_SECRET, apply, cluster_key, keys};
use super::session;

/// A gateway that makes sessions in `home` and looks for them in these places.
async fn looking(cluster: &Cluster, home: &str, places: &str) -> Gateway {
    let more = [KEYS_SECRET[0], ("WAREST_WATCH_NAMESPACES", places)];
    Gateway::with(home, &cluster.kubeconfig(), &more).await.ready().await
}

async fn sees(gateway: &Gateway, ids: &[&str]) {
    let wanted = async || (gateway.ids(ADMIN).await == ids).then_some(());
    eventually(&format!("the sessions {ids:?}"), wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_found_where_they_are_looked_for() {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    crd::install(&cluster).await;
    let (home, shops, labs) =
        (cluster.namespace("home").await, cluster.namespace("shops").await, cluster.namespace("labs").await);
    keys(&cluster, &home, KEYS).await;
    cluster_key(&cluster, &home).await;
    for (namespace, name) in [(&home, "own"), (&shops, "shop"), (&labs, "lab"), (&shops, "own")] {
        apply(&cluster, namespace, &session(name)).await;
    }
    let some = looking(&cluster, &home, &format!("{home},{shops}")).await;
    let all = looking(&cluster, &home, "*").await;
    sees(&some, &["own", "shop"]).await;
    sees(&all, &["lab", "own", "shop"]).await;
    let hidden = some.get("/health/misc").await.ok();
    assert_eq!(
        hidden["problemCount"], 1,
        "two of one name: the one at home has the id, the other is told: {hidden}"
    );

    some.call(ADMIN, Method::DELETE, "/api/sessions/lab", &Value::Null).await.error(404, "session_not_found");
    some.post("/api/sessions", &json!({"id": "new"})).await.ok();
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
