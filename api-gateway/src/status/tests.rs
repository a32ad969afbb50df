//! The mapping, case by case.

use super::*;
use crate::directory::PodEndpoint;

fn heard(state: SessionState, paired: bool, current: bool) -> Heard {
    let status = SessionStatus {
        revision: 3,
        session_id: "shop".to_owned(),
        session_uid: "uid".to_owned(),
        writer_epoch: 1,
        state,
        since: 7,
        reason: None,
        paired,
        me: None,
        outbox_depth: 0,
        last_event: 0,
        config_hash: None,
        version: "0.1.0".to_owned(),
    };
    Heard { status, current }
}

fn running() -> Runtime {
    let pod = PodEndpoint { address: "127.0.0.1:1".to_owned(), uid: "uid".to_owned(), token: "t".to_owned() };
    Runtime::Running { since: 5, pod }
}

fn reason() -> Reason {
    Reason { code: "crashed".to_owned(), message: "it crashed".to_owned() }
}

#[test]
fn a_process_that_answers_is_believed() {
    for (state, expected) in [
        (SessionState::Starting, PublicStatus::Starting),
        (SessionState::AwaitingPairing, PublicStatus::Qr),
        (SessionState::Open, PublicStatus::Open),
        (SessionState::Reconnecting, PublicStatus::Reconnecting),
        (SessionState::LoggedOut, PublicStatus::LoggedOut),
        (SessionState::Replaced, PublicStatus::Closed),
        (SessionState::QrExpired, PublicStatus::Closed),
        (SessionState::Banned, PublicStatus::Failed),
        (SessionState::Outdated, PublicStatus::Failed),
        (SessionState::Failed, PublicStatus::Failed),
        (SessionState::PasskeyRequired, PublicStatus::PasskeyRequired),
        (SessionState::Stopping, PublicStatus::Closed),
    ] {
        let seen = view(&running(), Some(&heard(state, true, true)));
        assert_eq!((seen.status, seen.since), (expected, Some(7)), "{state:?}");
    }
}

#[test]
fn a_process_that_does_not_answer_is_on_its_way() {
    let silent = |paired| view(&running(), Some(&heard(SessionState::Open, paired, false))).status;
    assert_eq!(silent(true), PublicStatus::Reconnecting);
    assert_eq!(silent(false), PublicStatus::Starting);
    assert_eq!(view(&running(), None).status, PublicStatus::Starting);
    let waiting = Runtime::Waiting { since: 1, until: 2, reason: reason() };
    let seen = view(&waiting, Some(&heard(SessionState::Open, true, false)));
    assert_eq!((seen.status, seen.last_error), (PublicStatus::Reconnecting, Some(reason())));
}

#[test]
fn the_supervisors_word_wins_over_an_old_answer() {
    let old = heard(SessionState::Open, true, true);
    assert_eq!(view(&Runtime::Stopped { since: 1 }, Some(&old)).status, PublicStatus::Suspended);
    let failed = view(&Runtime::Failed { since: 1, reason: reason() }, Some(&old));
    assert_eq!((failed.status, failed.last_error), (PublicStatus::Failed, Some(reason())));
}

#[test]
fn starting_does_what_is_missing() {
    let start = |state| start_action(&running(), Some(&heard(state, true, true)));
    assert_eq!(start(SessionState::Open), StartAction::Nothing);
    assert_eq!(start(SessionState::AwaitingPairing), StartAction::Nothing);
    assert_eq!(start(SessionState::QrExpired), StartAction::Pair);
    assert_eq!(start(SessionState::LoggedOut), StartAction::Pair);
    assert_eq!(start(SessionState::Replaced), StartAction::Pair);
    assert_eq!(start(SessionState::Failed), StartAction::Restart);
    assert_eq!(start_action(&Runtime::Stopped { since: 0 }, None), StartAction::Resume);
    assert_eq!(start_action(&Runtime::Failed { since: 0, reason: reason() }, None), StartAction::Restart);
    assert_eq!(start_action(&Runtime::Starting { since: 0, reason: None }, None), StartAction::Nothing);
}

#[test]
fn names_are_those_of_the_json() {
    for status in PublicStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
    }
}
