//! What is decided when nobody knows whether a process still runs.

use k8s_openapi::jiff::SignedDuration;

use super::*;
use crate::observe::{Departed, Lasting};

#[test]
fn a_lost_node_is_waited_for_until_the_session_says_otherwise() {
    let lost = |spec: &str, since: i64| {
        let mut seen = seen(spec, PAIRED);
        let deleting = Some(Deleting { deadline: ago(10) });
        seen.pods = vec![PodSeen { deleting, ready: Some((false, ago(100))), ..pod(&seen) }];
        seen.node = silent(since);
        seen
    };
    let recreate = r#"{"onNodeLoss":"Recreate"}"#;
    let patient = decided(&lost("{}", 4_000));
    assert!(matches!(patient.pod, Standing::NodeLost { gone: false, .. }), "{patient:?}");
    assert_eq!(patient.steps, []);
    assert_eq!(steps(&lost(recreate, 299)), []);
    let forgotten = vec![Step::ForceDeletePod { uid: "p-1".to_owned(), version: "1".to_owned() }];
    assert_eq!(steps(&lost(recreate, 300)), forgotten);
}

#[test]
fn a_pod_that_ended_before_its_node_was_lost_is_forgotten_when_it_is_overdue() {
    let ended = |phase, node, overdue: i64| {
        let mut seen = seen("{}", PAIRED);
        let deleting = Some(Deleting { deadline: ago(overdue) });
        seen.pods = vec![PodSeen { phase, deleting, ready: Some((false, ago(100))), ..pod(&seen) }];
        steps(&Observed { node, ..seen })
    };
    let forgotten = vec![Step::ForceDeletePod { uid: "p-1".to_owned(), version: "1".to_owned() }];
    for lost in [silent(5), NodeSeen::Gone, NodeSeen::OutOfService] {
        assert_eq!(ended(Phase::Succeeded, lost, 0), forgotten, "{lost:?}");
        assert_eq!(ended(Phase::Failed, lost, 0), forgotten, "{lost:?}");
        assert_eq!(ended(Phase::Running, lost, 0), [], "nobody saw it end");
        assert_eq!(ended(Phase::Succeeded, lost, -1), [], "its kubelet has time yet");
    }
    for there in [answering(900, false), NodeSeen::Unknown] {
        assert_eq!(ended(Phase::Succeeded, there, 0), [], "{there:?}");
    }
}

fn departed(node: NodeSeen, lasted: i64) -> Observed {
    let mut seen = seen("{}", PAIRED);
    let noticed = Lasting { since: ago(lasted), lasted: SignedDuration::from_secs(lasted) };
    seen.departed = vec![Departed {
        name: "toko".to_owned(),
        uid: "p-1".to_owned(),
        node: Some("n".to_owned()),
        state: node,
        grace: Some(30),
        noticed,
    }];
    seen
}

#[test]
fn a_pod_that_was_seen_to_end_is_replaced_at_once() {
    let seen = seen("{}", PAIRED);
    assert_eq!(steps(&seen), vec![Step::CreatePod]);
}

