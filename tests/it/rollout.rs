//! A new image for all sessions: the canary first, then no more at once than the budget allows, and not at all if it is broken.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crds::conditions::{POD_READY, READY, reason};
use crds::{WhatsAppSession, names};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use system_tests::stack::Stack;
use system_tests::wait::within;

const OLD: &str = "warest/session-pod:test";
const NEW: &str = "warest/session-pod:next";

/// A rollout takes a while: every session is stopped, started and logged in again, one after the other.
const ROLLED_OUT: Duration = Duration::from_mins(4);

/// What a test has seen of the pods.
#[derive(Debug, Default)]
struct Seen {
    /// Most sessions that were away at the same time.
    away: usize,
    /// Sessions in the order in which they got the new image.
    order: Vec<String>,
}

async fn pods(stack: &Stack) -> BTreeMap<String, Pod> {
    let api: Api<Pod> = stack.api();
    let params = ListParams::default().labels(names::SESSION);
    let pods = api.list(&params).await.expect("the API server answers");
    pods.into_iter().map(|pod| (pod.metadata.name.clone().unwrap(), pod)).collect()
}

fn image(pod: &Pod) -> &str {
    pod.spec.as_ref().unwrap().containers[0].image.as_deref().unwrap()
}

fn works(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"));
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// Looks at the pods of these sessions once. Done: all of them work with this image.
async fn look(stack: &Stack, sessions: &[&str], wanted: &str, seen: &Mutex<Seen>) -> Option<()> {
    let pods = pods(stack).await;
    let mut seen = seen.lock().unwrap();
    let away = sessions.iter().filter(|name| !pods.get(**name).is_some_and(works)).count();
    seen.away = seen.away.max(away);
    for (name, pod) in &pods {
        if image(pod) == wanted && !seen.order.contains(name) {
            seen.order.push(name.clone());
        }
    }
    (away == 0 && seen.order.len() == sessions.len()).then_some(())
}

async fn retire_operator(stack: &mut Stack) {
    let process = stack.operator().process();
    process.terminate();
    assert_eq!(process.ended().await.code(), Some(0));
}

async fn begin(stack: &mut Stack, image: &str) {
    stack.start_operator(&[("WAREST_SESSION_IMAGE", image), ("WAREST_ROLLOUT_MAX_UNAVAILABLE", "1")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_reaches_one_session_after_the_other_although_the_operator_dies() {
    let mut stack = Stack::start().await;
    let sessions = ["kedai", "lapak", "toko", "warung"];
    for name in sessions {
        stack.paired(name, json!({})).await;
    }
    let canary = Patch::Merge(json!({"metadata": {"labels": {names::CANARY: "true"}}}));
    let api: Api<WhatsAppSession> = stack.api();
    api.patch("toko", &PatchParams::default(), &canary).await.unwrap();

    retire_operator(&mut stack).await;
    begin(&mut stack, NEW).await;
    let seen = Mutex::new(Seen::default());
    let halfway = || async {
        look(&stack, &sessions, NEW, &seen).await;
        (seen.lock().unwrap().order.len() == 2).then_some(())
    };
    within(ROLLED_OUT, "the second session to get the new image", halfway).await;
    stack.kill_operator().await;
    begin(&mut stack, NEW).await;
    within(ROLLED_OUT, "all sessions to work with the new image", || look(&stack, &sessions, NEW, &seen))
        .await;

    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.order[0], "toko", "the canary goes first: {seen:?}");
    assert_eq!(seen.away, 1, "never more than one is away");
    for name in sessions {
        stack.ready(name).await;
        assert_eq!(
            stack.session(name).await.status.unwrap().writer_epoch,
            Some(2),
            "{name} was restarted once"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_image_costs_the_canary_alone_and_a_good_one_mends_it() {
    let mut stack = Stack::start().await;
    let sessions = ["kedai", "toko", "warung"];
    for name in sessions {
        stack.paired(name, json!({})).await;
    }
    let before = [stack.pod_uid("toko").await, stack.pod_uid("warung").await];

    retire_operator(&mut stack).await;
    begin(&mut stack, "warest/absent:1").await;
    stack.reaches("kedai", POD_READY, "False", reason::IMAGE_PULL_FAILED).await;
    let message = stack.reaches("toko", READY, "True", reason::ROLLOUT_STOPPED).await;
    assert!(message.contains("/kedai"), "it names the session that did not come back: {message}");
    let metrics = stack.operator().get("/metrics").await.body;
    assert!(
        metrics.as_str().unwrap_or_default().contains("\nwarest_operator_rollout_stopped 1\n"),
        "{metrics}"
    );
    assert_eq!([stack.pod_uid("toko").await, stack.pod_uid("warung").await], before);
    for (name, pod) in pods(&stack).await {
        assert_eq!(image(&pod) == OLD, name != "kedai", "{name} has {}", image(&pod));
    }
    stack.reaches("warung", READY, "True", reason::ROLLOUT_STOPPED).await;

    retire_operator(&mut stack).await;
    begin(&mut stack, NEW).await;
    let seen = Mutex::new(Seen::default());
    within(ROLLED_OUT, "all sessions to work with the mended image", || look(&stack, &sessions, NEW, &seen))
        .await;
    assert_eq!(seen.into_inner().unwrap().away, 1, "only the one that was broken, then one after the other");
    for name in sessions {
        stack.ready(name).await;
    }
}
