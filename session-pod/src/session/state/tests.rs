//! Every transition of the session, as values.

use session_api::{ConfigPush, PairingCode, ProxyUrl, SessionPolicy, SessionState as S};

use super::*;
use crate::session::Secret;
use crate::store::{Progress, Queued};

const NOW: u64 = 1_000_000;

fn me() -> Account {
    Account { id: "628111111111@s.whatsapp.net".into(), lid: Some("9001@lid".into()), name: None }
}

fn paired() -> Link {
    Link::Paired { me: me() }
}

fn found(link: Link, credentials: bool) -> Found {
    Found { link, credentials, fresh: false, queued: Vec::new(), config: None }
}

fn queued(ids: &[&str]) -> Vec<Queued> {
    let entry = |id: &&str| Queued { id: (*id).into(), to: format!("{id}@s.whatsapp.net"), attempts: 0 };
    ids.iter().map(entry).collect()
}

/// A session under test: feeds inputs, keeps the effects of the last.
struct Scene {
    state: State,
    effects: Vec<Effect>,
    now: u64,
}

impl Scene {
    fn boot(found: Found) -> Self {
        Self { state: State::boot(found, NOW), effects: Vec::new(), now: NOW }.after(0, Input::Tick)
    }

    fn after(mut self, ms: u64, input: Input) -> Self {
        self.now += ms;
        let (state, effects) = step(self.state, input, Now { ms: self.now, roll: 999 });
        Self { state, effects, now: self.now }
    }

    fn hears(self, signal: Signal) -> Self {
        let generation = self.generation();
        self.after(0, Input::Engine { generation, signal })
    }

    fn asks(self, ask: Ask) -> Self {
        self.after(0, Input::Ask { ticket: 7, ask })
    }

    fn generation(&self) -> u64 {
        match self.state.engine {
            Engine::Running(generation) | Engine::Stopping(generation) => generation,
            Engine::Off => 0,
        }
    }

    fn open() -> Self {
        Self::open_with(&[])
    }

    fn open_with(ids: &[&str]) -> Self {
        let found = Found { queued: queued(ids), ..found(paired(), true) };
        Self::boot(found).hears(Signal::Connected(me()))
    }

    #[track_caller]
    fn is(&self, phase: S) -> &Self {
        assert_eq!(self.state.phase, phase, "{:?}", self.state.reason);
        self
    }

    #[track_caller]
    fn because(&self, code: &str) -> &Self {
        assert_eq!(self.state.reason.as_ref().map(|r| r.code.as_str()), Some(code));
        self
    }

    #[track_caller]
    fn does(&self, effect: &Effect) -> &Self {
        assert!(self.effects.contains(effect), "{effect:?} not in {:#?}", self.effects);
        self
    }

    #[track_caller]
    fn answers(&self, expected: Result<(), Refusal>) -> &Self {
        self.does(&Effect::Answer(7, expected))
    }
}

fn write(write: Write) -> Effect {
    Effect::Write(write)
}

fn send(id: &str, to: &str) -> Ask {
    Ask::Send { id: id.into(), to: to.into() }
}

fn start(generation: u64) -> Effect {
    Effect::StartEngine { generation, proxy: None }
}

#[test]
fn a_new_session_pairs_through_a_515_and_opens() {
    let scene = Scene::boot(found(Link::Unpaired, false));
    scene.is(S::Starting).does(&start(1));
    let scene = scene.hears(Signal::Dialing).hears(Signal::Qr { qr: "q1".into(), valid_ms: 60_000 });
    scene
        .is(S::AwaitingPairing)
        .does(&Effect::Announce(EventData::Qr { qr: "q1".into(), expires_at: NOW + 60_000 }));
    assert_eq!(scene.state.codes.qr.as_ref().unwrap().qr, "q1");
    let scene = scene.hears(Signal::Paired(me()));
    scene.is(S::Starting).does(&write(Write::Link(paired())));
    assert!(scene.state.codes.qr.is_none() && scene.state.is_paired());
    let scene = scene.hears(Signal::Dialing).hears(Signal::Connected(me()));
    scene.is(S::Open).does(&write(Write::Append(EventData::SessionOpen { me: me() })));
}

