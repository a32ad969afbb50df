//! The clock is set while the session runs.

use super::*;
use crate::session::state::clock::Lead;

fn set(scene: Scene, by: i64) -> Scene {
    Scene { state: scene.state.clock_set(by), now: scene.now.saturating_add_signed(by), ..scene }
}

fn transmitted(result: Transmission) -> Signal {
    Signal::Transmitted { connection: 1, id: "m".into(), result }
}

#[track_caller]
fn waits_as_long(scene: impl Fn() -> Scene) {
    for by in [-600_000, 600_000] {
        let (before, after) = (scene(), set(scene(), by));
        let wait = before.state.wake_at(before.now).unwrap() - before.now;
        assert!(wait > 0);
        assert_eq!(after.state.wake_at(after.now), Some(after.now + wait), "set by {by}");
    }
}

#[test]
fn what_is_awaited_comes_when_it_would_have_come() {
    let qr = || Signal::Qr { qr: "q".into(), valid_ms: 20_000 };
    let broken = || Signal::Broken { reason: reason("x", ""), passing: true };
    waits_as_long(|| Scene::open_with(&["m"]).hears(transmitted(Transmission::Failed)));
    waits_as_long(|| Scene::open_with(&["m"]).hears(transmitted(Transmission::Written)));
    waits_as_long(|| Scene::open().hears(broken()));
    waits_as_long(|| Scene::boot(found(Link::Unpaired, false)).hears(qr()));
    waits_as_long(|| Scene::open_with(&["m"]).after(0, Input::Stop));
}

#[test]
fn a_clock_that_is_set_back_holds_no_send_up() {
    let policy = SessionPolicy { pace_ms: Some(1_000), ..SessionPolicy::default() };
    let push = ConfigPush { hash: "h".into(), policy, ..ConfigPush::default() };
    let stored = |id: &str| Input::Stored { id: id.into(), to: "a@lid".into() };
    let scene = Scene::open().asks(Ask::Configure(push)).after(0, stored("m"));
    let scene = scene.hears(transmitted(Transmission::Written)).after(0, stored("n"));
    assert_eq!(scene.effects, []);
    set(scene, -600_000).after(1_000, Input::Tick).does(&transmit((1, 1), &["n"]));
}

#[test]
fn a_clock_that_is_set_neither_shortens_nor_prolongs_a_cooldown() {
    let policy = SessionPolicy { cooldown_ms: Some(3_600_000), ..SessionPolicy::default() };
    let push = ConfigPush { hash: "h".into(), policy, ..ConfigPush::default() };
    for by in [-600_000, -2_000, 2_000, 600_000, 7_200_000] {
        let scene = Scene::open().asks(Ask::Configure(push.clone())).asks(send("1", "a@lid"));
        let scene = set(scene.after(0, Input::Stored { id: "1".into(), to: "a@lid".into() }), by);
        scene.after(1_000, Input::Tick).asks(send("2", "a@lid")).answers(Err(Refusal::Cooldown(3_599_000)));
    }
}

#[test]
fn only_a_clock_that_was_set_moves_anything() {
    let mut lead = Lead::of(NOW, 5);
    assert_eq!(lead.moved(NOW + 700, 705), None);
    assert_eq!(lead.moved(NOW + 1_500, 705), None, "a little fast");
    assert_eq!(lead.moved(NOW + 600_700, 705), Some(600_000));
    assert_eq!(lead.moved(NOW + 600_800, 805), None, "told once");
    assert_eq!(lead.moved(NOW - 599_100, 905), Some(-1_200_000));
    assert_eq!(lead.moved(0, 905), Some(-NOW.cast_signed() + 599_100), "before 1970");
}
