//! What is remembered of pods that go, for whom and how long.

use super::*;
use crate::fixtures::{PAIRED, ago, now, pod, seen};
use crate::observe::{Container, Deleting, Exit, Phase};

fn place(name: &str) -> NamespacedName {
    NamespacedName::new("shop", name)
}

fn volume() -> Volume {
    ("toko-session".to_owned(), String::new())
}

/// The session's pod, of UID `p-1`.
fn last() -> PodSeen {
    pod(&seen("{}", PAIRED))
}

fn told() -> PodStatus {
    PodStatus {
        name: "toko".to_owned(),
        uid: "p-1".to_owned(),
        node: Some("n".to_owned()),
        ..PodStatus::default()
    }
}

impl Departures {
    fn uids(&self) -> Vec<String> {
        let all = self.may_run(&place("toko"), &volume());
        all.into_iter().map(|departed| departed.uid).collect()
    }

    fn tidy(&self, now: Instant) {
        forget_old(&mut self.known(), now);
    }
}

fn may_run(note: impl FnOnce(&Departures, PodSeen)) -> Option<Departed> {
    let departures = Departures::default();
    note(&departures, last());
    let mut all = departures.may_run(&place("toko"), &volume());
    assert!(all.len() <= 1, "{all:?}");
    all.pop()
}

#[test]
fn only_a_kubelet_proves_an_end() {
    let deleted = |change: fn(&mut PodSeen)| {
        may_run(|departures, mut last| {
            change(&mut last);
            departures.deleted(place("toko"), &last);
        })
    };
    let forced = deleted(|_| {}).unwrap();
    assert_eq!((forced.name.as_str(), forced.uid.as_str()), ("toko", "p-1"));
    assert_eq!((forced.node.as_deref(), forced.grace), (Some("n"), Some(30)));
    assert_eq!(forced.noticed.lasted.as_secs(), 0);
    assert_eq!(deleted(|last| last.phase = Phase::Succeeded), None);
    assert_eq!(deleted(|last| last.node = None), None, "it never had a kubelet");
    let crashed = deleted(|last| {
        last.container = Container::Terminated(Exit { code: 1, reason: "Error".to_owned() });
        last.deleting = Some(Deleting { deadline: ago(20) });
    });
    assert!(crashed.is_some(), "it may have been started again");
}

#[test]
fn what_a_new_list_leaves_out_may_have_been_bound_since() {
    let unbound = may_run(|departures, last| {
        departures.unlisted(place("toko"), &PodSeen { node: None, ..last });
    });
    assert!(unbound.is_some_and(|departed| departed.node.is_none()));
}

#[test]
fn a_status_alone_proves_nothing_and_a_kubelet_is_believed_before_it() {
    let unseen = may_run(|departures, _| departures.told(&place("toko"), &told(), &volume())).unwrap();
    assert_eq!((unseen.node.as_deref(), unseen.grace), (Some("n"), None));
    let seen_to_end = may_run(|departures, last| {
        departures.deleted(place("toko"), &PodSeen { phase: Phase::Failed, ..last });
        departures.told(&place("toko"), &told(), &volume());
    });
    assert_eq!(seen_to_end, None);
}

#[test]
fn what_cannot_be_a_name_is_not_asked_for() {
    for name in ["", "../secrets/x", "a/b", "..", "A"] {
        let told = PodStatus { name: name.to_owned(), ..told() };
        let departed = may_run(|departures, _| departures.told(&place("toko"), &told, &volume()));
        assert_eq!(
            departed.map(|departed| (departed.name, departed.uid)),
            Some(("toko".into(), "p-1".into())),
            "{name}"
        );
    }
}

