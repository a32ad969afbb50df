//! Sends: taken, written, acknowledged, given up, paced.

use super::*;
use crate::store::MAX_QUEUED;

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
        Scene::open_with(&["m"]).hears(Signal::Transmitted {
            connection: 1,
            id: "m".into(),
            result: Transmission::Written,
        })
    };
    let scene = sent().hears(Signal::Ack { id: "m".into(), refused: None });
    scene
        .does(&record(Write::Acked { id: "m".into() }))
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
        .does(&record(Write::Progress { ids: vec!["m".into(), "x".into()], progress: Progress::Delivered }))
        .does(&Effect::Resolve { id: "m".into(), outcome: Outcome::Sent });
    assert_eq!(scene.state.outbox.depth(), 0);
}

#[test]
fn failed_writes_are_tried_again_and_impossible_ones_given_up() {
    let transmitted = |result| {
        Scene::open_with(&["m"]).hears(Signal::Transmitted { connection: 1, id: "m".into(), result })
    };
    transmitted(Transmission::Failed).does(&record(Write::Attempts { id: "m".into(), attempts: 1 }));
    let why = reason("invalid_message", "");
    let scene = transmitted(Transmission::Impossible(why.clone()));
    scene.does(&write(Write::Failed { id: "m".into(), reason: why }));
    let gone = Scene::open_with(&["m"]).hears(Signal::Disconnected(reason("connection_lost", "")));
    let gone =
        gone.hears(Signal::Transmitted { connection: 1, id: "m".into(), result: Transmission::Disconnected });
    assert_eq!((gone.effects.len(), gone.state.outbox.depth()), (0, 1), "that was no try");
}

#[test]
fn silence_is_tried_again_and_ends() {
    let mut scene = Scene::open_with(&["m"]);
    for _ in 0..100 {
        scene =
            scene.hears(Signal::Transmitted { connection: 1, id: "m".into(), result: Transmission::Written });
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
    scene.does(&transmit((1, 1), &["1"]));
    let scene =
        scene.hears(Signal::Transmitted { connection: 1, id: "1".into(), result: Transmission::Written });
    let scene = scene.after(0, stored("2"));
    assert_eq!(scene.effects, []);
    assert_eq!(scene.state.wake_at(scene.now), Some(scene.now + 1_500));
    scene.after(1_500, Input::Tick).does(&transmit((1, 1), &["2"]));
}

/// A configuration with a cooldown of three seconds.
fn cooled() -> ConfigPush {
    let policy = SessionPolicy { cooldown_ms: Some(3_000), ..SessionPolicy::default() };
    ConfigPush { hash: "h".into(), policy, ..ConfigPush::default() }
}

#[test]
fn a_recipient_is_written_to_after_its_cooldown_and_a_repetition_at_once() {
    let scene = Scene::open().asks(send("1", "a@lid")).asks(Ask::Configure(cooled()));
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

#[test]
fn a_repetition_is_let_through_before_and_after_its_message_waits() {
    let scene =
        Scene::open().asks(Ask::Configure(cooled())).asks(send("1", "a@lid")).asks(send("1", "a@lid"));
    scene.does(&Effect::Accept(7));
    let scene = scene.after(0, Input::Stored { id: "1".into(), to: "a@lid".into() });
    let scene = scene.hears(Signal::Ack { id: "1".into(), refused: None });
    assert_eq!(scene.state.outbox.depth(), 0, "heard, and not on the disk yet");
    scene.asks(send("1", "a@lid")).does(&Effect::Accept(7));
}

#[test]
fn a_send_that_could_not_be_stored_takes_no_cooldown() {
    let failed = || Input::StorageFailed(reason("disk_full", ""));
    let scene = Scene::open().asks(Ask::Configure(cooled())).asks(send("1", "a@lid"));
    let scene = scene.after(0, failed()).after(0, Input::StorageBack(Vec::new())).asks(send("2", "a@lid"));
    scene.does(&Effect::Accept(7));
    let scene = scene.after(0, Input::Stored { id: "2".into(), to: "a@lid".into() });
    let scene = scene.after(0, failed()).after(0, Input::StorageBack(queued(&["2"])));
    scene.asks(send("3", "a@lid")).answers(Err(Refusal::Cooldown(3_000)));
}

#[test]
fn an_old_connection_says_nothing_of_what_the_new_one_writes() {
    let scene = Scene::open_with(&["m"]).hears(Signal::Disconnected(reason("connection_lost", "")));
    assert_eq!(scene.state.line(), None, "nothing is written meanwhile");
    let scene = scene.hears(Signal::Connected(me()));
    scene.does(&transmit((1, 2), &["m"]));
    assert_eq!(scene.state.line(), Some(2));
    let late = |result| Signal::Transmitted { connection: 1, id: "m".into(), result };
    let impossible = Transmission::Impossible(reason("invalid_message", ""));
    for result in [Transmission::Disconnected, Transmission::Held, Transmission::Failed, impossible] {
        let scene = Scene { state: scene.state.clone(), effects: Vec::new(), now: scene.now };
        let scene = scene.hears(late(result));
        assert_eq!(scene.effects, [], "it is being written");
        let written = Signal::Transmitted { connection: 2, id: "m".into(), result: Transmission::Written };
        let scene = scene.hears(written).hears(late(Transmission::Held));
        assert_eq!(scene.effects, [], "nor is it written once more");
    }
}
