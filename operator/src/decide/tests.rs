//! The single decisions, by what they are about; and the invariants over every combination of what can be seen.

use std::sync::Arc;

use crds::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use session_api::SessionState;

use super::*;
use crate::fixtures::{PAIRED, RULES, ago, answering, claim, desired, now, pod, running, said, seen, silent};
use crate::observe::{
    Answer, ClaimPhase, ClaimSeen, Container, Deleting, Exit, NodeSeen, Owner, Phase, PodSeen, SessionKey,
    Turn,
};

mod every_state;
mod farewell;
mod proof;
mod storage;

fn decided(seen: &Observed) -> Decision {
    let desired = desired(seen);
    decide(seen, Ok(&desired), &RULES)
}

fn steps(seen: &Observed) -> Vec<Step> {
    decided(seen).steps
}

fn annotated(seen: &mut Observed, change: impl FnOnce(&mut crds::WhatsAppSession)) {
    change(Arc::make_mut(&mut seen.session));
}

/// The claim without the labels that it is watched by.
fn stripped() -> ClaimSeen {
    ClaimSeen { session: None, session_uid: None, labelled: false, ..claim() }
}

fn delete(seen: &mut Observed, seconds_ago: i64) {
    // Whatever another clock says.
    annotated(seen, |session| session.metadata.deletion_timestamp = Some(Time(ago(9_000))));
    seen.deleted_for = k8s_openapi::jiff::SignedDuration::from_secs(seconds_ago);
}

fn deletes(uid: &str, why: Ending) -> Vec<Step> {
    vec![Step::DeletePod { uid: uid.to_owned(), why }]
}

#[test]
fn a_fresh_session_gets_its_objects_volume_first_and_pod_last() {
    let mut seen = seen("{}", "");
    (seen.claim, seen.secret, seen.network_policy) = (None, None, None);
    assert_eq!(
        steps(&seen),
        [Step::CreateClaim, Step::CreateSecret, Step::CreateNetworkPolicy, Step::CreatePod]
    );
}

#[test]
fn what_is_well_is_left_alone() {
    for state in [SessionState::Open, SessionState::Reconnecting, SessionState::AwaitingPairing] {
        assert_eq!(steps(&running("{}", PAIRED, state)), []);
    }
}

#[test]
fn a_session_that_ended_for_good_is_not_restarted() {
    for state in
        [SessionState::LoggedOut, SessionState::Banned, SessionState::Replaced, SessionState::QrExpired]
    {
        let mut seen = running("{}", PAIRED, state);
        assert_eq!(steps(&seen), [], "{state:?}");
        seen.turn = Turn::Now;
        (seen.pods[0].template_hash, seen.pods[0].revision) =
            (Some("old".to_owned()), Some("old".to_owned()));
        assert_eq!(steps(&seen), [], "{state:?}: not for the fleet's sake");
        seen.pods[0].revision = Some(desired(&seen).revision);
        assert_eq!(steps(&seen), deletes("p-1", Ending::Outdated), "{state:?}: for its own");
    }
}

