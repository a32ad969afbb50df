//! What is told in each stuck state: the reason for machines, and words that name the thing and what to do.

use std::sync::Arc;

use crds::conditions::{
    CONNECTED, PAIRED as PAIRED_TYPE, POD_READY, READY, STORAGE_READY, SUSPENDED, reason,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use session_api::SessionState;

use super::*;
use crate::decide::decide;
use crate::fixtures::{
    KEY, PAIRED, RULES, ago, answering, claim, desired, pod as a_pod, running, said, seen, silent,
};
use crate::observe::{
    Answer, ClaimPhase, ClaimSeen, Container, Deleting, Exit, NodeSeen, Phase, PodSeen, SessionKey, Turn,
    Warning,
};

mod pod;

fn told_after(seen: &Observed, outcome: &Outcome) -> WhatsAppSessionStatus {
    let desired = desired(seen);
    let decision = decide(seen, Ok(&desired), &RULES);
    tell(&Facts { seen, decision: &decision, invalid: None, outcome, key: &KEY })
}

fn told(seen: &Observed) -> WhatsAppSessionStatus {
    told_after(seen, &Outcome::default())
}

fn says(status: &WhatsAppSessionStatus, kind: &str) -> (String, String, String) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (condition.status.clone(), condition.reason.clone(), condition.message.clone())
}

/// The condition has this status and reason, and its words hold all of these.
fn check(seen: &Observed, kind: &str, expected: (&str, &str), words: &[&str]) {
    let (status, reason, message) = says(&told(seen), kind);
    assert_eq!((status.as_str(), reason.as_str()), expected, "{kind}: {message}");
    for word in words {
        assert!(message.contains(word), "{kind} does not say {word}: {message}");
    }
}

fn with_pod(change: impl FnOnce(&mut PodSeen)) -> Observed {
    let mut seen = seen("{}", PAIRED);
    let mut pod = PodSeen { ready: Some((false, ago(9))), ..a_pod(&seen) };
    change(&mut pod);
    seen.pods = vec![pod];
    seen
}

fn waiting(reason: &str, message: &str) -> Container {
    Container::Waiting { reason: reason.to_owned(), message: message.to_owned() }
}

#[test]
fn a_session_that_is_open_is_ready_and_shows_no_number() {
    let status = told(&running("{}", PAIRED, SessionState::Open));
    assert_eq!(says(&status, READY).1, reason::AS_EXPECTED);
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
    let account = status.account.as_ref().unwrap();
    assert_eq!(account.hint.as_deref(), Some("…789"));
    assert!(!serde_json::to_string(&status).unwrap().contains("628123"));
    assert_eq!((status.state.as_deref(), status.writer_epoch), (Some("Open"), Some(4)));
}

#[test]
fn each_state_of_the_session_has_its_reason() {
    for (state, expected) in [
        (SessionState::AwaitingPairing, reason::AWAITING_PAIRING),
        (SessionState::Reconnecting, reason::RECONNECTING),
        (SessionState::LoggedOut, reason::LOGGED_OUT),
        (SessionState::Banned, reason::BANNED),
        (SessionState::Replaced, reason::REPLACED),
        (SessionState::Outdated, reason::OUTDATED),
        (SessionState::QrExpired, reason::QR_EXPIRED),
        (SessionState::PasskeyRequired, reason::PASSKEY_REQUIRED),
        (SessionState::Failed, reason::SESSION_FAILED),
    ] {
        let mut seen = running("{}", PAIRED, state);
        seen.pods[0].ready = Some((false, ago(9)));
        check(&seen, READY, ("False", expected), &[]);
    }
    check(
        &running("{}", PAIRED, SessionState::LoggedOut),
        PAIRED_TYPE,
        ("False", reason::LOGGED_OUT),
        &["again"],
    );
}

