//! What ends a session: the phone, another client, WhatsApp, a stop.

use super::*;

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
fn a_stop_drains_what_is_on_the_way_then_ends() {
    let scene = Scene::open_with(&["m"]).after(0, Input::Stop);
    scene.is(S::Stopping);
    let refused = scene.asks(send("x", "a@lid"));
    refused.answers(Err(Refusal::Stopping));
    let scene =
        refused.hears(Signal::Transmitted { connection: 1, id: "m".into(), result: Transmission::Written });
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