#[test]
fn refs_that_run_out_bring_a_new_client_at_once_and_for_ever() {
    let mut scene = Scene::boot(found(Link::Unpaired, false));
    for generation in 1..20 {
        scene.does(&start(generation));
        scene = scene.hears(Signal::Qr { qr: format!("q{generation}"), valid_ms: 20_000 });
        scene = scene.hears(Signal::QrExhausted);
        assert!(scene.state.codes.qr.is_none());
        scene.is(S::AwaitingPairing);
        if matches!(scene.state.engine, Engine::Stopping(_)) {
            scene.does(&Effect::StopEngine(generation));
        }
        scene = scene.hears(Signal::Gone);
    }
}

#[test]
fn a_pairing_code_keeps_the_connection_until_it_runs_out() {
    let code = PairingCode { code: "ABCD1234".into(), expires_at: NOW + 180_000 };
    let scene =
        Scene::boot(found(Link::Unpaired, false)).hears(Signal::Qr { qr: "q".into(), valid_ms: 60_000 });
    let scene = scene.asks(Ask::PairingCode { phone: "628111111111".into() });
    scene.does(&Effect::RequestCode { ticket: 7, phone: "628111111111".into() });
    let scene =
        scene.hears(Signal::Code(Secret(code))).hears(Signal::QrExhausted).after(170_000, Input::Tick);
    assert_eq!(scene.state.engine, Engine::Running(1), "the code can still be used");
    let scene = scene.after(10_000, Input::Tick);
    scene.does(&Effect::StopEngine(1));
    let scene = scene.hears(Signal::Gone);
    scene.does(&start(2));
}

#[test]
fn pairing_stops_when_told_and_starts_again() {
    let scene =
        Scene::boot(found(Link::Unpaired, false)).hears(Signal::Qr { qr: "q".into(), valid_ms: 60_000 });
    let scene = scene.asks(Ask::StopPairing);
    scene.is(S::QrExpired).because("qr_expired").answers(Ok(())).does(&Effect::StopEngine(1));
    let scene = scene.hears(Signal::Gone).after(600_000, Input::Tick);
    assert_eq!(scene.state.engine, Engine::Off);
    let scene = scene.asks(Ask::StartPairing);
    scene.is(S::Starting).answers(Ok(())).does(&start(2));
    Scene::open().asks(Ask::StopPairing).answers(Err(Refusal::NotPairing));
}

#[test]
fn removed_by_the_phone_is_final_and_gives_everything_up() {
    let scene = Scene::open_with(&["m"]).hears(Signal::Ended(Ending::Removed { locked: false }));
    scene.is(S::LoggedOut).because("logged_out").does(&write(Write::Link(Link::Removed)));
    let why = scene.state.reason.clone().unwrap();
    scene
        .does(&write(Write::FailedAll { reason: why.clone() }))
        .does(&Effect::Resolve { id: "m".into(), outcome: Outcome::Failed(why.clone()) })
        .does(&write(Write::Append(EventData::SessionClosed { state: S::LoggedOut, reason: Some(why) })))
        .does(&Effect::StopEngine(1));
    let scene = scene.hears(Signal::Gone).after(600_000, Input::Tick);
    assert_eq!(scene.state.engine, Engine::Off, "it does not come back by itself");
    let again = Scene::boot(found(Link::Removed, true));
    again.is(S::LoggedOut);
    assert_eq!(again.state.engine, Engine::Off, "nor in a new process");
}

#[test]
fn pairing_after_a_logout_wipes_first_and_survives_a_crash_in_between() {
    let scene = Scene::boot(found(Link::Removed, true)).asks(Ask::StartPairing);
    scene.is(S::Starting).answers(Ok(())).does(&write(Write::Link(Link::Wiping))).does(&Effect::Wipe);
    assert!(!scene.effects.iter().any(|e| matches!(e, Effect::StartEngine { .. })));
    let crashed = Scene::boot(found(Link::Wiping, true));
    crashed.does(&Effect::Wipe);
    let scene = crashed.after(0, Input::Wiped(Ok(())));
    scene.is(S::Starting).does(&write(Write::Link(Link::Unpaired))).does(&start(1));
    let failed =
        Scene::boot(found(Link::Wiping, true)).after(0, Input::Wiped(Err(reason("store_unwritable", ""))));
    failed.is(S::Failed).because("store_unwritable");
}

