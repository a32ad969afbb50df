//! An operator that looks after some sessions only: several namespaces, and a selector. Others are none of its business, and one
//! that leaves is left as it is.

use crds::conditions::{READY, reason};
use crds::{WhatsAppSession, names};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use system_tests::roles;
use system_tests::stack::{Stack, condition};
use system_tests::wait::eventually;

/// The sessions of one namespace.
struct Place<'s> {
    stack: &'s Stack,
    namespace: String,
}

impl Place<'_> {
    fn sessions(&self) -> Api<WhatsAppSession> {
        Api::namespaced(self.stack.cluster().client(), &self.namespace)
    }

    /// Makes a session, of this team if one is named.
    async fn apply(&self, name: &str, team: Option<&str>) {
        let mut manifest: Value = serde_json::from_str(&self.stack.manifest(name, json!({}))).unwrap();
        manifest["metadata"]["labels"] = team.map_or_else(|| json!({}), |team| json!({"team": team}));
        let arguments = ["-n", &self.namespace, "apply", "-f", "-"];
        self.stack.cluster().kubectl_in(&arguments, &manifest.to_string()).await.ok();
    }

    async fn merge(&self, name: &str, patch: Value) {
        self.sessions().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn reaches(&self, name: &str, wanted: &str) {
        eventually(&format!("{name} to be {wanted}"), || async {
            let ready = condition(&self.sessions().get(name).await.ok()?, READY)?;
            (ready.reason == wanted).then_some(())
        })
        .await;
    }

    async fn pods(&self) -> Vec<(String, String)> {
        let pods: Api<Pod> = Api::namespaced(self.stack.cluster().client(), &self.namespace);
        let all = pods.list(&ListParams::default().labels(names::SESSION)).await.unwrap();
        let meta = all.into_iter().map(|pod| pod.metadata).filter(|meta| meta.deletion_timestamp.is_none());
        meta.map(|meta| (meta.name.unwrap(), meta.uid.unwrap())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_sessions_of_its_namespaces_and_selector_are_looked_after() {
    let mut stack = Stack::without_operator().await;
    let namespace = stack.namespace().to_owned();
    let second = stack.cluster().restricted_namespace("second").await;
    let third = stack.cluster().restricted_namespace("third").await;
    let both = format!("{namespace},{second}");
    roles::install(stack.cluster(), &namespace, &[&format!("watchNamespaces={{{both}}}")]).await;
    stack.start_operator(&[("WAREST_WATCH_NAMESPACES", &both), ("WAREST_SELECTOR", "team=shop")]).await;
    let [own, second, third] = [namespace, second, third].map(|namespace| Place { stack: &stack, namespace });
    own.apply("toko", Some("shop")).await;
    own.apply("warung", Some("kitchen")).await;
    second.apply("warung", None).await;
    third.apply("toko", Some("shop")).await;
    second.apply("kedai", Some("shop")).await;
    for (place, name) in [(&own, "toko"), (&second, "kedai")] {
        place.reaches(name, reason::AWAITING_PAIRING).await;
        assert_eq!(place.pods().await.iter().map(|pod| pod.0.as_str()).collect::<Vec<_>>(), [name]);
    }
    for (place, name) in [(&own, "warung"), (&second, "warung"), (&third, "toko")] {
        assert_eq!(place.sessions().get(name).await.unwrap().status, None, "{}/{name}", place.namespace);
    }
    assert_eq!(third.pods().await, []);

    // One that leaves goes on as it is, whatever is asked of it: somebody else may look after it now.
    let before = own.pods().await;
    own.merge("toko", json!({"metadata": {"labels": {"team": "kitchen"}}})).await;
    own.merge("toko", json!({"spec": {"operatingMode": "Suspended"}})).await;
    second.merge("kedai", json!({"spec": {"operatingMode": "Suspended"}})).await;
    second.reaches("kedai", reason::SUSPENDED).await;
    second.merge("kedai", json!({"spec": {"operatingMode": "Running"}})).await;
    second.reaches("kedai", reason::AWAITING_PAIRING).await;
    assert_eq!(own.pods().await, before);
    own.reaches("toko", reason::AWAITING_PAIRING).await;
    // And one that comes in is taken as it is found.
    own.merge("toko", json!({"metadata": {"labels": {"team": "shop"}}})).await;
    own.reaches("toko", reason::SUSPENDED).await;
    assert_eq!(own.pods().await, []);
}
