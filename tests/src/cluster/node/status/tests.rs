//! The status of a pod, from pods and what their containers do.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ended_with(code: i32) -> Ended {
    Ended { code, reason: "Error", message: String::new(), since: at(1), at: at(2) }
}

fn view(state: State) -> View {
    View { state, ..View::new() }
}

fn waiting() -> State {
    State::Waiting { reason: "CrashLoopBackOff", message: String::new() }
}

fn place() -> Place {
    Place { pod_ip: Ipv4Addr::new(127, 1, 1, 1), host_ip: Ipv4Addr::new(127, 1, 0, 2), since: at(5) }
}

fn pod(status: &Value) -> Pod {
    let pod = json!({
        "metadata": {"name": "p", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": status,
    });
    serde_json::from_value(pod).unwrap()
}

#[test]
fn the_phase_follows_the_containers_and_the_policy() {
    let new = view(State::Waiting { reason: "ContainerCreating", message: String::new() });
    let running = view(State::Running { since: at(1) });
    let failed = view(State::Ended(ended_with(1)));
    let done = view(State::Ended(ended_with(0)));
    let crashing = View { last: Some(ended_with(1)), ..view(waiting()) };
    assert_eq!(phase("Always", std::slice::from_ref(&new)), "Pending");
    assert_eq!(phase("Always", &[running.clone(), new]), "Pending");
    assert_eq!(phase("Always", &[running.clone(), failed.clone()]), "Running");
    assert_eq!(phase("Always", &[crashing]), "Running");
    assert_eq!(phase("Never", &[running, failed.clone()]), "Running");
    assert_eq!(phase("Never", &[done.clone(), failed.clone()]), "Failed");
    assert_eq!(phase("OnFailure", std::slice::from_ref(&failed)), "Running");
    assert_eq!(phase("OnFailure", &[done]), "Succeeded");
}

#[test]
fn a_deleted_pod_ends_in_a_phase_that_stays() {
    let over =
        |view: View| last_patch(&pod(&json!({})), &[view.over(at(9))], place(), at(9))["status"].clone();
    assert_eq!(over(view(State::Ended(ended_with(0))))["phase"], "Succeeded");
    let never_ran = over(view(State::Waiting { reason: "ImagePullBackOff", message: String::new() }));
    assert_eq!(never_ran["phase"], "Failed");
    assert_eq!(never_ran["containerStatuses"][0]["state"]["terminated"]["reason"], "ContainerStatusUnknown");
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let running = View { ready: true, started: true, ..view(State::Running { since: at(1) }) };
    let of = |patch: &Value| patch["status"]["conditions"][3].clone();
    let same = patch(&pod(&ready), std::slice::from_ref(&running), place(), at(100));
    assert_eq!(of(&same)["lastTransitionTime"], "2026-01-01T00:00:00Z");
    let unready = patch(&pod(&ready), &[View { ready: false, ..running }], place(), at(100));
    assert_eq!(of(&unready)["lastTransitionTime"], "1970-01-01T00:01:40Z");
    assert_eq!(of(&unready)["reason"], "ContainersNotReady");
}

#[test]
fn a_crash_shows_as_last_state_with_its_code() {
    let crashing = View { last: Some(ended_with(75)), restarts: 3, ..view(waiting()) };
    let patch = patch(&pod(&json!({})), &[crashing], place(), at(9));
    let status = &patch["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 75);
    assert_eq!((&status["restartCount"], &patch["metadata"]["uid"]), (&json!(3), &json!("u")));
    assert_eq!(patch["status"]["podIP"], "127.1.1.1");
}

#[test]
fn a_lost_container_counts_as_a_restart_only_when_it_ran() {
    let reported = |state: Value| -> ContainerStatus {
        let status = json!({"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 2, "state": state});
        serde_json::from_value(status).unwrap()
    };
    let ran = View::lost(&reported(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})), at(7));
    assert_eq!((ran.restarts, ran.last.map(|ended| ended.code)), (3, Some(137)));
    let waited = View::lost(&reported(json!({"waiting": {"reason": "ContainerCreating"}})), at(7));
    assert_eq!((waited.restarts, waited.last), (2, None));
}