#[test]
fn a_wipe_waits_for_the_client_to_be_gone() {
    let scene = Scene::open().hears(Signal::Ended(Ending::LoggedOutByUs)).asks(Ask::StartPairing);
    assert!(!scene.effects.contains(&Effect::Wipe));
    scene.hears(Signal::Gone).does(&Effect::Wipe);
}

#[test]
fn replaced_stays_so_until_somebody_acts() {
    let scene = Scene::open_with(&["m"]).hears(Signal::Ended(Ending::Replaced));
    let replaced = Link::Replaced { me: me() };
    scene.is(S::Replaced).because("replaced").does(&write(Write::Link(replaced.clone())));
    assert!(scene.state.is_paired() && scene.state.outbox.depth() == 1, "nothing is given up");
    let scene = Scene::boot(found(replaced, true));
    scene.is(S::Replaced);
    assert_eq!(scene.state.engine, Engine::Off, "not even in a new process");
    let scene = scene.asks(Ask::StartPairing);
    scene.is(S::Starting).answers(Ok(())).does(&write(Write::Link(paired()))).does(&start(1));
}

#[test]
fn other_terminal_ends_keep_the_credentials_and_the_queue() {
    for (ending, phase) in [
        (Ending::Banned { until: None, cause: None }, S::Banned),
        (Ending::Outdated, S::Outdated),
        (Ending::Refused { code: 418 }, S::Failed),
    ] {
        let scene = Scene::open_with(&["m"]).hears(Signal::Ended(ending));
        scene.is(phase).does(&Effect::StopEngine(1));
        assert!(scene.state.is_paired() && scene.state.outbox.depth() == 1);
        let scene = scene.asks(send("x", "a@lid"));
        scene.answers(Err(Refusal::NotOpen(phase)));
        let scene = scene.hears(Signal::Gone).asks(Ask::StartPairing);
        scene.is(S::Starting).answers(Ok(())).does(&start(2));
    }
    let scene = Scene::boot(found(Link::Unpaired, false)).hears(Signal::Ended(Ending::PasskeyRequired));
    scene.is(S::PasskeyRequired).because("passkey_required").does(&Effect::StopEngine(1));
}

#[test]
fn the_first_terminal_end_counts() {
    let scene =
        Scene::open().hears(Signal::Ended(Ending::Replaced)).hears(Signal::Ended(Ending::LoggedOutByUs));
    scene.is(S::Replaced);
    let late = scene.hears(Signal::Connected(me()));
    late.is(S::Replaced);
}

#[test]
fn passing_ends_reconnect_and_send_again_with_the_same_id() {
    let scene = Scene::open_with(&["m"]);
    scene.does(&Effect::Transmit { generation: 1, ids: vec!["m".into()] });
    let written = Signal::Transmitted { id: "m".into(), result: Transmission::Written };
    let scene = scene.hears(written).hears(Signal::Disconnected(reason("connection_lost", "")));
    scene.is(S::Reconnecting).because("connection_lost");
    let sent = scene.asks(send("x", "a@lid"));
    sent.does(&Effect::Accept(7));
    let scene = sent.hears(Signal::Connected(me()));
    scene.is(S::Open).does(&Effect::Transmit { generation: 1, ids: vec!["m".into()] });
    let opened = |e: &Effect| matches!(e, Effect::Write(Write::Append(EventData::SessionOpen { .. })));
    assert!(!scene.effects.iter().any(opened), "it was open before");
}

#[test]
fn dialing_while_open_is_a_lost_connection() {
    Scene::open().hears(Signal::Dialing).is(S::Reconnecting).because("connection_lost");
    let scene = Scene::boot(found(paired(), true));
    let scene = scene.hears(Signal::DialFailed(reason("connection_failed", "")));
    scene.is(S::Starting).because("connection_failed");
}