#[test]
fn a_pod_gone_from_a_silent_node_is_not_replaced_without_proof() {
    let vanished = |spec: &str, node: NodeSeen| {
        let departed = departed(node, 600);
        steps(&Observed { session: seen(spec, PAIRED).session, ..departed })
    };
    let away = silent(600);
    assert_eq!(vanished("{}", away), []);
    assert_eq!(vanished(r#"{"onNodeLoss":"Recreate"}"#, away), [Step::CreatePod]);
    for proof in [answering(900, false), NodeSeen::Gone, NodeSeen::OutOfService] {
        assert_eq!(vanished("{}", proof), [Step::CreatePod], "{proof:?}");
    }
}

#[test]
fn a_pod_that_nobody_saw_end_is_waited_for_while_its_node_may_be_dead() {
    for node in [answering(900, false), NodeSeen::Unknown] {
        let early = decided(&departed(node, 99));
        let (wait, left) = (SignedDuration::from_secs(100), SignedDuration::from_secs(1));
        let wait = Wait { after: After::Departure, since: ago(99), wait, left };
        let vanished = Standing::Vanished { node: Some("n".to_owned()), wait };
        assert_eq!((early.pod, early.steps, early.again), (vanished, vec![], Some(Duration::from_secs(1))));
        assert_eq!(decided(&departed(node, 0)).again, Some(Duration::from_secs(15)), "its node is looked at");
        assert_eq!(steps(&departed(node, 100)), [Step::CreatePod]);
    }
    for proof in [NodeSeen::Gone, NodeSeen::OutOfService] {
        assert_eq!(steps(&departed(proof, 0)), [Step::CreatePod], "{proof:?}");
    }
}

#[test]
fn the_kubelet_gives_a_vanished_pod_its_own_grace_period() {
    let waits = |grace, rules: &Rules| {
        let mut seen = departed(answering(900, false), 0);
        annotated(&mut seen, |session| session.spec.termination_grace_period_seconds = 45);
        seen.departed[0].grace = grace;
        let Standing::Vanished { wait, .. } = decide(&seen, Ok(&desired(&seen)), rules).pod else {
            return None;
        };
        Some(wait.left.as_secs())
    };
    assert_eq!(waits(Some(300), &RULES), Some(60 + 300 + 10));
    assert_eq!(waits(None, &RULES), Some(60 + 45 + 10), "what the session asks for");
    let off = Rules { node_grace: SignedDuration::ZERO, ..RULES };
    assert_eq!(waits(Some(300), &off), None, "switched off");
}

#[test]
fn the_longest_grace_period_is_waited_for() {
    for node in [answering(5, false), answering(5, true)] {
        let mut seen = departed(node, 5);
        seen.departed[0].grace = Some(i64::MAX);
        assert!(matches!(decided(&seen).pod, Standing::Vanished { .. }), "{node:?}");
    }
}

#[test]
fn a_node_that_is_back_gets_time_to_end_what_it_finds() {
    let back = |lasted| departed(answering(lasted, true), 4_000);
    let waiting = decided(&back(39));
    let Standing::Vanished { wait, .. } = waiting.pod else { panic!("{waiting:?}") };
    assert_eq!((wait.after, wait.since, wait.wait.as_secs()), (After::Return, ago(39), 40));
    assert_eq!((waiting.steps, waiting.again), (vec![], Some(Duration::from_secs(1))));
    assert_eq!(steps(&back(40)), [Step::CreatePod]);
    // An operator that has only just started knows of the absence from the status.
    let told = PAIRED.replace(
        r#""conditions":[]"#,
        r#""conditions":[{"type":"PodReady","status":"False","reason":"NodeUnreachable","message":"","lastTransitionTime":"2026-06-01T11:00:00Z"}]"#,
    );
    let successor = |lasted| {
        let session = seen("{}", &told).session;
        steps(&Observed { session, ..departed(answering(lasted, false), 4_000) })
    };
    assert_eq!((successor(39), successor(40)), (vec![], vec![Step::CreatePod]));
}

#[test]
fn what_may_still_run_keeps_its_volume() {
    let mut resetting = departed(answering(900, false), 5);
    annotated(&mut resetting, |session| session.spec.volume_reset_token = Some("t".to_owned()));
    assert_eq!(steps(&resetting), []);
    resetting.departed.clear();
    assert_eq!(steps(&resetting), [Step::DeleteClaim { uid: "c-1".to_owned() }]);
}

#[test]
fn only_a_pod_that_says_nothing_has_its_node_looked_at() {
    assert_eq!(node_to_look_at(&running("{}", PAIRED, SessionState::Open)), None);
    let mut silent = running("{}", PAIRED, SessionState::Open);
    silent.pods[0].ready = Some((false, ago(50)));
    assert_eq!(node_to_look_at(&silent), None, "it speaks");
    silent.heard = Some(Answer::Silent("x".to_owned()));
    assert_eq!(node_to_look_at(&silent), Some("n"));
    silent.heard = Some(said(&silent, SessionState::Open));
    silent.pods[0].deleting = Some(Deleting { deadline: ago(1) });
    assert_eq!(node_to_look_at(&silent), Some("n"));
}

#[test]
fn of_several_pods_that_are_gone_the_strictest_is_waited_for() {
    let gone = |mut others: Vec<Observed>| {
        let mut seen = others.remove(0);
        seen.departed.extend(others.into_iter().flat_map(|other| other.departed));
        decided(&seen)
    };
    let (early, over) = (|| departed(answering(900, false), 5), || departed(answering(900, false), 100));
    let away = || departed(silent(10), 600);
    for waits in [gone(vec![over(), early()]), gone(vec![early(), over()])] {
        let Standing::Vanished { wait, .. } = &waits.pod else { panic!("{waits:?}") };
        assert_eq!((wait.left.as_secs(), waits.steps), (95, vec![]));
    }
    for lost in [gone(vec![early(), away()]), gone(vec![away(), early()])] {
        assert!(matches!(lost.pod, Standing::NodeLost { gone: true, .. }), "{lost:?}");
        assert_eq!(lost.steps, []);
    }
    assert_eq!(gone(vec![over(), over()]).steps, [Step::CreatePod]);
}

#[test]
fn what_is_over_is_over_whatever_becomes_of_the_node() {
    let is_proven = |seen: &Observed| proven(seen, &RULES).eq(["p-1"]);
    for node in [answering(900, false), NodeSeen::Unknown] {
        assert!(!is_proven(&departed(node, 99)), "{node:?}");
        assert!(is_proven(&departed(node, 100)), "{node:?}");
    }
    assert!(
        !is_proven(&departed(answering(39, true), 600)) && is_proven(&departed(answering(40, true), 600))
    );
    assert!(is_proven(&departed(NodeSeen::Gone, 0)) && is_proven(&departed(NodeSeen::OutOfService, 0)));
    let mut given_up = departed(silent(600), 600);
    annotated(&mut given_up, |session| session.spec.on_node_loss = crds::spec::OnNodeLoss::Recreate);
    assert_eq!(steps(&given_up), [Step::CreatePod]);
    assert!(!is_proven(&given_up), "the session may say something else tomorrow");
}
