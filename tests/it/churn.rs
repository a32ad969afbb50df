//! Sessions that come and go: what the operator keeps of each goes with it, and it opens no watch that it does not close. With
//! `WAREST_SOAK=40` they come and go 120 times, and its memory must not grow with that.

use std::collections::BTreeSet;

use crds::WhatsAppSession;
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use system_tests::cluster::{Cluster, ClusterConfig};
use system_tests::memory::Memory;
use system_tests::stack::{Operator, Stack};
use system_tests::wait::{DEADLINE, eventually};

use crate::evidence::{Population, figure, soak};

/// Pods work at once, and tell their end before they go, as a kubelet's do.
const STAGES: [&str; 4] = [
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    ENDS,
];
const ENDS: &str = "apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-end}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: Exists}
    - {key: .status.phase, operator: NotIn, values: [Succeeded]}
  next:
    statusTemplate: |
      phase: Succeeded
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        ready: false
        restartCount: 0
        state: {terminated: {exitCode: 0, reason: Completed, finishedAt: {{ Now | Quote }}}}
      {{ end }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-delete}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: Exists}
    - {key: .status.phase, operator: In, values: [Succeeded]}
  next:
    finalizers: {empty: true}
    delete: true
";

/// Sessions that live at the same time.
const WIDTH: usize = 40;
/// How often they come and go, unless it is to be longer.
const ROUNDS: usize = 3;
/// What the operator says that it keeps.
const KEPT: [&str; 3] =
    ["warest_operator_cached_objects", "warest_operator_remembered", "warest_operator_polls"];

/// What is kept by node, and not by session.
const NODES: &str = "warest_operator_remembered{what=\"nodes\"}";

/// What the operator still keeps of sessions.
async fn left(operator: &Operator) -> Vec<String> {
    let text = operator.get("/metrics").await.ok();
    let lines = text.as_str().unwrap_or_default().lines();
    let kept = lines.filter(|line| KEPT.iter().any(|kept| line.starts_with(kept)) && !line.ends_with(" 0"));
    let kept = kept.filter(|line| !line.starts_with(NODES));
    kept.map(str::to_owned).collect()
}

/// From so many rounds on it is worth looking at the memory: what the operator keeps of Events (500 for six minutes, and what waits) has come and gone.
const MANY: usize = 60;

/// Whether the memory after the last third of many rounds is hardly more than after the middle one.
fn is_flat(memory: &[u64]) -> bool {
    let (third, most) = (memory.len() / 3, |part: &[u64]| part.iter().copied().max().unwrap_or_default());
    memory.len() < MANY || most(&memory[2 * third..]) * 100 <= most(&memory[third..2 * third]) * 110
}

async fn create(sessions: &Api<WhatsAppSession>, round: usize) {
    let made = stream::iter(0..WIDTH).map(|number| async move {
        let spec = json!({"retentionPolicy": "Delete", "scheduling": {"nodeSelector": {"type": "kwok"}}});
        let session =
            WhatsAppSession::new(&format!("s-{round}-{number}"), serde_json::from_value(spec).unwrap());
        sessions.create(&PostParams::default(), &session).await.expect("it is taken");
    });
    made.buffer_unordered(8).collect::<Vec<()>>().await;
}

/// Deletes all sessions, and waits until nothing of them is there.
async fn delete(stack: &Stack, sessions: &Api<WhatsAppSession>, population: &Population) {
    let all = ListParams::default();
    sessions.delete_collection(&DeleteParams::background(), &all).await.expect("it is taken");
    population.working(0).await;
    let claims: Api<PersistentVolumeClaim> = stack.api();
    eventually("all to be gone", || async {
        let left = sessions.list_metadata(&all).await.ok()?.items.len()
            + claims.list_metadata(&all).await.ok()?.items.len();
        (left == 0).then_some(())
    })
    .await;
}

/// Watches of this stack's operator that have been opened and not ended: kind and number.
fn open_watches(stack: &Stack) -> (BTreeSet<String>, usize) {
    let user = format!("system:serviceaccount:{}:warest-operator", stack.namespace());
    let mut audit = stack.cluster().audit();
    audit.retain(|entry| entry.user == user && entry.verb == "watch");
    let ended: BTreeSet<_> =
        audit.iter().filter(|entry| !entry.opened).map(|entry| entry.id.clone()).collect();
    let open: Vec<_> = audit.iter().filter(|entry| entry.opened && !ended.contains(&entry.id)).collect();
    (open.iter().map(|entry| entry.resource.clone()).collect(), open.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_sessions_that_come_and_go() {
    let mut stack = Stack::on_own_cluster(Cluster::start(ClusterConfig::default()).await).await;
    let _kwok = stack.cluster().start_kwok(1, &STAGES).await;
    stack.start_operator(&[("WAREST_LEADER_ELECT", "false"), ("WAREST_NODE_GRACE_SECONDS", "0")]).await;
    let sessions: Api<WhatsAppSession> = stack.api();
    let population = Population::of(&stack);
    eventually("the watches to be open", || async { (open_watches(&stack).1 == 6).then_some(()) }).await;
    let (kinds, _) = open_watches(&stack);
    let rounds = ROUNDS * soak();
    let mut memory = Vec::new();
    for round in 0..rounds {
        create(&sessions, round).await;
        population.working(WIDTH).await;
        assert!(figure(stack.operator(), KEPT[0]).await >= WIDTH, "it keeps what there is");
        let kept = left(stack.operator()).await;
        assert!(kept.iter().any(|line| line.contains("looked_at")), "{kept:?}");
        delete(&stack, &sessions, &population).await;
        let operator = stack.operator().process().id().expect("it runs");
        memory.push(Memory::of(operator).expect("it runs").anonymous);
    }
    assert!(is_flat(&memory), "KiB after each round: {memory:?}");
    let operator = &*stack.operator();
    let none = eventually("nothing to be kept", || async { left(operator).await.is_empty().then_some(()) });
    let none = tokio::time::timeout(DEADLINE / 2, none).await;
    assert!(none.is_ok(), "it still keeps {:?}", left(operator).await);
    assert_eq!(
        open_watches(&stack),
        (kinds, 6),
        "each kind is watched once, and the Secrets that others made"
    );
}
