//! Every transition of the session, as values.

mod clock;
mod ends;
mod sends;
mod store;

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
    Found { link, credentials, fresh: false, queued: Vec::new() }
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

fn record(write: Write) -> Effect {
    Effect::Record(write)
}

fn send(id: &str, to: &str) -> Ask {
    Ask::Send { id: id.into(), to: to.into() }
}

fn transmit(line: (u64, u64), ids: &[&str]) -> Effect {
    let (generation, connection) = line;
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    Effect::Transmit { generation, connection, ids, behind: false }
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
fn passing_ends_reconnect_and_send_again_with_the_same_id() {
    let scene = Scene::open_with(&["m"]);
    scene.does(&transmit((1, 1), &["m"]));
    let written = Signal::Transmitted { connection: 1, id: "m".into(), result: Transmission::Written };
    let scene = scene.hears(written).hears(Signal::Disconnected(reason("connection_lost", "")));
    scene.is(S::Reconnecting).because("connection_lost");
    let sent = scene.asks(send("x", "a@lid"));
    sent.does(&Effect::Accept(7));
    let scene = sent.hears(Signal::Connected(me()));
    scene.is(S::Open).does(&transmit((1, 2), &["m"]));
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
fn a_pairing_code_needs_an_unpaired_connected_session() {
    let ask = || Ask::PairingCode { phone: "628111111111".into() };
    Scene::open().asks(ask()).answers(Err(Refusal::AlreadyPaired));
    Scene::boot(found(Link::Unpaired, false)).asks(ask()).answers(Err(Refusal::NotReady));
    Scene::boot(found(Link::Removed, true)).asks(ask()).answers(Err(Refusal::NotOpen(S::LoggedOut)));
    Scene::open().asks(Ask::StartPairing).answers(Err(Refusal::AlreadyPaired));
}