#[test]
fn the_end_of_one_pod_says_nothing_of_another_of_its_name() {
    let departures = Departures::default();
    departures.deleted(place("toko"), &PodSeen { phase: Phase::Succeeded, ..last() });
    departures.told(&place("toko"), &PodStatus { uid: "p-0".to_owned(), ..told() }, &volume());
    assert_eq!(departures.uids(), ["p-0"]);
    let stranger = PodSeen { uid: "p-2".to_owned(), owner: None, ..last() };
    departures.is_there(&place("toko"), &stranger);
    departures.deleted(place("toko"), &PodSeen { phase: Phase::Succeeded, ..stranger });
    assert_eq!(departures.uids(), ["p-0"], "a stranger that came and went");
}

#[test]
fn another_pod_with_the_same_volume_counts_and_one_that_is_there_again_does_not() {
    assert!(may_run(|departures, last| departures.deleted(place("former"), &last)).is_some());
    let former = PodStatus { name: "former".to_owned(), ..told() };
    let known_by_its_status = may_run(|departures, _| departures.told(&place("toko"), &former, &volume()));
    assert_eq!(known_by_its_status.unwrap().name, "former");
    let elsewhere = NamespacedName::new("bank", "toko");
    assert_eq!(may_run(|departures, last| departures.deleted(elsewhere, &last)), None);
    let back = may_run(|departures, last| {
        departures.deleted(place("toko"), &last);
        departures.is_there(&place("toko"), &last);
    });
    assert_eq!(back, None);
}

#[test]
fn all_that_may_run_are_told_the_sessions_own_first() {
    let departures = Departures::default();
    for (name, uid) in [("former", "a"), ("toko", "c"), ("other", "b")] {
        departures.deleted(place(name), &PodSeen { uid: uid.to_owned(), ..last() });
    }
    assert_eq!(departures.uids(), ["c", "a", "b"]);
    let suspects = departures.suspects(&place("toko"), &volume());
    assert_eq!(suspects.into_iter().collect::<Vec<_>>(), ["former", "other", "toko"]);
}

#[test]
fn what_has_ended_once_has_ended() {
    let departures = Departures::default();
    departures.deleted(place("toko"), &last());
    departures.ended(["p-1"]);
    departures.unlisted(place("toko"), &last());
    departures.told(&place("toko"), &told(), &volume());
    assert_eq!(departures.uids(), [""; 0]);
}

#[test]
fn a_pod_that_was_just_made_is_known_before_a_watch_shows_it() {
    let departures = Departures::default();
    departures.made(place("toko"), &PodSeen { node: None, ..last() });
    assert_eq!(departures.suspects(&place("toko"), &volume()).len(), 1, "it is looked for");
    assert_eq!(departures.suspects(&place("other"), &volume()).len(), 1, "by who shares its volume, too");
    let start = Instant::now() + Duration::from_secs(50);
    let gone = departures.may_run_at(&place("toko"), &volume(), start);
    assert_eq!(gone[0].noticed.lasted.as_secs(), 0, "it is gone since it was missed, not since it was made");
    departures.is_there(&place("toko"), &last());
    assert!(departures.is_empty());
}

#[test]
fn a_pod_that_was_found_by_name_stays_known_until_a_watch_shows_it() {
    let after_a_look = |there: PodSeen| {
        let departures = Departures::default();
        departures.made(place("toko"), &last());
        let gone = departures.looked_for(std::slice::from_ref(&there), &place("toko"), &volume());
        assert_eq!(gone, [], "it is there");
        (departures.suspects(&place("toko"), &volume()).len(), departures)
    };
    let (suspects, departures) = after_a_look(last());
    assert_eq!(suspects, 1, "it is looked for again");
    let missed = departures.looked_for(&[], &place("toko"), &volume());
    assert_eq!((missed.len(), missed[0].noticed.lasted.as_secs()), (1, 0), "deleted by force");
    departures.is_there(&place("toko"), &last());
    assert!(departures.is_empty(), "a watch shows it");
    assert_eq!(after_a_look(PodSeen { phase: Phase::Succeeded, ..last() }).0, 0, "it has ended");
    assert_eq!(after_a_look(PodSeen { owner: None, ..last() }).0, 0, "it is a stranger's");
}

