//! The queue message by message.

use super::*;

const NONE: [&str; 0] = [];

fn outbox(messages: &[(&str, &str)]) -> Outbox {
    let queued = |(id, to): &(&str, &str)| Queued { id: (*id).into(), to: (*to).into(), attempts: 0 };
    Outbox::load(messages.iter().map(queued).collect())
}

#[test]
fn one_is_written_at_a_time_and_in_order() {
    let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "b")]);
    assert_eq!(outbox.start(1, 0).first().map(String::as_str), Some("1"));
    assert_eq!(outbox.start(1, 0), NONE, "the first is still being written");
    outbox.written("1", 10);
    assert_eq!(
        outbox.start(1, 10).first().map(String::as_str),
        Some("2"),
        "its acknowledgement is not waited for"
    );
    outbox.written("2", 11);
    assert!(outbox.settle("1"));
    assert!(!outbox.settle("1"));
    assert_eq!(outbox.start(1, 12).first().map(String::as_str), Some("3"));
}

#[test]
fn a_few_are_handed_over_together_and_come_back_in_order() {
    let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "b"), ("4", "a")]);
    assert_eq!(outbox.start(3, 0), ["1", "2", "3"]);
    assert_eq!(outbox.start(3, 0), NONE, "these are still being written");
    // The second cannot be written; the third comes back untried.
    outbox.written("1", 5);
    outbox.failed("2", 5);
    assert_eq!(outbox.start(3, 5), NONE);
    outbox.put_back("3");
    assert_eq!(outbox.start(3, 5), ["3"], "the fourth goes to who waits for the second");
    outbox.written("3", 6);
    assert_eq!(outbox.start(3, 1_005), ["2", "4"]);
}

#[test]
fn the_next_ones_are_handed_over_while_the_first_are_being_written() {
    let mut outbox = outbox(&[("1", "a"), ("2", "b")]);
    assert_eq!(outbox.start(3, 0), ["1", "2"]);
    outbox.push("3".into(), "b".into());
    outbox.push("4".into(), "a".into());
    assert_eq!(outbox.wake_at(3, 0), Some(0));
    assert_eq!(outbox.start(3, 0), ["3"], "three at a time");
    assert!(outbox.is_writing());
    // The first cannot be written: those behind it come back before anything else goes out.
    outbox.failed("1", 0);
    outbox.push("5".into(), "b".into());
    assert_eq!((outbox.start(3, 0), outbox.wake_at(3, 0)), (Vec::new(), None));
    outbox.put_back("2");
    assert_eq!(outbox.start(3, 0), NONE, "the third is still to come");
    outbox.put_back("3");
    assert_eq!(outbox.start(3, 0), ["2", "3", "5"]);
    outbox.written("2", 0);
    assert_eq!(outbox.start(3, 1_000), ["1"], "nothing is held any more");
}

#[test]
fn only_so_many_wait_for_an_acknowledgement() {
    let ids: Vec<String> = (0..=WINDOW).map(|n| n.to_string()).collect();
    let messages: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), id.as_str())).collect();
    let mut outbox = outbox(&messages);
    for _ in 0..WINDOW {
        let id = outbox.start(1, 0).remove(0);
        outbox.written(&id, 0);
    }
    assert_eq!(outbox.start(1, 0), NONE);
    outbox.settle("5");
    assert_eq!(outbox.start(1, 0).first().map(String::as_str), Some(WINDOW.to_string().as_str()));
}

#[test]
fn a_retry_holds_back_its_recipient_only() {
    let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "b")]);
    outbox.start(1, 0);
    assert_eq!(outbox.failed("1", 0), Some(Verdict::Again { id: "1".into(), attempts: 1 }));
    assert_eq!(outbox.start(1, 0).first().map(String::as_str), Some("3"));
    outbox.written("3", 0);
    outbox.settle("3");
    assert_eq!(outbox.start(1, 999), NONE);
    assert_eq!(outbox.wake_at(1, 0), Some(1_000));
    assert_eq!(outbox.start(1, 1_000).first().map(String::as_str), Some("1"));
    outbox.written("1", 1_000);
    assert_eq!(outbox.start(1, 1_000).first().map(String::as_str), Some("2"));
}

