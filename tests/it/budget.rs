//! A new image for many sessions with a budget of several: by the watch of all pods, not by looks now and then, no more are
//! ever away at once, and an operator that dies midway takes no second budget.

use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use system_tests::cluster::overlaps;
use system_tests::stack::Stack;
use system_tests::wait::within;
use system_tests::witness::Witness;

use crate::evidence::{Population, soak, works};

const NEW: &str = "warest/session-pod:next";
/// With `WAREST_SOAK=8` there are 72: each is a process.
const SESSIONS: usize = 9;
const BUDGET: usize = 3;
/// Nobody else leads: a killed operator's lease need not be waited for.
const BEGUN: [(&str, &str); 3] = [
    ("WAREST_SESSION_IMAGE", NEW),
    ("WAREST_ROLLOUT_MAX_UNAVAILABLE", "3"),
    ("WAREST_LEADER_ELECT", "false"),
];

/// How many pods have the new image, and how many of those work.
async fn renewed(stack: &Stack) -> (usize, usize) {
    let pods: Api<Pod> = stack.api();
    let pods = pods.list(&ListParams::default()).await.expect("the API server answers").items;
    let new = |pod: &&Pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(NEW);
    let new: Vec<_> = pods.iter().filter(new).collect();
    (new.len(), new.iter().filter(|pod| works(pod)).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn never_more_than_the_budget_is_away_although_the_operator_dies_midway() {
    let mut stack = Stack::without_operator().await;
    stack.start_operator(&[("WAREST_LEADER_ELECT", "false")]).await;
    let witness = Witness::of(&stack).await;
    let sessions = SESSIONS * soak();
    let names: Vec<String> = (0..sessions).map(|number| format!("s-{number}")).collect();
    join_all(names.iter().map(|name| stack.paired(name, json!({})))).await;
    let population = Population::of(&stack);
    within(Duration::from_secs(10), "the watch to show them all", || async {
        (population.up() == sessions).then_some(())
    })
    .await;

    let limit = Duration::from_mins(2) * u32::try_from(soak()).unwrap();
    stack.kill_operator().await;
    stack.start_operator(&BEGUN).await;
    // Past the canary, in the middle of a full budget.
    within(limit, "the rollout to be under way", || async {
        let (new, work) = renewed(&stack).await;
        (new > BUDGET && work < new).then_some(())
    })
    .await;
    stack.kill_operator().await;
    stack.start_operator(&BEGUN).await;
    within(limit, "all sessions to have the new image", || async {
        (renewed(&stack).await == (sessions, sessions)).then_some(())
    })
    .await;
    for name in &names {
        stack.ready(name).await;
    }
    assert_eq!(witness.pods(), 2 * sessions, "each was restarted once");
    let most = population.most();
    assert!((2..=BUDGET).contains(&most), "{most} were away at once, of {BUDGET} that may be");
    assert_eq!(overlaps(&stack.node().opens()), []);
}
