//! Configuration, and what a store that fails or is another one leads to.

use super::*;

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
    scene.is(S::Open).does(&transmit((2, 2), &["m"]));
    let paced = ConfigPush { hash: "h2".into(), proxy, ..through(None, "") };
    let scene = scene.asks(Ask::Configure(paced));
    assert!(!scene.effects.contains(&Effect::StopEngine(2)), "the proxy is the same");
    let scene = scene.asks(Ask::Configure(through(None, "h3")));
    scene.does(&Effect::StopEngine(2));
    scene.hears(Signal::Gone).does(&start(3));
}

#[test]
fn a_client_on_its_way_out_brings_nothing_up_but_still_says_what_has_happened() {
    let scene = Scene::open_with(&["m", "n"]).asks(Ask::Configure(through(Some("http://p"), "h")));
    scene.does(&Effect::StopEngine(1));
    let scene = scene.hears(Signal::Dialing).hears(Signal::Connected(me()));
    scene.is(S::Reconnecting).because("proxy_changed");
    assert_eq!(scene.state.wake_at(scene.now), None, "its end is waited for, not asked for again and again");
    let scene = scene.hears(Signal::Ack { id: "m".into(), refused: None });
    scene.does(&record(Write::Acked { id: "m".into() }));
    scene
        .hears(Signal::Gone)
        .is(S::Reconnecting)
        .does(&Effect::StartEngine { generation: 2, proxy: Some(ProxyUrl("http://p".into())) });
    let unpaired =
        Scene::boot(found(Link::Unpaired, false)).hears(Signal::Qr { qr: "q".into(), valid_ms: 9 });
    let late = unpaired.asks(Ask::Configure(through(Some("http://p"), "h")));
    let late = late.hears(Signal::Qr { qr: "late".into(), valid_ms: 60_000 });
    assert!(late.state.codes.qr.is_none());
}

#[test]
fn a_client_that_ends_by_itself_leaves_no_open_session() {
    let scene = Scene::open().hears(Signal::Gone);
    scene.is(S::Reconnecting).because("connection_lost").does(&start(2));
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
fn a_message_that_cannot_be_read_is_told_while_the_session_is_open() {
    let transmitted = |id: &str, result| Signal::Transmitted { connection: 1, id: id.into(), result };
    let scene = Scene::open_with(&["m", "n"]).hears(transmitted("m", Transmission::Unreadable));
    let told = view::told_reason(&scene.is(S::Open).state).expect("it is told");
    assert!(told.code == "outbox_unreadable" && told.message.contains("give back: 1."), "{told:?}");
    scene.does(&Effect::Announce(EventData::Status { state: S::Open, reason: Some(told) }));
    let scene = scene.hears(transmitted("n", Transmission::Written));
    assert_eq!(scene.state.wake_at(scene.now), Some(scene.now + 5_000));
    let scene = scene.after(5_000, Input::Tick);
    scene.does(&transmit((1, 1), &["m"]));
    let scene = scene.hears(transmitted("m", Transmission::Written));
    assert_eq!(view::told_reason(&scene.state), None);
    scene.does(&Effect::Announce(EventData::Status { state: S::Open, reason: None }));
}