#[test]
fn silence_is_a_failed_try_and_tries_are_bounded() {
    let mut outbox = outbox(&[("1", "a")]);
    let mut now = 0;
    for attempt in 1..MAX_ATTEMPTS {
        assert_eq!(outbox.start(1, now).first().map(String::as_str), Some("1"), "attempt {attempt}");
        outbox.written("1", now);
        assert_eq!(outbox.expire(now + ACK_TIMEOUT_MS - 1), []);
        now = outbox.wake_at(1, now).unwrap();
        assert_eq!(outbox.expire(now), [Verdict::Again { id: "1".into(), attempts: attempt }]);
        now = outbox.wake_at(1, now).unwrap();
    }
    outbox.start(1, now);
    outbox.written("1", now);
    assert_eq!(outbox.expire(now + ACK_TIMEOUT_MS), [Verdict::GiveUp { id: "1".into() }]);
    assert_eq!(outbox.depth(), 0);
}

#[test]
fn a_new_connection_sends_the_unacknowledged_again_in_order() {
    let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "a")]);
    for now in 0..2 {
        let id = outbox.start(1, now).remove(0);
        outbox.written(&id, now);
    }
    outbox.put_all_back();
    assert_eq!(outbox.start(1, 5).first().map(String::as_str), Some("1"));
    outbox.put_back("1");
    assert_eq!(
        outbox.start(1, 5).first().map(String::as_str),
        Some("1"),
        "a lost connection is no failed try"
    );
    outbox.written("1", 5);
    assert_eq!(outbox.start(1, 5).first().map(String::as_str), Some("2"));
}

#[test]
fn pauses_double_up_to_a_minute() {
    assert_eq!([1, 2, 3, 7, 30].map(backoff), [1_000, 2_000, 4_000, 60_000, 60_000]);
}

#[test]
fn a_message_that_cannot_be_read_waits_longer_and_longer_and_holds_up_nobody() {
    let mut outbox = outbox(&[("1", "a"), ("2", "a"), ("3", "b")]);
    let (mut now, mut pauses) = (0, Vec::new());
    assert_eq!(outbox.start(3, now), ["1", "2", "3"]);
    outbox.unreadable("1", now);
    outbox.written("2", now);
    outbox.written("3", now);
    outbox.push("4".into(), "a".into());
    assert_eq!(outbox.start(3, now), ["4"], "the same recipient's next one goes out");
    for id in ["2", "3", "4"] {
        assert!(outbox.settle(id));
    }
    for _ in 0..20 {
        let due = outbox.wake_at(3, now).unwrap();
        assert_eq!((outbox.start(3, due - 1), outbox.is_busy(due - 1)), (Vec::new(), false), "not before");
        pauses.push(due - now);
        now = due;
        assert_eq!(outbox.start(3, now), ["1"], "never given up");
        outbox.unreadable("1", now);
    }
    assert_eq!(pauses[..4], [5_000, 10_000, 20_000, 40_000]);
    assert_eq!(pauses[7..], [600_000; 13]);
    now = outbox.wake_at(3, now).unwrap();
    assert_eq!((outbox.start(3, now).len(), outbox.count_unreadable()), (1, 1));
    outbox.written("1", now);
    assert_eq!(outbox.count_unreadable(), 0, "it could be read after all");
}

#[test]
fn nobody_is_woken_for_one_that_waits_behind_another() {
    let mut outbox = outbox(&[("1", "a"), ("2", "a")]);
    let mut now = 0;
    for _ in 0..4 {
        assert_eq!(outbox.start(1, now), ["1"]);
        outbox.failed("1", now);
        now = outbox.wake_at(1, now).unwrap();
    }
    assert_eq!(outbox.start(2, now), ["1", "2"]);
    outbox.failed("1", now);
    outbox.unreadable("2", now);
    let retry = outbox.wake_at(2, now).unwrap();
    assert!(retry > now + 5_000, "the unreadable one's pause is over before");
    assert_eq!((outbox.start(2, retry - 1), outbox.wake_at(2, retry - 1)), (Vec::new(), Some(retry)));
}