#[test]
fn a_connection_that_comes_to_nothing_is_told_when_the_next_is_opened() {
    let scene = Scene::boot(found(paired(), true)).hears(Signal::Dialing);
    assert_eq!(scene.state.reason, None);
    let scene = scene.hears(Signal::Dialing);
    scene.is(S::Starting).because("connection_failed");
    let open =
        scene.hears(Signal::Connected(me())).hears(Signal::Disconnected(reason("connection_lost", "")));
    open.hears(Signal::Dialing).is(S::Reconnecting).because("connection_lost");
}

#[test]
fn a_client_that_cannot_be_built_is_tried_again_more_and_more_slowly() {
    let broken = || Signal::Broken { reason: reason("client_failed", ""), passing: true };
    let scene = Scene::boot(found(paired(), true)).hears(broken());
    scene.is(S::Starting).because("client_failed");
    assert_eq!(scene.state.wake_at(scene.now), Some(scene.now + 1_000));
    let scene = scene.after(1_000, Input::Tick);
    scene.does(&start(2));
    let scene = scene.hears(broken());
    assert_eq!(scene.state.wake_at(scene.now), Some(scene.now + 2_000));
}

#[test]
fn what_an_old_client_says_is_not_heard() {
    let scene = Scene::open();
    let stale = Input::Engine { generation: 99, signal: Signal::Ended(Ending::Replaced) };
    scene.after(0, stale).is(S::Open);
}

#[test]
fn sends_are_taken_only_when_they_can_be_sent_one_day() {
    Scene::open().asks(send("x", "a@lid")).does(&Effect::Accept(7));
    Scene::boot(found(paired(), true)).asks(send("x", "a@lid")).does(&Effect::Accept(7));
    let unpaired = Scene::boot(found(Link::Unpaired, false)).asks(send("x", "a@lid"));
    unpaired.answers(Err(Refusal::NotOpen(S::Starting)));
    let ids: Vec<String> = (0..MAX_QUEUED).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    Scene::open_with(&ids).asks(send("x", "a@lid")).answers(Err(Refusal::QueueFull));
}

#[test]
fn an_acknowledgement_settles_and_a_refusal_gives_up() {
    let sent = || {
        Scene::open_with(&["m"]).hears(Signal::Transmitted { id: "m".into(), result: Transmission::Written })
    };
    let scene = sent().hears(Signal::Ack { id: "m".into(), refused: None });
    scene
        .does(&write(Write::Acked { id: "m".into() }))
        .does(&Effect::Resolve { id: "m".into(), outcome: Outcome::Sent });
    assert_eq!(scene.state.outbox.depth(), 0);
    let scene = sent().hears(Signal::Ack { id: "m".into(), refused: Some("479".into()) });
    let refused =
        |e: &Effect| matches!(e, Effect::Write(Write::Failed { reason, .. }) if reason.code == "nack_479");
    assert!(scene.effects.iter().any(refused), "{:?}", scene.effects);
    let scene = sent().hears(Signal::Ack { id: "other".into(), refused: None });
    assert_eq!((scene.effects.len(), scene.state.outbox.depth()), (0, 1), "not ours");
}

#[test]
fn a_receipt_stands_in_for_a_lost_acknowledgement() {
    let receipt = Signal::Receipt { ids: vec!["m".into(), "x".into()], progress: Progress::Delivered };
    let scene = Scene::open_with(&["m"]).hears(receipt);
    scene
        .does(&write(Write::Progress { ids: vec!["m".into(), "x".into()], progress: Progress::Delivered }))
        .does(&Effect::Resolve { id: "m".into(), outcome: Outcome::Sent });
    assert_eq!(scene.state.outbox.depth(), 0);
}

