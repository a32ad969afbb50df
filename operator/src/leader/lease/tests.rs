//! The election's rules, and an election among several candidates whose clocks and links are bad.

use super::*;

fn settings(identity: &str) -> Settings {
    Settings {
        namespace: "warest".to_owned(),
        name: "warest-operator".to_owned(),
        identity: identity.to_owned(),
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry: Duration::from_secs(2),
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the API server makes of a write: another version.
fn stored(step: Step, version: &str) -> Lease {
    let (Step::Create(mut lease) | Step::Replace(mut lease)) = step else {
        panic!("{step:?} writes nothing")
    };
    lease.metadata.resource_version = Some(version.to_owned());
    *lease
}

fn spec(lease: &Lease) -> &LeaseSpec {
    lease.spec.as_ref().unwrap()
}

#[test]
fn times_must_go_together() {
    assert!(settings("a").check().is_ok());
    for (retry, renew, duration) in [(10, 10, 15), (2, 15, 15), (0, 10, 15), (2, 1, 15)] {
        let bad = Settings {
            retry: seconds(retry),
            renew_deadline: seconds(renew),
            duration: seconds(duration),
            ..settings("a")
        };
        assert!(bad.check().is_err(), "{retry} {renew} {duration}");
    }
}

#[test]
fn the_first_makes_it_and_renews_it() {
    let start = Instant::now();
    let mut a = Elector::new(settings("a"), start);
    a.saw(None, start);
    let made = stored(a.next(start, Timestamp::UNIX_EPOCH), "1");
    assert_eq!(spec(&made).holder_identity.as_deref(), Some("a"));
    assert_eq!((spec(&made).lease_transitions, spec(&made).lease_duration_seconds), (Some(0), Some(15)));
    a.wrote(made, start);
    assert_eq!(a.leads_until(), Some(start + seconds(10)));
    let later = Timestamp::from_second(5).unwrap();
    let renewed = stored(a.next(start + seconds(5), later), "2");
    assert_eq!(spec(&renewed).acquire_time, Some(MicroTime(Timestamp::UNIX_EPOCH)));
    assert_eq!(spec(&renewed).renew_time, Some(MicroTime(later)));
}

#[test]
fn a_follower_waits_for_its_own_clock_whatever_the_record_says() {
    let start = Instant::now();
    let record = |renewed| Lease {
        metadata: ObjectMeta { resource_version: Some("7".to_owned()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some("a".to_owned()),
            lease_duration_seconds: Some(20),
            lease_transitions: Some(3),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }),
    };
    // A holder whose clock is years behind is alive for as long as its record changes.
    let mut b = Elector::new(settings("b"), start);
    for second in 0..60 {
        b.saw(Some(record(i64::try_from(second).unwrap())), start + seconds(second));
        assert_eq!(b.next(start + seconds(second), Timestamp::now()), Step::Wait);
    }
    // One whose record stays is dead after the longer of both durations, even if its clock is years ahead.
    b.saw(Some(record(9_000_000_000)), start + seconds(60));
    b.saw(Some(record(9_000_000_000)), start + seconds(79));
    assert_eq!(b.next(start + seconds(79), Timestamp::now()), Step::Wait);
    let taken = stored(b.next(start + seconds(80), Timestamp::now()), "8");
    assert_eq!(
        (spec(&taken).holder_identity.as_deref(), spec(&taken).lease_transitions),
        (Some("b"), Some(4))
    );
}

#[test]
fn a_replacement_is_conditional_on_the_version_that_was_seen() {
    let start = Instant::now();
    let mut a = Elector::new(settings("a"), start);
    let mut free = Lease::default();
    free.metadata.resource_version = Some("41".to_owned());
    a.saw(Some(free), start);
    let Step::Replace(lease) = a.next(start, Timestamp::now()) else { panic!() };
    assert_eq!(lease.metadata.resource_version.as_deref(), Some("41"));
}

#[test]
fn a_leader_is_lost_when_it_cannot_renew_or_when_another_holds_it() {
    let start = Instant::now();
    let mut a = Elector::new(settings("a"), start);
    let held = stored(a.next(start, Timestamp::now()), "1");
    a.wrote(held.clone(), start);
    assert!(matches!(a.next(start + seconds(9), Timestamp::now()), Step::Replace(_)));
    assert_eq!(a.next(start + seconds(10), Timestamp::now()), Step::Lost(Loss::Overdue(seconds(10))));
    let mut foreign = held;
    foreign.spec.as_mut().unwrap().holder_identity = Some("b".to_owned());
    a.saw(Some(foreign), start + seconds(1));
    assert_eq!(a.next(start + seconds(1), Timestamp::now()), Step::Lost(Loss::Taken("b".to_owned())));
}

#[test]
fn a_write_whose_answer_got_lost_is_taken_up_at_once() {
    let start = Instant::now();
    let mut a = Elector::new(settings("a"), start);
    let written = stored(a.next(start, Timestamp::now()), "1");
    a.saw(Some(written), start + seconds(1));
    let again = stored(a.next(start + seconds(1), Timestamp::now()), "2");
    assert_eq!(spec(&again).lease_transitions, Some(0));
}

#[test]
fn a_released_lease_is_free_at_once_and_only_its_holder_releases() {
    let start = Instant::now();
    let mut a = Elector::new(settings("a"), start);
    assert_eq!(a.release(Timestamp::now()), None);
    let held = stored(a.next(start, Timestamp::now()), "1");
    a.wrote(held, start);
    let free = a.release(Timestamp::now()).unwrap();
    let mut b = Elector::new(settings("b"), start);
    b.saw(Some(free), start + seconds(1));
    let taken = stored(b.next(start + seconds(1), Timestamp::now()), "3");
    assert_eq!(spec(&taken).lease_transitions, Some(1));
}

/// Candidates that are cut off, stopped and late at random; the store is the API server. Two must never lead at a time.
#[test]
fn never_two_leaders() {
    let start = Instant::now();
    let mut terms = 0;
    for seed in 1..200_u64 {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut roll = |sides: u64| {
            dice ^= dice >> 12;
            dice ^= dice << 25;
            dice ^= dice >> 27;
            dice.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
        };
        let names = ["a", "b", "c"];
        let mut all: Vec<_> = names.iter().map(|name| Elector::new(settings(name), start)).collect();
        let mut store: Option<Lease> = None;
        let mut away = [0_u64; 3];
        for tenth in 0..3_000_u64 {
            let now = start + Duration::from_millis(tenth * 100);
            let place = usize::try_from(roll(3)).unwrap();
            away[place] = if roll(200) == 0 { tenth + roll(400) } else { away[place] };
            if away[place] > tenth {
                continue;
            }
            let before = all[place].leads_until();
            all[place].saw(store.clone(), now);
            match all[place].next(now, Timestamp::now()) {
                Step::Lost(_) => {
                    all[place] = Elector::new(settings(&format!("{}{tenth}", names[place])), now);
                }
                step @ (Step::Create(_) | Step::Replace(_)) => {
                    let lease = stored(step, &tenth.to_string());
                    store = Some(lease.clone());
                    // One answer in eight gets lost.
                    if roll(8) > 0 {
                        all[place].wrote(lease, now);
                        terms += usize::from(before.is_none());
                    }
                }
                Step::Wait => {}
            }
            let leading = all.iter().filter(|one| one.leads_until().is_some_and(|until| until > now)).count();
            assert!(leading <= 1, "seed {seed}, {tenth}: {all:#?}");
        }
    }
    assert!(terms > 300, "the lead changed only {terms} times");
}