#[test]
fn who_looks_for_its_own_pod_keeps_that_of_another_with_its_volume_known() {
    let departures = Departures::default();
    departures.made(place("former"), &PodSeen { name: "former".to_owned(), ..last() });
    departures.deleted(place("toko"), &PodSeen { uid: "p-2".to_owned(), ..last() });
    let there = [PodSeen { name: "former".to_owned(), ..last() }];
    let gone = departures.looked_for(&there, &place("toko"), &volume());
    assert_eq!(gone.iter().map(|departed| departed.uid.as_str()).collect::<Vec<_>>(), ["p-2"]);
    assert!(departures.suspects(&place("former"), &volume()).contains("former"));
}

#[test]
fn a_successor_proves_that_somebody_has_waited() {
    let successor = PodSeen { uid: "p-2".to_owned(), created: Some(now()), ..last() };
    let with = |there: &PodSeen| {
        let departures = Departures::default();
        departures.deleted(place("former"), &PodSeen { created: Some(ago(70)), ..last() });
        departures.is_there(&place("toko"), there);
        departures.uids()
    };
    assert_eq!(with(&successor), [""; 0], "another operator led, and made it");
    assert_eq!(with(&PodSeen { owner: None, ..successor.clone() }), ["p-1"], "it is a stranger's");
    assert_eq!(with(&PodSeen { created: Some(ago(70)), ..successor.clone() }), ["p-1"], "it may be older");
    let departures = Departures::default();
    departures.made(place("toko"), &successor);
    departures.is_there(&place("toko"), &PodSeen { created: Some(now()), ..last() });
    assert_eq!(departures.uids(), ["p-2"], "a watch that lags shows the one before");
}

#[test]
fn who_is_asked_about_is_not_forgotten_and_nobody_for_ever() {
    let (departures, start) = (Departures::default(), Instant::now());
    departures.deleted(place("toko"), &last());
    departures.deleted(
        place("well"),
        &PodSeen { phase: Phase::Succeeded, uid: "p-2".to_owned(), place: None, ..last() },
    );
    departures.tidy(start + 2 * ENDED_FOR);
    assert_eq!(departures.uids(), ["p-1"], "nobody has proven its end");
    assert_eq!(departures.len(), 1);
    departures.may_run_at(&place("toko"), &volume(), start + UNASKED_FOR / 2);
    departures.tidy(start + UNASKED_FOR);
    assert_eq!(departures.len(), 1, "a session waits for it");
    departures.tidy(start + 2 * UNASKED_FOR);
    assert!(departures.is_empty());
}

#[test]
fn there_are_never_more_than_a_few_and_those_waited_for_stay() {
    let departures = Departures::default();
    departures.deleted(place("toko"), &last());
    let elsewhere = PodSeen { place: None, ..last() };
    let many = (1..MOST).map(|n| (format!("u-{n}"), Departure::of(place("else"), &elsewhere)));
    departures.known().extend(many);
    departures.ended(["u-9"]);
    assert_eq!(departures.uids(), ["p-1"], "it is asked about");
    let one_more =
        |uid: &str| departures.deleted(place("else"), &PodSeen { uid: uid.to_owned(), ..elsewhere.clone() });
    one_more("late");
    assert!(!departures.known().contains_key("u-9"), "it had ended");
    one_more("later");
    assert_eq!((departures.uids(), departures.len()), (vec!["p-1".to_owned()], MOST));
    assert!(departures.known().contains_key("later"));
}

#[test]
fn without_its_session_only_what_may_run_is_remembered() {
    let departures = Departures::default();
    departures.deleted(place("well"), &PodSeen { phase: Phase::Succeeded, ..last() });
    departures.deleted(place("forced"), &PodSeen { uid: "p-2".to_owned(), ..last() });
    for name in ["well", "forced"] {
        departures.forget_ended(&place(name));
    }
    assert_eq!(departures.len(), 1);
}
