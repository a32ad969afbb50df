//! The custom resource on a real API server: its rules, its defaults, and how it reads with kubectl.

use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use system_tests::cluster::{self, Cluster};
use system_tests::crd;

struct Sessions {
    cluster: &'static Cluster,
    namespace: String,
}

impl Sessions {
    async fn start() -> Self {
        let cluster = cluster::shared().await;
        crd::install(cluster).await;
        Self { cluster, namespace: cluster.namespace("crds").await }
    }

    fn api(&self) -> Api<crds::WhatsAppSession> {
        Api::namespaced(self.cluster.client(), &self.namespace)
    }

    async fn apply(&self, name: &str, spec: &Value) -> system_tests::cluster::Output {
        let session = json!({"apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": name}, "spec": spec});
        self.cluster.kubectl_in(&["-n", &self.namespace, "apply", "-f", "-"], &session.to_string()).await
    }

    async fn patch(&self, name: &str, spec: &Value) -> Result<crds::WhatsAppSession, kube::Error> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api().patch(name, &PatchParams::default(), &patch).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_session_gets_every_default() {
    let sessions = Sessions::start().await;
    sessions.apply("toko", &json!({})).await.ok();
    let toko = sessions.api().get("toko").await.unwrap();
    assert_eq!(toko.spec, crds::WhatsAppSessionSpec::default(), "the schema's defaults are the types'");
    let raw =
        sessions.cluster.kubectl(&["-n", &sessions.namespace, "get", "was", "toko", "-o", "json"]).await.ok();
    let spec = serde_json::from_str::<Value>(&raw).unwrap()["spec"].take();
    let expected = json!({
        "operatingMode": "Running", "retentionPolicy": "Retain", "onNodeLoss": "Wait", "onDelete": "KeepLinked",
        "updateStrategy": "Recreate", "terminationGracePeriodSeconds": 30, "pairing": {"method": "QrCode"},
        "storage": {"size": "1Gi", "accessMode": "ReadWriteOncePod"}, "policy": {}, "podMetadata": {}, "scheduling": {},
        "resources": {"requests": {}, "limits": {}},
    });
    assert_eq!(spec, expected, "they stand in the stored object: a reader needs no program of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_with_a_sentence() {
    let sessions = Sessions::start().await;
    let refused = [
        (json!({"pairing": {"method": "PairingCode"}}), "pairing by code needs phoneNumber"),
        (json!({"phoneNumber": "+628123456789"}), "spec.phoneNumber"),
        (json!({"operatingMode": "Paused"}), "supported values: \"Running\", \"Suspended\""),
        (json!({"webhooks": [{"url": "ftp://x"}]}), "spec.webhooks[0].url"),
        (json!({"webhooks": vec![json!({"url": "https://x"}); 11]}), "must have at most 10 items"),
        (
            json!({"webhooks": [{"url": "https://x", "secret": "s"}]}),
            "unknown field \"spec.webhooks[0].secret\"",
        ),
        (json!({"storage": {"size": "0Gi"}}), "spec.storage.size"),
        (
            json!({"storage": {"accessMode": "ReadWriteMany"}}),
            "supported values: \"ReadWriteOncePod\", \"ReadWriteOnce\"",
        ),
        (json!({"storage": {"existingClaim": {"name": "a"}, "storageClassName": "b"}}), "exclude each other"),
        (
            json!({"storage": {"existingClaim": {"name": "a", "subPath": "../b"}}}),
            "neither begins with / nor contains ..",
        ),
        (
            json!({"storage": {"existingClaim": {"name": "a", "subPath": "/b"}}}),
            "neither begins with / nor contains ..",
        ),
        (
            json!({"storage": {"existingClaim": {"name": "a"}}, "retentionPolicy": "Delete"}),
            "use retentionPolicy Retain",
        ),
        (
            json!({"storage": {"existingClaim": {"name": "a"}}, "volumeResetToken": "1"}),
            "an existing claim cannot be reset",
        ),
        (json!({"podMetadata": {"labels": {"warest.io/session": "x"}}}), "are the operator's own"),
        (json!({"podMetadata": {"labels": {"app.kubernetes.io/name": "x"}}}), "are the operator's own"),
        (json!({"podMetadata": {"annotations": {"warest.io/template-hash": "x"}}}), "are the operator's own"),
        (json!({"terminationGracePeriodSeconds": 1}), "should be greater than or equal to 5"),
        (json!({"policy": {"paceMs": -1}}), "should be greater than or equal to 0"),
        (json!({"image": "x".repeat(513)}), "may not be more than 512"),
        (json!({"webhook": "https://x"}), "unknown field \"spec.webhook\""),
    ];
    for (spec, sentence) in refused {
        let error = sessions.apply("refused", &spec).await.error();
        assert!(error.contains(sentence), "{spec}: {error}");
    }
    for name in ["a.b", &"x".repeat(64)] {
        let error = sessions.apply(name, &json!({})).await.error();
        assert!(error.contains("1 to 63 lower-case letters"), "{name}: {error}");
    }
    sessions.apply(&"x".repeat(63), &json!({})).await.ok();
    assert_eq!(
        sessions.api().list(&ListParams::default()).await.unwrap().items.len(),
        1,
        "nothing refused is stored"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_values_that_no_pod_could_have_are_refused() {
    let sessions = Sessions::start().await;
    let long = "x".repeat(318);
    let key = "a key has a prefix of at most 253";
    let refused = [
        (json!({"podMetadata": {"labels": {"a": "x".repeat(64)}}}), "may not be more than 63"),
        (json!({"scheduling": {"nodeSelector": {"a": "x".repeat(64)}}}), "may not be more than 63"),
        (json!({"podMetadata": {"labels": {&long: "a"}}}), key),
        (json!({"podMetadata": {"annotations": {&long: "a"}}}), key),
        (json!({"scheduling": {"nodeSelector": {&long: "a"}}}), key),
    ];
    for (spec, sentence) in refused {
        let error = sessions.apply("refused", &spec).await.error();
        assert!(error.contains(sentence), "{error}");
    }
    let longest = format!("{}/{}", "x".repeat(253), "x".repeat(63));
    let taken = json!({"podMetadata": {"annotations": {longest: "a".repeat(1_000)}}});
    sessions.apply("taken", &taken).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_made_once_and_only_grows() {
    let sessions = Sessions::start().await;
    sessions.apply("own", &json!({"storage": {"size": "1Gi", "storageClassName": "fast"}})).await.ok();
    sessions.apply("lent", &json!({"storage": {"existingClaim": {"name": "a", "subPath": "b"}}})).await.ok();
    let refused = [
        ("own", json!({"storage": {"size": "1023Mi"}}), "a volume cannot shrink"),
        ("own", json!({"storage": {"storageClassName": "slow"}}), "storageClassName cannot be changed"),
        ("own", json!({"storage": {"storageClassName": null}}), "storageClassName cannot be changed"),
        ("own", json!({"storage": {"accessMode": "ReadWriteOnce"}}), "accessMode cannot be changed"),
        ("own", json!({"storage": {"existingClaim": {"name": "a"}}}), "existingClaim cannot be changed"),
        ("lent", json!({"storage": {"existingClaim": {"subPath": "c"}}}), "existingClaim cannot be changed"),
        ("lent", json!({"storage": {"existingClaim": null}}), "existingClaim cannot be changed"),
    ];
    for (name, change, sentence) in refused {
        let error = sessions.patch(name, &change).await.expect_err("it is refused").to_string();
        assert!(error.contains(sentence), "{change}: {error}");
    }
    let grown = sessions.patch("own", &json!({"storage": {"size": "1.5Gi"}})).await;
    assert!(grown.is_err(), "whole numbers only: {grown:?}");
    let grown = sessions.patch("own", &json!({"storage": {"size": "1025Mi"}})).await.unwrap();
    assert_eq!(grown.spec.storage.size, "1025Mi");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reads_well() {
    let sessions = Sessions::start().await;
    let kubectl = |arguments: &'static [&'static str]| {
        let all: Vec<&str> =
            ["-n", &sessions.namespace].into_iter().chain(arguments.iter().copied()).collect();
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        async move {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            sessions.cluster.kubectl(&all).await.ok()
        }
    };
    sessions.apply("toko", &json!({"displayName": "Toko", "operatingMode": "Suspended"})).await.ok();
    let mut toko = sessions.api().get_status("toko").await.unwrap();
    toko.status = serde_json::from_value(json!({
        "state": "Open",
        "account": {"fingerprint": "0123456789abcdef", "hint": "…789"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-11-22T20:00:00Z"}],
    }))
    .unwrap();
    sessions.api().replace_status("toko", &PostParams::default(), &toko).await.unwrap();

    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let table = kubectl(&["get", "was"]).await;
    let mut lines = table.lines().map(words);
    assert_eq!(lines.next().unwrap(), ["NAME", "READY", "REASON", "ACCOUNT", "AGE"]);
    assert_eq!(lines.next().unwrap()[..4], ["toko", "True", "AsExpected", "…789"]);
    assert!(kubectl(&["get", "whatsapp"]).await.contains("toko"), "the category finds it");
    let suspended = ["get", "was", "--field-selector", "spec.operatingMode=Suspended", "-o", "name"];
    assert!(kubectl(&["get", "was", "--field-selector", "spec.operatingMode=Running"]).await.is_empty());
    assert_eq!(
        sessions.cluster.kubectl(&[&["-n", &sessions.namespace], &suspended[..]].concat()).await.ok(),
        "whatsappsession.warest.io/toko\n"
    );
    assert!(
        kubectl(&["get", "was", "--field-selector", "status.state=Open", "-o", "name"])
            .await
            .contains("toko")
    );
    let explained = kubectl(&["explain", "was.spec.onNodeLoss"]).await;
    let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["ENUM: Wait Recreate", "gone without a word"] {
        assert!(explained.contains(words), "{words}: {explained}");
    }
}
