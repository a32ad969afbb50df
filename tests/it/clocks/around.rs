//! Clocks of the session's process, of its node, and of all of them while they run: what these report is shown, and decides
//! nothing. And an operator's own clock when it judges how a rollout goes.

use crds::conditions::POD_READY;
use session_api::routes;
use system_tests::cluster::ProcessNodeConfig;

use super::*;

const ALONE: [(&str, &str); 1] = [("WAREST_LEADER_ELECT", "false")];

/// How far a time is off, if it was just now.
fn off(time: Timestamp) -> SignedDuration {
    time.duration_since(Timestamp::now())
}

/// A node, and processes on it, that look at these variables for the time; `ahead` is the node's own.
fn node(variables: &[(&str, &str)], files: &[&str], ahead: SignedDuration) -> ProcessNodeConfig {
    let config = ProcessNodeConfig { clock_ahead: ahead, ..ProcessNodeConfig::default() };
    let config = files.iter().fold(config, ProcessNodeConfig::file);
    variables.iter().fold(config, |config, (name, value)| config.env(name, value))
}

/// The latest event in the session's log that is about a message.
async fn received(stack: &Stack, text: &str) -> Timestamp {
    let event = eventually("the message in the session's log", || async {
        let page = stack.ask("toko", Method::GET, routes::EVENTS, &Value::Null).await.ok();
        let events = page["items"].as_array()?.clone();
        events.into_iter().find(|event| event.to_string().contains(text))
    })
    .await;
    Timestamp::from_millisecond(event["ts"].as_i64().unwrap()).unwrap()
}

/// How often the node has started the session's program again.
async fn restarts(stack: &Stack) -> i32 {
    let status = stack.pod("toko").await.unwrap().status.unwrap();
    status.container_statuses.unwrap().iter().map(|one| one.restart_count).sum()
}

/// Says of the session's pod that its node has evicted it; gives how often the operator has seen such an end in a row.
async fn evict(stack: &Stack) -> i32 {
    let pod = stack.pod_uid("toko").await;
    let evicted =
        Patch::Merge(json!({"metadata": {"uid": pod}, "status": {"phase": "Failed", "reason": "Evicted"}}));
    stack.api::<Pod>().patch_status("toko", &PatchParams::default(), &evicted).await.unwrap();
    stack.reaches("toko", POD_READY, "False", reason::BACKING_OFF).await;
    stack.session("toko").await.status.unwrap().recovery.expect("it backs off").count
}

/// A session whose process is off by `pod` seconds, on a node that is off by `node` seconds.
async fn lives(pod: &str, ahead: SignedDuration) {
    let skew = Skew::compile().await;
    let config = node(&skew.by(pod), &[&skew.library], ahead);
    let mut stack = Stack::without_operator_on(config).await;
    stack.start_operator(&ALONE).await;
    let witness = Witness::of(&stack).await;
    let phone = stack.paired("toko", json!({})).await;
    stack.rig().phone().await.send(&phone.number, "what time is it").await;
    let says: i64 = pod.parse().unwrap();
    let process = off(received(&stack, "what time is it").await);
    assert!((process - SignedDuration::from_secs(says)).abs() < SignedDuration::from_mins(2), "{process}");
    let started = stack.pod("toko").await.unwrap().status.unwrap().start_time.unwrap().0;
    assert!((off(started) - ahead).abs() < SignedDuration::from_mins(2), "{started}");

    stir(&stack).await;
    assert_eq!(restarts(&stack).await, 0);
    stack.sends("toko", "whatever the time").await;
    assert_eq!(witness.pods(), 3);
    assert_eq!(evict(&stack).await, 1);
    stack.ready("toko").await;
    assert_eq!(evict(&stack).await, 2, "a moment is not ten minutes: nothing was forgiven");
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ahead_of_its_node_lives_as_any_other() {
    lives(AHEAD, SignedDuration::from_secs(-600)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_behind_its_node_lives_as_any_other() {
    lives(BEHIND, SignedDuration::from_secs(600)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_set_while_all_runs_restart_nothing() {
    let clock = Clock::new().await;
    let files = [clock.skew.library.as_str(), clock.file.as_str()];
    let mut stack =
        Stack::without_operator_on(node(&clock.environment(), &files, SignedDuration::ZERO)).await;
    stack.start_operator(&[&clock.environment()[..], &ALONE].concat()).await;
    let witness = Witness::of(&stack).await;
    let phone = stack.paired("toko", json!({})).await;
    let friend = stack.rig().phone().await;
    for (seconds, text) in [(600, "ten minutes later"), (-600, "twenty minutes earlier")] {
        clock.set(seconds);
        friend.send(&phone.number, text).await;
        let process = off(received(&stack, text).await);
        assert!(
            (process - SignedDuration::from_secs(seconds)).abs() < SignedDuration::from_mins(2),
            "{process}"
        );
        stack.sends("toko", text).await;
    }
    assert_eq!((witness.pods(), restarts(&stack).await), (1, 0));
    stir(&stack).await;
    assert!(told_ahead(&stack).await < SignedDuration::from_mins(-8), "the operator's was set, too");
    assert_eq!((witness.pods(), restarts(&stack).await), (3, 0));
    assert_eq!(overlaps(&stack.node().opens()), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_image_stops_its_rollout_whatever_the_operators_clock_says() {
    let skew = Skew::compile().await;
    for seconds in [BEHIND, AHEAD] {
        let mut stack = Stack::without_operator().await;
        skew.start(&mut stack, seconds).await;
        for name in ["kedai", "toko"] {
            stack.paired(name, json!({})).await;
        }
        let before = stack.pod_uid("toko").await;
        stack.kill_operator().await;
        let broken = [("WAREST_SESSION_IMAGE", "warest/absent:1")];
        stack.start_operator(&[&skew.by(seconds)[..], &ALONE, &broken].concat()).await;
        let message = stack.reaches("toko", READY, "True", reason::ROLLOUT_STOPPED).await;
        assert!(message.contains("/kedai"), "{message}");
        assert_eq!(stack.pod_uid("toko").await, before);
    }
}
