//! Names and sizes at their limits, and labels that somebody takes away: every session keeps its own children.

use std::collections::BTreeSet;

use crds::conditions::{READY, reason};
use crds::names;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use system_tests::cluster::overlaps;
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_names_that_differ_only_at_the_end_are_two_sessions() {
    let stack = Stack::start().await;
    let sessions = ["a", "b"].map(|end| format!("{}{end}", "x".repeat(62)));
    for name in &sessions {
        stack.apply(name, json!({})).await;
    }
    for name in &sessions {
        let phone = stack.rig().phone().await;
        phone.scan(&stack.qr(name).await).await;
        stack.ready(name).await;
        stack.sends(name, name).await;
    }
    let names = |all: Vec<Option<String>>| all.into_iter().flatten().collect::<BTreeSet<_>>();
    let wanted: BTreeSet<String> = sessions.iter().cloned().collect();
    let all = ListParams::default().labels(names::SESSION);
    let pods: Api<Pod> = stack.api();
    assert_eq!(
        names(pods.list(&all).await.unwrap().into_iter().map(|it| it.metadata.name).collect()),
        wanted
    );
    let claims: Api<PersistentVolumeClaim> = stack.api();
    assert_eq!(claims.list(&all).await.unwrap().items.len(), 2);
    let secrets: Api<Secret> = stack.api();
    let tokens =
        secrets.list(&all).await.unwrap().into_iter().map(|it| it.data.unwrap()[names::TOKEN_KEY].0.clone());
    assert_eq!(tokens.collect::<BTreeSet<_>>().len(), 2, "a token each");
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_a_pod_is_told_and_mended() {
    let stack = Stack::start().await;
    let notes = |size: usize| -> Value {
        (0..3)
            .map(|number| (format!("note-{number}"), json!("n".repeat(size))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    // More than an object may have in annotations (256 KiB): the resource takes it, as it is in its spec; a pod does not.
    let api = stack.api::<crds::WhatsAppSession>();
    let large = stack.manifest("toko", json!({"podMetadata": {"annotations": notes(100_000)}}));
    let large = serde_json::from_str::<crds::WhatsAppSession>(&large).unwrap();
    api.create(&kube::api::PostParams::default(), &large).await.unwrap();
    let message = stack.reaches("toko", READY, "False", reason::INVALID_SPEC).await;
    assert!(
        message.contains("annotations") && message.len() < 32_768,
        "the server's own words: {message:.200}"
    );
    stack.patch("toko", json!({"podMetadata": {"annotations": notes(10)}})).await;
    stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;

    // A resource whose own annotations are as large as they may be goes on like any other.
    let annotations = json!({"metadata": {"annotations": notes(80_000)}});
    api.patch("toko", &PatchParams::default(), &Patch::Merge(annotations)).await.unwrap();
    let phone = stack.rig().phone().await;
    phone.scan(&stack.qr("toko").await).await;
    stack.ready("toko").await;
    let too_large = json!({"metadata": {"annotations": {"one-too-many": "n".repeat(1_000_000)}}});
    let error = api.patch("toko", &PatchParams::default(), &Patch::Merge(too_large)).await.unwrap_err();
    assert!(error.to_string().contains("Too long"), "{error}");
    stack.sends("toko", "with many notes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_somebody_takes_away_come_back_and_no_second_pod_with_them() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({})).await;
    let uid = stack.pod_uid("toko").await;
    let labelled = || async {
        let labels = stack.pod("toko").await?.metadata.labels?;
        (labels.contains_key(names::SESSION_UID) && labels.contains_key("app.kubernetes.io/instance"))
            .then_some(())
    };
    for labels in [json!(null), json!({names::SESSION: "another", names::SESSION_UID: null})] {
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        stack.api::<Pod>().patch("toko", &PatchParams::default(), &patch).await.unwrap();
        eventually("the labels to be there again", labelled).await;
        stack.ready("toko").await;
    }
    eventually("the session's own name on it", || async {
        (stack.pod("toko").await?.metadata.labels?.get(names::SESSION)? == "toko").then_some(())
    })
    .await;
    assert_eq!(stack.pod_uid("toko").await, uid);
    assert_eq!(witness.pods(), 1);
    stack.sends("toko", "as before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_its_labels_stays_its_sessions_and_gets_them_back() {
    let stack = Stack::start().await;
    let witness = Witness::of(&stack).await;
    stack.paired("toko", json!({})).await;
    let (pod, claim) = (stack.pod_uid("toko").await, stack.claim("toko").await.unwrap().metadata.uid);
    let labels = stack.claim("toko").await.unwrap().metadata.labels;
    let claims = stack.api::<PersistentVolumeClaim>();
    let strip = |labels: Value| {
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        let claims = &claims;
        async move { claims.patch("toko-session", &PatchParams::default(), &patch).await.unwrap() }
    };
    let healed = || async { (stack.claim("toko").await?.metadata.labels == labels).then_some(()) };
    let all = ["app.kubernetes.io/name", "app.kubernetes.io/managed-by", names::SESSION, names::SESSION_UID];
    for label in all {
        strip(json!({label: null})).await;
        eventually(&format!("{label} to be there again"), healed).await;
        stack.ready("toko").await;
    }
    strip(json!(null)).await;
    eventually("all of them to be there again", healed).await;
    assert_eq!((stack.pod_uid("toko").await, witness.pods()), (pod, 1));

    // Nor does a restart, while it is hidden, take it for lost.
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", READY, "False", reason::SUSPENDED).await;
    strip(json!(null)).await;
    stack.patch("toko", json!({"operatingMode": "Running"})).await;
    stack.ready("toko").await;
    eventually("its labels to be there again", healed).await;
    assert_eq!(stack.claim("toko").await.unwrap().metadata.uid, claim);
    stack.sends("toko", "with the same credentials").await;
    assert_eq!(overlaps(&stack.node().opens()), []);
}
