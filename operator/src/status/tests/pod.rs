//! What is told of the pod.

use k8s_openapi::jiff::SignedDuration;

use super::*;
use crate::observe::{Departed, Lasting};

fn departed(lasted: i64, state: NodeSeen) -> Vec<Departed> {
    let noticed = Lasting { since: ago(lasted), lasted: SignedDuration::from_secs(lasted) };
    let (name, uid, node) = ("toko".to_owned(), "p-1".to_owned(), Some("n".to_owned()));
    vec![Departed { name, uid, node, state, grace: Some(30), noticed }]
}

#[test]
fn each_trouble_of_the_pod_has_its_reason() {
    let unready = |pod: fn(&mut PodSeen), expected: &'static str, words: &[&str]| {
        let seen = with_pod(pod);
        check(&seen, POD_READY, ("False", expected), words);
        check(&seen, READY, ("False", expected), words);
    };
    unready(
        |pod| {
            pod.container = Container::Unseen;
            pod.unschedulable = Some("0/3 nodes".to_owned());
        },
        reason::UNSCHEDULABLE,
        &["0/3 nodes"],
    );
    unready(
        |pod| pod.container = waiting("ImagePullBackOff", "no such image"),
        reason::IMAGE_PULL_FAILED,
        &["no such image"],
    );
    unready(
        |pod| pod.container = waiting("CreateContainerConfigError", "x"),
        reason::CONTAINER_NOT_CREATED,
        &["x"],
    );
    unready(
        |pod| {
            pod.container = waiting("CrashLoopBackOff", "");
            pod.last_exit = Some(Exit { code: 75, reason: "Error".to_owned() });
        },
        reason::CRASH_LOOP,
        &["exit code 75", "another process", "kubectl logs toko --previous"],
    );
    unready(|pod| pod.deleting = Some(Deleting { deadline: ago(-9) }), reason::POD_TERMINATING, &[]);
    unready(
        |pod| {
            pod.phase = Phase::Failed;
            (pod.reason, pod.message) = (Some("Evicted".to_owned()), Some("low on disk".to_owned()));
        },
        reason::POD_FAILED,
        &["Evicted", "low on disk"],
    );
    let mut attaching = with_pod(|pod| pod.container = waiting("ContainerCreating", ""));
    attaching.warnings =
        vec![Warning { reason: "FailedAttachVolume".to_owned(), message: "Multi-Attach error".to_owned() }];
    check(&attaching, READY, ("False", reason::VOLUME_ATTACH_FAILED), &["Multi-Attach error"]);
}

#[test]
fn a_lost_node_is_named_with_since_when_and_what_helps() {
    let mut lost = with_pod(|pod| pod.deleting = Some(Deleting { deadline: ago(9) }));
    lost.node = silent(600);
    check(
        &lost,
        READY,
        ("False", reason::NODE_UNREACHABLE),
        &["Node n ", "2026-06-01T11:50:00Z", "out-of-service", "Recreate"],
    );
    lost.pods.clear();
    lost.departed = departed(400, silent(600));
    check(&lost, READY, ("False", reason::NODE_UNREACHABLE), &["gone from the API server"]);
    assert!(told(&lost).pod.is_some(), "what is known of the last pod is kept until its end is proven");
    lost.departed = departed(400, NodeSeen::Gone);
    assert!(told(&lost).pod.is_none());
}

#[test]
fn a_pod_that_nobody_saw_end_is_told_with_how_long_it_is_waited_for() {
    let mut vanished = seen("{}", PAIRED);
    vanished.departed = departed(5, answering(900, false));
    let words = ["gone from the API server since 2026-06-01T11:59:55Z", "node n ", "100 s after that"];
    check(&vanished, READY, ("False", reason::POD_TERMINATING), &words);
    assert!(told(&vanished).pod.is_some(), "what is known of the last pod is kept until its end is proven");
    vanished.departed = departed(100, answering(900, false));
    assert!(told(&vanished).pod.is_none());
    vanished.departed = departed(100, answering(5, true));
    let words = ["Node n answers again since 2026-06-01T11:59:55Z", "40 s after that"];
    check(&vanished, READY, ("False", reason::NODE_UNREACHABLE), &words);
}

#[test]
fn whoever_takes_over_knows_from_the_status_what_is_waited_for() {
    let known = |status: &str, departed: Vec<Departed>| {
        let mut seen = seen("{}", status);
        seen.departed = departed;
        told(&seen).pod.map(|pod| (pod.name, pod.uid, pod.node))
    };
    let one = |name: &str, uid: &str, node: Option<&str>| {
        Some((name.to_owned(), uid.to_owned(), node.map(str::to_owned)))
    };
    for state in [answering(900, false), silent(600)] {
        assert_eq!(known("", departed(5, state)), one("toko", "p-1", Some("n")), "no status ever told of it");
    }
    let unbound = PAIRED.replace(r#","node":"n""#, "");
    assert_eq!(known(&unbound, departed(5, silent(60))), one("toko", "p-1", Some("n")), "it was bound since");
    let mut both = departed(5, answering(900, false));
    both[0].uid = "p-0".to_owned();
    both.extend(departed(5, answering(900, false)));
    assert_eq!(known(PAIRED, both.clone()), one("toko", "p-1", Some("n")), "it does not change for nothing");
    (both[1].name, both[1].uid) = ("former".to_owned(), "f-1".to_owned());
    both.remove(0);
    assert_eq!(known(PAIRED, both), one("former", "f-1", Some("n")), "whose volume it is to have");
}

#[test]
fn pods_that_are_not_its_own_are_named() {
    let mut foreign = with_pod(|pod| pod.owner = None);
    check(&foreign, READY, ("False", reason::POD_NAME_CONFLICT), &["toko", "left alone", "delete it"]);
    foreign = with_pod(|_| {});
    foreign.pods.push(PodSeen {
        name: "toko-2".to_owned(),
        uid: "p-2".to_owned(),
        ..foreign.pods[0].clone()
    });
    check(&foreign, READY, ("False", reason::MULTIPLE_PODS), &["toko, toko-2"]);
}

#[test]
fn an_object_that_keeps_the_pod_from_being_made_is_named() {
    let mut going = seen("{}", PAIRED);
    going.secret.as_mut().unwrap().deleting = true;
    check(&going, POD_READY, ("False", reason::REFUSED), &["Secret", &crds::names::secret("toko")]);
    let mut foreign = seen("{}", PAIRED);
    foreign.network_policy.as_mut().unwrap().owner.as_mut().unwrap().uid = "u-0".to_owned();
    check(&foreign, READY, ("False", reason::REFUSED), &["NetworkPolicy", "toko"]);
}

#[test]
fn an_ended_pod_is_counted_once_it_was_deleted() {
    let mut seen = with_pod(|pod| pod.phase = Phase::Failed);
    assert!(told(&seen).recovery.is_none());
    let done = vec![Step::DeletePod { uid: "p-1".to_owned(), why: crate::decide::Ending::Ended }];
    let status = told_after(&seen, &Outcome { done, ..Outcome::default() });
    let recovery = status.recovery.clone().unwrap();
    assert_eq!((recovery.count, recovery.last_reason.as_str()), (1, "Failed"));
    Arc::make_mut(&mut seen.session).status = Some(status);
    seen.pods.clear();
    check(&seen, READY, ("False", reason::BACKING_OFF), &["once", "Failed", "2026-06-01T12:00:10Z"]);
}
