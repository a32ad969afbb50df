//! Which event is which signal.

use session_api::SessionState;
use whatsapp_rust::types::events::{
    ClientOutdated, ConnectFailure, Connected, PairPasskeyRequest, PairSuccess, ServerAck, StreamReplaced,
    TempBanReason,
};
use whatsapp_rust::wacore::chrono::Duration;
use whatsapp_rust::wacore_binary::builder::NodeBuilder;

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn me() -> Account {
    Account { id: "1@s.whatsapp.net".into(), lid: None, name: None }
}

fn heard(event: &Event) -> Option<Signal> {
    signal(event, NOW, || Some(me()))
}

#[track_caller]
fn ends(event: &Event, state: SessionState, code: &str) {
    let Some(Signal::Ended(ending)) = heard(event) else { panic!("{event:?} is no end: {:?}", heard(event)) };
    let (found, reason) = ending.verdict();
    assert_eq!((found, reason.code.as_str()), (state, code));
}

fn out(reason: ConnectFailureReason, by_server: bool) -> Event {
    let raw = by_server.then(|| NodeBuilder::new("failure").build());
    Event::LoggedOut(LoggedOut::builder().on_connect(true).reason(reason).maybe_raw(raw).build())
}

fn failure(reason: ConnectFailureReason) -> Event {
    Event::ConnectFailure(ConnectFailure::builder().reason(reason).build())
}

#[test]
fn terminal_ends_are_told_apart() {
    use ConnectFailureReason as R;
    ends(&out(R::LoggedOut, true), SessionState::LoggedOut, "logged_out");
    ends(&out(R::AccountLocked, true), SessionState::LoggedOut, "account_locked");
    assert_eq!(heard(&out(R::LoggedOut, false)), Some(Signal::Ended(Ending::LoggedOutByUs)));
    ends(&Event::StreamReplaced(StreamReplaced::builder().build()), SessionState::Replaced, "replaced");
    ends(&Event::ClientOutdated(ClientOutdated::builder().build()), SessionState::Outdated, "outdated");
    ends(&failure(R::TempBanned), SessionState::Banned, "banned");
    ends(&failure(R::Generic), SessionState::Failed, "connection_refused");
    ends(&failure(R::Unknown(599)), SessionState::Failed, "connection_refused");
    let passkey = PairPasskeyRequest::builder().request_options_json("{}".to_owned()).build();
    ends(&Event::PairPasskeyRequest(passkey), SessionState::PasskeyRequired, "passkey_required");
}

#[test]
fn an_unavailable_server_is_passing() {
    for reason in [ConnectFailureReason::ServiceUnavailable, ConnectFailureReason::InternalServerError] {
        let Some(Signal::Disconnected(why)) = heard(&failure(reason)) else { panic!("{reason:?}") };
        assert_eq!(why.code, "whatsapp_unavailable");
    }
}

#[test]
fn a_ban_says_until_when() {
    let ban = TemporaryBan::builder()
        .code(TempBanReason::SentTooManySameMessage)
        .expire(Duration::hours(1))
        .build();
    assert_eq!(
        heard(&Event::TemporaryBan(ban)),
        Some(Signal::Ended(Ending::Banned { until: Some("2023-11-14T23:13:20Z".into()), cause: Some(104) }))
    );
}

#[test]
fn acknowledgements_are_of_messages_only() {
    let ack = |class: &str, error: Option<&str>| {
        let ack = ServerAck::builder().id("3EB0".to_owned()).class(class.to_owned());
        Event::ServerAck(ack.maybe_error(error.map(str::to_owned)).build())
    };
    assert_eq!(heard(&ack("message", None)), Some(Signal::Ack { id: "3EB0".into(), refused: None }));
    let refused = Some(Signal::Ack { id: "3EB0".into(), refused: Some("479".into()) });
    assert_eq!(heard(&ack("message", Some("479"))), refused);
    assert_eq!(heard(&ack("receipt", None)), None);
}

#[test]
fn pairing_and_connecting_name_the_account() {
    let pair = PairSuccess::builder()
        .id("628123456789:4@s.whatsapp.net".parse().unwrap())
        .lid("99:4@lid".parse().unwrap())
        .business_name(String::new())
        .platform("smba".to_owned())
        .build();
    let account =
        Account { id: "628123456789@s.whatsapp.net".into(), lid: Some("99@lid".into()), name: None };
    assert_eq!(heard(&Event::PairSuccess(pair)), Some(Signal::Paired(account)));
    assert_eq!(heard(&Event::Connected(Connected::builder().build())), Some(Signal::Connected(me())));
}