#[test]
fn each_trouble_of_the_volume_has_its_reason() {
    let with = |claim: Option<ClaimSeen>, status: &str| {
        let mut seen = seen("{}", status);
        seen.claim = claim;
        seen
    };
    let lost = with(None, PAIRED);
    check(&lost, READY, ("False", reason::VOLUME_LOST), &["toko-session", "volumeResetToken"]);
    check(&lost, STORAGE_READY, ("False", reason::VOLUME_LOST), &[]);
    let pending = ClaimSeen { phase: ClaimPhase::Pending, ..claim() };
    check(
        &with(Some(pending), ""),
        READY,
        ("False", reason::STORAGE_PENDING),
        &["standard", "ReadWriteOncePod"],
    );
    let ending = ClaimSeen { deleting: true, ..claim() };
    check(&with(Some(ending), PAIRED), READY, ("False", reason::STORAGE_TERMINATING), &["credentials"]);
    let foreign = ClaimSeen { session: None, ..claim() };
    check(&with(Some(foreign), ""), READY, ("False", reason::CLAIM_NAME_CONFLICT), &["somebody else"]);
    let mut shared = with(Some(claim()), "");
    shared.same_volume = Some(SessionKey::new("shop", "older"));
    check(&shared, READY, ("False", reason::DUPLICATE_VOLUME), &["older"]);
    let mut missing = seen(r#"{"storage":{"existingClaim":{"name":"mine"}}}"#, "");
    missing.claim = None;
    check(&missing, READY, ("False", reason::CLAIM_NOT_FOUND), &["mine"]);
}

#[test]
fn a_refusal_of_the_api_server_is_told_in_its_own_words() {
    let seen = seen("{}", PAIRED);
    let words = r#"pods "toko" is forbidden: exceeded quota: few"#.to_owned();
    let problem = Problem { step: Step::CreatePod, reason: reason::REFUSED, message: words.clone() };
    let status = told_after(&seen, &Outcome { problem: Some(problem), ..Outcome::default() });
    assert_eq!(says(&status, READY), ("False".to_owned(), reason::REFUSED.to_owned(), words.clone()));
    assert_eq!(says(&status, POD_READY).2, words);
}

#[test]
fn suspension_is_told_from_its_beginning_to_its_end() {
    let mut seen = running(r#"{"operatingMode":"Suspended"}"#, PAIRED, SessionState::Open);
    check(&seen, SUSPENDED, ("False", reason::SUSPENDING), &[]);
    check(&seen, READY, ("False", reason::SUSPENDING), &[]);
    (seen.pods, seen.heard) = (Vec::new(), None);
    check(&seen, SUSPENDED, ("True", reason::SUSPENDED), &[]);
    let status = told(&seen);
    assert!(status.account.is_some() && status.writer_epoch == Some(4) && status.state.is_none());
}

#[test]
fn who_does_not_answer_or_is_another_is_told() {
    let mut seen = running("{}", PAIRED, SessionState::Open);
    seen.heard = Some(Answer::Silent("connection refused".to_owned()));
    check(&seen, READY, ("False", reason::SESSION_UNREACHABLE), &["connection refused"]);
    seen.heard = Some(Answer::Stranger(None));
    check(&seen, READY, ("False", reason::WRONG_SESSION_ANSWERED), &[]);
    seen.heard = Some(said(&seen, SessionState::Open));
    seen.same_account = Some(SessionKey::new("shop", "older"));
    check(&seen, READY, ("False", reason::DUPLICATE_ACCOUNT), &["shop/older"]);
}

#[test]
fn what_an_open_session_complains_of_is_told_where_people_look() {
    let complains = |code: &str, state| {
        let mut seen = running("{}", PAIRED, state);
        let message = "messages that the volume does not give back: 2. Check the volume.".to_owned();
        if let Some(Answer::Status(said)) = &mut seen.heard {
            said.reason = Some(session_api::Reason { code: code.to_owned(), message });
        }
        seen
    };
    let open = complains("outbox_unreadable", SessionState::Open);
    let words = ["logged in", "does not give back: 2. Check the volume."];
    check(&open, CONNECTED, ("True", reason::OUTBOX_UNREADABLE), &words);
    check(&open, READY, ("True", reason::OUTBOX_UNREADABLE), &["Messages flow.", "Check the volume."]);
    assert!(!says(&told(&open), READY).2.ends_with(".."));
    let unknown = complains("something_newer", SessionState::Open);
    check(&unknown, READY, ("True", reason::SESSION_TROUBLED), &["Check the volume."]);
    let gone = complains("outbox_unreadable", SessionState::Reconnecting);
    check(&gone, READY, ("False", reason::RECONNECTING), &["Check the volume."]);
}

#[test]
fn a_rollout_that_waits_or_stopped_shows_beside_ready() {
    let mut seen = running("{}", PAIRED, SessionState::Open);
    seen.pods[0].template_hash = Some("old".to_owned());
    check(&seen, READY, ("True", reason::ROLLOUT_PENDING), &["Others go first."]);
    assert!(told(&seen).pod.unwrap().outdated);
    seen.turn = Turn::Stopped("Two did not come back.".to_owned());
    check(&seen, READY, ("True", reason::ROLLOUT_STOPPED), &["Two did not come back."]);
}

#[test]
fn times_move_with_the_status_alone_and_nothing_is_written_twice() {
    let mut seen = running("{}", PAIRED, SessionState::AwaitingPairing);
    let first = told(&seen);
    let session = |seen: &mut Observed, status: &WhatsAppSessionStatus| {
        Arc::make_mut(&mut seen.session).status = Some(status.clone());
    };
    session(&mut seen, &first);
    seen.now = ago(-60);
    assert!(!differs(Some(&first), &told(&seen)));
    seen.heard = Some(said(&seen, SessionState::Reconnecting));
    let second = told(&seen);
    let ready = |status: &WhatsAppSessionStatus| status.conditions[0].last_transition_time.clone();
    assert_eq!((ready(&second), second.conditions[0].reason.as_str()), (ready(&first), reason::RECONNECTING));
    session(&mut seen, &second);
    seen.heard = Some(said(&seen, SessionState::Open));
    assert_eq!(ready(&told(&seen)), Time(ago(-60)));
}

#[test]
fn nothing_changes_when_the_operator_is_restarted() {
    for state in [SessionState::Open, SessionState::AwaitingPairing, SessionState::LoggedOut] {
        let mut seen = running("{}", PAIRED, state);
        seen.pods[0].ready = Some((state == SessionState::Open, ago(9)));
        let before = told(&seen);
        Arc::make_mut(&mut seen.session).status = Some(before.clone());
        seen.heard = None;
        assert!(!differs(Some(&before), &told(&seen)), "{state:?}: {:#?}", told(&seen));
    }
}

#[test]
fn conditions_of_others_are_none_of_ours() {
    let seen = running("{}", PAIRED, SessionState::Open);
    let ours = told(&seen);
    let mut edited = ours.clone();
    let foreign = Condition { type_: "Mine".to_owned(), ..ours.conditions[0].clone() };
    edited.conditions.insert(0, foreign);
    assert!(!differs(Some(&edited), &ours));
    edited.conditions[1].status = "False".to_owned();
    assert!(differs(Some(&edited), &ours));
}

#[test]
fn what_a_pod_says_at_too_great_length_does_not_come_into_the_status() {
    let long = |length: usize| {
        let mut seen = running("{}", PAIRED, SessionState::Open);
        seen.pods[0].template_hash = Some("h".repeat(length));
        if let Some(Answer::Status(said)) = &mut seen.heard {
            said.config_hash = Some("h".repeat(length));
        }
        let status = told(&seen);
        (status.config_hash, status.pod.unwrap().template_hash)
    };
    assert_eq!(long(64), (Some("h".repeat(64)), Some("h".repeat(64))));
    assert_eq!(long(65), (None, None));
}