#[test]
fn failed_writes_are_tried_again_and_impossible_ones_given_up() {
    let transmitted = |result| Scene::open_with(&["m"]).hears(Signal::Transmitted { id: "m".into(), result });
    transmitted(Transmission::Failed).does(&write(Write::Attempts { id: "m".into(), attempts: 1 }));
    let why = reason("invalid_message", "");
    let scene = transmitted(Transmission::Impossible(why.clone()));
    scene.does(&write(Write::Failed { id: "m".into(), reason: why }));
    let gone = Scene::open_with(&["m"]).hears(Signal::Disconnected(reason("connection_lost", "")));
    let gone = gone.hears(Signal::Transmitted { id: "m".into(), result: Transmission::Disconnected });
    assert_eq!((gone.effects.len(), gone.state.outbox.depth()), (0, 1), "that was no try");
}

#[test]
fn silence_is_tried_again_and_ends() {
    let mut scene = Scene::open_with(&["m"]);
    for _ in 0..100 {
        scene = scene.hears(Signal::Transmitted { id: "m".into(), result: Transmission::Written });
        scene = scene.after(60_000, Input::Tick).after(60_000, Input::Tick);
        if scene.state.outbox.depth() == 0 {
            return;
        }
    }
    panic!("it never ended: {:?}", scene.state.outbox);
}

#[test]
fn sends_keep_the_pace_of_the_policy() {
    let policy = SessionPolicy { pace_ms: Some(1_000), jitter_ms: Some(500), ..SessionPolicy::default() };
    let push = ConfigPush { hash: "h".into(), policy, ..ConfigPush::default() };
    let scene = Scene::open().asks(Ask::Configure(push.clone()));
    scene.answers(Ok(())).does(&write(Write::Config(push.clone())));
    let again = scene.asks(Ask::Configure(push));
    assert_eq!(again.effects, [Effect::Answer(7, Ok(()))], "the same hash changes nothing");
    let stored = |id: &str| Input::Stored { id: id.into(), to: "a@lid".into() };
    let scene = again.after(0, stored("1"));
    scene.does(&Effect::Transmit { generation: 1, ids: vec!["1".into()] });
    let scene = scene.hears(Signal::Transmitted { id: "1".into(), result: Transmission::Written });
    let scene = scene.after(0, stored("2"));
    assert_eq!(scene.effects, []);
    assert_eq!(scene.state.wake_at(scene.now), Some(scene.now + 1_500));
    scene.after(1_500, Input::Tick).does(&Effect::Transmit { generation: 1, ids: vec!["2".into()] });
}

#[test]
fn a_recipient_is_written_to_after_its_cooldown_and_a_repetition_at_once() {
    let policy = SessionPolicy { cooldown_ms: Some(3_000), ..SessionPolicy::default() };
    let push = ConfigPush { hash: "h".into(), policy, ..ConfigPush::default() };
    let scene = Scene::open().asks(send("1", "a@lid")).asks(Ask::Configure(push));
    let scene = scene.asks(send("2", "a@lid"));
    scene.does(&Effect::Accept(7));
    let scene = scene.after(0, Input::Stored { id: "2".into(), to: "a@lid".into() });
    let scene = scene.after(1_000, Input::Tick).asks(send("3", "a@lid"));
    scene.answers(Err(Refusal::Cooldown(2_000)));
    assert!(!scene.effects.contains(&Effect::Accept(7)), "nothing is stored");
    let scene = scene.asks(send("2", "a@lid"));
    scene.does(&Effect::Accept(7));
    let scene = scene.asks(send("4", "b@lid"));
    scene.does(&Effect::Accept(7));
    scene.after(2_000, Input::Tick).asks(send("3", "a@lid")).does(&Effect::Accept(7));
}

/// A configuration that names a proxy, or none.
fn through(proxy: Option<&str>, hash: &str) -> ConfigPush {
    let proxy = proxy.map(|url| ProxyUrl(url.into()));
    ConfigPush { hash: hash.into(), proxy, ..ConfigPush::default() }
}