#[test]
fn an_outdated_pod_waits_for_its_turn_unless_it_never_ran() {
    let outdated = |turn: Turn, spec: &str| {
        let mut seen = running(spec, PAIRED, SessionState::Open);
        seen.pods[0].template_hash = Some("old".to_owned());
        seen.turn = turn;
        seen
    };
    assert_eq!(steps(&outdated(Turn::Later(String::new()), "{}")), []);
    assert_eq!(steps(&outdated(Turn::Stopped(String::new()), "{}")), []);
    assert_eq!(steps(&outdated(Turn::Now, "{}")), deletes("p-1", Ending::Outdated));
    assert_eq!(steps(&outdated(Turn::Now, r#"{"updateStrategy":"OnDelete"}"#)), []);
    let mut never_ran = outdated(Turn::Later(String::new()), "{}");
    never_ran.heard = None;
    never_ran.pods[0].container =
        Container::Waiting { reason: "ImagePullBackOff".to_owned(), message: String::new() };
    assert_eq!(steps(&never_ran), deletes("p-1", Ending::Outdated));
    let mut doomed = outdated(Turn::Now, "{}");
    doomed.claim = Some(ClaimSeen { deleting: true, ..claim() });
    assert_eq!(steps(&doomed), [], "its volume would go with it");
}

#[test]
fn a_pod_that_has_ended_is_deleted_and_the_next_one_waits() {
    let mut ended = seen("{}", PAIRED);
    ended.pods = vec![PodSeen { phase: Phase::Failed, reason: Some("Evicted".to_owned()), ..pod(&ended) }];
    assert_eq!(steps(&ended), deletes("p-1", Ending::Ended));
    let backing_off = |retry: &str| {
        format!(
            r#"{{"conditions":[],"recovery":{{"count":2,"lastReason":"Evicted","lastTime":"2026-06-01T11:59:50Z","retryAfter":"{retry}"}}}}"#
        )
    };
    let waits = seen("{}", &backing_off("2026-06-01T12:00:10Z"));
    let decision = decided(&waits);
    assert_eq!((decision.steps, decision.again), (vec![], Some(Duration::from_secs(10))));
    assert_eq!(steps(&seen("{}", &backing_off("2026-06-01T12:00:00Z"))), [Step::CreatePod]);
    let ahead = backing_off("2026-06-01T12:10:10Z").replace("11:59:50", "12:10:00");
    assert_eq!(steps(&seen("{}", &ahead)), [Step::CreatePod], "another clock's wait");
}

#[test]
fn waits_between_pods_double_up_to_five_minutes_and_start_anew_after_ten_good_ones() {
    let mut seen = seen("{}", PAIRED);
    seen.pods = vec![PodSeen { phase: Phase::Failed, ..pod(&seen) }];
    let mut waits = Vec::new();
    for _ in 0..7 {
        let next = recovery::after_end(&seen, &seen.pods[0]);
        waits.push(next.retry_after.as_ref().unwrap().0.duration_since(now()).as_secs());
        annotated(&mut seen, |session| session.status.as_mut().unwrap().recovery = Some(next));
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    seen.pods[0].made = Some(ago(3_600));
    assert_eq!(recovery::after_end(&seen, &seen.pods[0]).count, 1);
}

#[test]
fn a_node_whose_clock_is_behind_forgives_nothing_early() {
    let mut seen = running("{}", PAIRED, SessionState::Open);
    let forgiven = |since, made, seen: &mut Observed| {
        seen.pods[0].container = Container::Running { since: Some(since) };
        seen.pods[0].made = Some(made);
        recovery::forgiven_at(&seen.pods[0])
    };
    assert_eq!(forgiven(ago(900), ago(5), &mut seen), Some(ago(-595)));
    assert_eq!(forgiven(ago(5), ago(900), &mut seen), Some(ago(-595)), "its container was started again");
}

#[test]
fn a_crash_loop_is_left_to_the_kubelet() {
    let mut seen = seen("{}", PAIRED);
    let exit = Exit { code: 1, reason: "Error".to_owned() };
    seen.pods = vec![PodSeen {
        container: Container::Waiting { reason: "CrashLoopBackOff".to_owned(), message: String::new() },
        last_exit: Some(exit),
        restarts: 9,
        ready: Some((false, ago(5))),
        ..pod(&seen)
    }];
    assert_eq!(steps(&seen), []);
}

#[test]
fn suspension_ends_the_pod_and_resumption_makes_one() {
    let mut seen = running(r#"{"operatingMode":"Suspended"}"#, PAIRED, SessionState::Open);
    assert_eq!(steps(&seen), deletes("p-1", Ending::Suspended));
    seen.pods[0].deleting = Some(Deleting { deadline: ago(-30) });
    assert_eq!(decided(&seen).pod, Standing::Terminating);
    seen.pods.clear();
    assert_eq!(decided(&seen).pod, Standing::Absent(Absence::Suspended));
}

#[test]
fn a_running_session_gets_its_configuration_and_one_pairing_code() {
    let spec = r#"{"phoneNumber":"628123456789","pairing":{"method":"PairingCode"}}"#;
    let mut seen = running(spec, "", SessionState::AwaitingPairing);
    assert_eq!(steps(&seen), [Step::AskPairingCode]);
    seen.code_asked = true;
    assert_eq!(steps(&seen), []);
    if let Some(Answer::Status(status)) = &mut seen.heard {
        status.config_hash = Some("old".to_owned());
    }
    assert_eq!(steps(&seen), [Step::PushConfig]);
}

#[test]
fn a_deleted_session_is_unlinked_within_a_minute_or_let_go() {
    let spec = r#"{"onDelete":"Unlink"}"#;
    assert_eq!(steps(&running(spec, PAIRED, SessionState::Open)), [Step::AddFinalizer]);
    let deleted = |seconds: i64, state: SessionState| {
        let mut seen = running(spec, PAIRED, state);
        annotated(&mut seen, |session| {
            session.metadata.finalizers = Some(vec![names::UNLINK_FINALIZER.to_owned()]);
        });
        delete(&mut seen, seconds);
        seen
    };
    assert_eq!(steps(&deleted(1, SessionState::Open)), [Step::LogOut]);
    assert_eq!(steps(&deleted(61, SessionState::Open)), [Step::RemoveFinalizer]);
    assert_eq!(steps(&deleted(1, SessionState::LoggedOut)), [Step::RemoveFinalizer]);
    let mut suspended = deleted(1, SessionState::Open);
    suspended.pods.clear();
    assert_eq!(steps(&suspended), [Step::RemoveFinalizer]);
    let mut silent = deleted(1, SessionState::Open);
    silent.heard = Some(Answer::Silent("x".to_owned()));
    assert_eq!(steps(&silent), [], "it may still answer");
    delete(&mut silent, 61);
    assert_eq!(steps(&silent), [Step::RemoveFinalizer]);
}

#[test]
fn a_dying_namespace_is_not_held_up() {
    let mut seen = running(r#"{"onDelete":"Unlink"}"#, PAIRED, SessionState::Open);
    annotated(&mut seen, |session| {
        session.metadata.finalizers = Some(vec![names::UNLINK_FINALIZER.to_owned()]);
    });
    seen.namespace_terminating = true;
    assert_eq!(steps(&seen), [Step::RemoveFinalizer]);
}

#[test]
fn what_belongs_to_a_former_session_of_the_name_goes_first() {
    let mut seen = seen("{}", "");
    seen.secret.as_mut().unwrap().owner.as_mut().unwrap().uid = "former".to_owned();
    assert_eq!(steps(&seen), []);
}

#[test]
fn a_foreign_change_to_a_child_is_undone() {
    let mut seen = running("{}", PAIRED, SessionState::Open);
    seen.secret.as_mut().unwrap().hash = "other".to_owned();
    seen.network_policy.as_mut().unwrap().labelled = false;
    seen.pods[0].labelled = false;
    let label = Step::LabelPod { uid: "p-1".to_owned(), version: "1".to_owned() };
    assert_eq!(steps(&seen), [Step::ApplySecret, Step::ApplyNetworkPolicy, label]);
}

#[test]
fn an_invalid_spec_starts_nothing_and_stops_nothing() {
    let invalid = Invalid::Webhook { place: 0 };
    let undecided = |seen: &Observed| decide(seen, Err(&invalid), &RULES).steps;
    assert_eq!(undecided(&seen("{}", "")), []);
    assert_eq!(undecided(&running("{}", PAIRED, SessionState::Open)), []);
    let suspended = running(r#"{"operatingMode":"Suspended"}"#, PAIRED, SessionState::Open);
    assert_eq!(undecided(&suspended), deletes("p-1", Ending::Suspended));
}