#[test]
fn another_proxy_rebuilds_the_connection_once_and_loses_nothing() {
    let proxy = Some(ProxyUrl("http://p".into()));
    let scene = Scene::open_with(&["m"]).asks(Ask::Configure(through(Some("http://p"), "h1")));
    scene.is(S::Reconnecting).because("proxy_changed").answers(Ok(())).does(&Effect::StopEngine(1));
    assert!(scene.state.is_paired() && scene.state.outbox.depth() == 1);
    let late = scene.hears(Signal::Ack { id: "other".into(), refused: None });
    let again = late.asks(Ask::Configure(through(Some("http://p"), "h1")));
    assert_eq!(again.effects, [Effect::Answer(7, Ok(()))], "the same hash changes nothing");
    let scene = again.hears(Signal::Gone);
    scene.does(&Effect::StartEngine { generation: 2, proxy: proxy.clone() });
    let scene = scene.hears(Signal::Connected(me()));
    scene.is(S::Open).does(&Effect::Transmit { generation: 2, ids: vec!["m".into()] });
    let paced = ConfigPush { hash: "h2".into(), proxy, ..through(None, "") };
    let scene = scene.asks(Ask::Configure(paced));
    assert!(!scene.effects.contains(&Effect::StopEngine(2)), "the proxy is the same");
    let scene = scene.asks(Ask::Configure(through(None, "h3")));
    scene.does(&Effect::StopEngine(2));
    scene.hears(Signal::Gone).does(&start(3));
}

#[test]
fn another_proxy_is_tried_at_once_and_brings_no_terminal_session_back() {
    let broken = Signal::Broken { reason: reason("client_failed", ""), passing: true };
    let scene = Scene::boot(found(paired(), true)).hears(broken);
    assert_eq!(scene.state.engine, Engine::Off, "there is a pause");
    let scene = scene.asks(Ask::Configure(through(Some("http://p"), "h")));
    scene.does(&Effect::StartEngine { generation: 2, proxy: Some(ProxyUrl("http://p".into())) });
    let scene = Scene::open().hears(Signal::Ended(Ending::Replaced)).hears(Signal::Gone);
    let scene = scene.asks(Ask::Configure(through(Some("http://p"), "h")));
    scene.is(S::Replaced).because("replaced").answers(Ok(()));
    assert_eq!(scene.state.engine, Engine::Off);
}

#[test]
fn a_broken_store_takes_no_configuration() {
    let lost = reason("volume_lost", "");
    let state = State::broken(lost.clone(), Link::Unpaired, NOW).configured(through(None, "given"));
    let scene = Scene { state, effects: Vec::new(), now: NOW }.after(0, Input::Tick);
    assert_eq!((scene.state.engine, &scene.effects[..]), (Engine::Off, &[][..]), "nothing connects");
    assert_eq!(scene.state.config_hash.as_deref(), Some("given"));
    let scene = scene.asks(Ask::Configure(through(None, "h")));
    scene.is(S::Failed).because("volume_lost").answers(Err(Refusal::Store(lost.clone())));
    scene.asks(Ask::StartPairing).answers(Err(Refusal::Store(lost)));
}

#[test]
fn lost_credentials_are_an_error_until_somebody_acknowledges_it() {
    let scene = Scene::boot(found(paired(), false));
    scene.is(S::Failed).because("credentials_lost");
    assert!(!scene.state.is_paired());
    assert_eq!(scene.state.engine, Engine::Off);
    scene.asks(Ask::StartPairing).answers(Ok(())).does(&Effect::Wipe);
    let scene = Scene::boot(Found { fresh: true, ..found(Link::Unpaired, true) });
    scene.is(S::Failed).because("session_store_lost");
    let crashed = Scene::boot(found(Link::Unpaired, true));
    crashed.is(S::Starting).does(&start(1));
    let adopted = crashed.hears(Signal::Connected(me()));
    adopted.is(S::Open).does(&write(Write::Link(paired())));
}

#[test]
fn a_broken_store_stays_broken() {
    let scene = Scene {
        state: State::broken(reason("store_corrupt", ""), paired(), NOW),
        effects: Vec::new(),
        now: NOW,
    };
    let scene = scene.after(0, Input::Tick);
    scene.is(S::Failed).because("store_corrupt");
    assert_eq!(scene.state.engine, Engine::Off);
    let scene = scene.asks(Ask::StartPairing);
    scene.answers(Err(Refusal::Store(reason("store_corrupt", ""))));
    scene.asks(send("x", "a@lid")).answers(Err(Refusal::NotOpen(S::Failed)));
}

#[test]
fn a_full_disk_stops_reading_and_comes_back_by_itself() {
    let full = reason("disk_full", "");
    let scene = Scene::open_with(&["m"]).after(0, Input::StorageFailed(full.clone()));
    scene.is(S::Failed).because("disk_full").does(&Effect::StopEngine(1));
    let scene = scene.hears(Signal::Gone).asks(send("x", "a@lid"));
    scene.answers(Err(Refusal::Store(full)));
    let scene = scene.after(0, Input::StorageBack(queued(&["m", "n"])));
    scene.is(S::Starting).does(&start(2));
    assert_eq!(scene.state.outbox.depth(), 2);
    let logged_out =
        Scene::boot(found(Link::Removed, true)).after(0, Input::StorageFailed(reason("disk_full", "")));
    let back = logged_out.after(0, Input::StorageBack(Vec::new()));
    back.is(S::LoggedOut).does(&Effect::Write(Write::Link(Link::Removed)));
}

#[test]
fn configuration_that_may_not_have_been_written_is_taken_again() {
    let push = through(None, "h");
    let write = Effect::Write(Write::Config(push.clone()));
    let ask = || Ask::Configure(push.clone());
    let scene = Scene::open().asks(ask());
    scene.does(&write);
    let scene = scene.asks(ask());
    assert!(!scene.effects.contains(&write), "it is known");
    let scene = scene.after(0, Input::StorageFailed(reason("disk_full", "")));
    let scene = scene.after(0, Input::StorageBack(Vec::new())).asks(ask());
    scene.does(&write).answers(Ok(()));
}

#[test]
fn a_stop_drains_what_is_on_the_way_then_ends() {
    let scene = Scene::open_with(&["m"]).after(0, Input::Stop);
    scene.is(S::Stopping);
    let refused = scene.asks(send("x", "a@lid"));
    refused.answers(Err(Refusal::Stopping));
    let scene = refused.hears(Signal::Transmitted { id: "m".into(), result: Transmission::Written });
    assert!(!scene.effects.contains(&Effect::StopEngine(1)), "the acknowledgement is waited for");
    let scene = scene.hears(Signal::Ack { id: "m".into(), refused: None });
    scene.does(&Effect::StopEngine(1));
    scene.hears(Signal::Gone).does(&Effect::Exit);
}

#[test]
fn a_stop_waits_ten_seconds_at_most_and_not_at_all_without_a_connection() {
    let scene = Scene::open_with(&["m"]).after(0, Input::Stop).after(DRAIN_MS - 1, Input::Tick);
    assert!(!scene.effects.contains(&Effect::StopEngine(1)));
    let scene = scene.after(1, Input::Tick);
    scene.does(&Effect::StopEngine(1));
    assert_eq!(
        scene.state.wake_at(scene.now),
        None,
        "the client's end is waited for, not asked for again and again"
    );
    let away = Scene::boot(Found { queued: queued(&["m"]), ..found(paired(), true) }).after(0, Input::Stop);
    away.does(&Effect::StopEngine(1));
    let idle = Scene::boot(found(Link::Removed, true)).after(0, Input::Stop);
    idle.is(S::Stopping).does(&Effect::Exit);
}

#[test]
fn logging_out_needs_a_connection() {
    Scene::open().asks(Ask::Logout).does(&Effect::Logout(7));
    Scene::boot(found(paired(), true)).asks(Ask::Logout).answers(Err(Refusal::NotOpen(S::Starting)));
}

#[test]
fn a_pairing_code_needs_an_unpaired_connected_session() {
    let ask = || Ask::PairingCode { phone: "628111111111".into() };
    Scene::open().asks(ask()).answers(Err(Refusal::AlreadyPaired));
    Scene::boot(found(Link::Unpaired, false)).asks(ask()).answers(Err(Refusal::NotReady));
    Scene::boot(found(Link::Removed, true)).asks(ask()).answers(Err(Refusal::NotOpen(S::LoggedOut)));
    Scene::open().asks(Ask::StartPairing).answers(Err(Refusal::AlreadyPaired));
}
