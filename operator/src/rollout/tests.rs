//! The rules of a rollout, one by one.

use std::collections::BTreeSet;

use k8s_openapi::jiff::{SignedDuration, ToSpan as _};

use super::*;
use crate::observe::Turn;

mod canary;

const SETTINGS: Settings =
    Settings { budget: Budget::Sessions(2), max_failures: 2, progress_deadline: Duration::from_mins(5) };

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + seconds.seconds()
}

/// Ten hours in: whatever was made at 0 is old.
fn now() -> Timestamp {
    at(36_000)
}

/// A session that is up on the old revision.
fn old(name: &str) -> Session {
    let pod = Pod {
        uid: format!("{name}-1"),
        created: at(0),
        ending: false,
        current: false,
        replaced_working: true,
        change: Change::Fleet,
    };
    let key = SessionKey::new("shop", name);
    Session { key, canary: false, automatic: true, pod: Some(pod), health: Health::Up, refused: false }
}

/// A session whose pod was made anew from the present revision so many seconds ago.
fn renewed(name: &str, ago: i64) -> Session {
    with_pod(old(name), |pod| {
        pod.uid = format!("{name}-2");
        pod.created = now() - SignedDuration::from_secs(ago);
        pod.current = true;
        pod.change = Change::None;
    })
}

fn with_pod(mut session: Session, change: impl FnOnce(&mut Pod)) -> Session {
    change(session.pod.as_mut().unwrap());
    session
}

fn down(session: Session, ago: i64, failing: Option<&str>) -> Session {
    let since = Some(now() - SignedDuration::from_secs(ago));
    Session { health: Health::Down { since, failing: failing.map(str::to_owned) }, ..session }
}

fn go(plan: &Plan) -> Vec<&str> {
    plan.go.keys().map(SessionKey::name).collect::<BTreeSet<_>>().into_iter().collect()
}

#[track_caller]
fn check(sessions: &[Session], expected: &[&str]) -> Plan {
    let plan = plan(sessions, SETTINGS, &Plan::default(), now());
    assert_eq!(go(&plan), expected, "{plan:#?}");
    plan
}

fn culprits(plan: &Plan) -> Vec<&str> {
    match &plan.phase {
        Phase::Stopped(stop) => stop.culprits.iter().map(|culprit| culprit.key.name()).collect(),
        Phase::Done | Phase::Canary(_) | Phase::Rolling => Vec::new(),
    }
}

#[test]
fn budgets_are_read_and_are_never_nothing() {
    assert_eq!("5%".parse(), Ok(Budget::Percent(5)));
    assert_eq!(" 3 ".parse(), Ok(Budget::Sessions(3)));
    for bad in ["", "0", "-1", "101%", "5 %%", "many"] {
        assert!(bad.parse::<Budget>().is_err(), "{bad:?}");
    }
    assert_eq!([0, 19, 40, 1_000].map(|fleet| Budget::Percent(5).of(fleet)), [1, 1, 2, 50]);
}

#[test]
fn whoever_is_away_for_another_reason_takes_room() {
    let away = down(with_pod(old("x"), |pod| pod.change = Change::None), 9_000, None);
    check(&[renewed("a", 20), old("b"), old("c"), away.clone()], &["b"]);
    let other = Session { key: away.key.beside("y"), ..away.clone() };
    // Nobody may ever mend them: they leave one place.
    check(&[renewed("a", 20), old("b"), old("c"), away, other.clone()], &["b"]);
    let fresh = |session| down(session, 299, None);
    check(&[renewed("a", 20), old("b"), old("c"), fresh(old("x")), fresh(other)], &["x"]);
}

#[test]
fn who_never_worked_takes_room_only_while_its_pod_comes_up() {
    let never_worked = |name, ago| {
        let pod = with_pod(renewed(name, ago), |pod| pod.replaced_working = false);
        Session { health: Health::Down { since: None, failing: Some("ImagePullBackOff".to_owned()) }, ..pod }
    };
    let own = |name| with_pod(old(name), |pod| (pod.current, pod.change) = (true, Change::Own));
    check(&[own("a"), never_worked("x", 301), never_worked("y", 9_000)], &["a"]);
    check(&[own("a"), own("b"), never_worked("x", 299), never_worked("y", 9_000)], &["a"]);
    check(&[own("a"), never_worked("x", 299), never_worked("y", 10)], &[]);
}

#[test]
fn who_was_refused_its_first_pod_holds_up_its_namespace_alone() {
    let refused = |name, since| {
        let mut session =
            Session { pod: None, refused: true, health: Health::Down { since, failing: None }, ..old(name) };
        session.key = SessionKey::new("bank", session.key.name());
        session
    };
    let own = || with_pod(old("a"), |pod| (pod.current, pod.change) = (true, Change::Own));
    check(&[own(), refused("x", None), refused("y", None)], &["a"]);
    // One that worked is missed.
    let lost = |name| refused(name, Some(now() - SignedDuration::from_secs(20)));
    check(&[own(), lost("x"), lost("y")], &[]);
}

#[test]
fn a_broken_session_costs_nothing_but_waits_for_the_canary() {
    let broken = || down(old("x"), 9_000, Some("CrashLoopBackOff"));
    check(&[old("a"), broken()], &["a"]);
    check(&[renewed("a", 20), old("b"), old("c"), broken()], &["b", "x"]);
    check(&[renewed("a", 20), broken()], &["x"]);
}

#[test]
fn who_is_broken_for_long_does_not_use_up_a_small_budget() {
    let settings = Settings { budget: Budget::Percent(5), ..SETTINGS };
    let goes = |fleet: &[Session]| {
        go(&plan(fleet, settings, &Plan::default(), now())).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let own_image = || with_pod(down(old("x"), 9_000, None), |pod| pod.change = Change::None);
    assert_eq!(goes(&[old("a"), old("b"), own_image()]), ["a"]);
    assert_eq!(goes(&[renewed("a", 20), old("b"), own_image()]), ["b"]);
    // Its pods end one after the other, each of them made a moment ago.
    let ends = with_pod(down(renewed("x", 9), 9_000, Some("Evicted")), |pod| pod.replaced_working = false);
    assert_eq!(goes(&[renewed("a", 20), old("b"), ends]), ["b"]);
    // One that fell a moment ago may come back: it is waited for.
    let fell = with_pod(down(old("x"), 20, None), |pod| pod.change = Change::None);
    assert_eq!(goes(&[renewed("a", 20), old("b"), fell]), [""; 0]);
}

#[test]
fn who_was_told_to_go_keeps_the_room_until_it_is_seen_going() {
    let fleet = [renewed("a", 20), old("b"), old("c"), old("d")];
    let first = check(&fleet, &["b", "c"]);
    // "bb" is new in the order and must not come on top.
    let more = [&fleet[..], &[old("aa")]].concat();
    assert_eq!(go(&plan(&more, SETTINGS, &first, now())), ["b", "c"]);
    // b goes.
    let gone: Vec<_> =
        fleet.iter().cloned().map(|s| if s.key.name() == "b" { down(s, 0, None) } else { s }).collect();
    let gone: Vec<_> = gone
        .into_iter()
        .map(|s| if s.key.name() == "b" { with_pod(s, |p| p.ending = true) } else { s })
        .collect();
    assert_eq!(go(&plan(&gone, SETTINGS, &first, now())), ["c"]);
    // c does not take its turn: after a minute somebody else may.
    let later = plan(&fleet, SETTINGS, &first, now() + 61.seconds());
    assert_eq!(go(&later), ["d"], "{later:#?}");
    // Its turn comes again, but not before ten minutes have passed.
    let much_later = plan(&fleet, SETTINGS, &later, now() + 601.seconds());
    assert_eq!(go(&much_later), ["b", "c"]);
}

#[test]
fn it_stops_at_the_limit_and_goes_on_when_they_recover() {
    let failed = |name| down(renewed(name, 10), 15, Some("CrashLoopBackOff"));
    check(&[renewed("a", 99), failed("b"), old("d"), old("e")], &["d"]);
    let stopped = check(&[renewed("a", 99), failed("b"), failed("c"), old("d"), old("e")], &[]);
    assert_eq!(culprits(&stopped), ["b", "c"]);
    check(&[renewed("a", 99), renewed("b", 50), failed("c"), old("d"), old("e")], &["d"]);
}

#[test]
fn who_was_broken_before_is_no_evidence_but_a_labelled_canary_is() {
    let excused = |session| with_pod(session, |pod| pod.replaced_working = false);
    let broken = excused(down(renewed("x", 400), 90_000, Some("CrashLoopBackOff")));
    check(&[renewed("a", 99), broken.clone(), broken.clone(), old("d"), old("e")], &["d"]);
    assert_eq!(culprits(&check(&[renewed("a", 99), broken.clone(), old("d")], &["d"])), [""; 0]);
    let labelled = Session { canary: true, ..broken };
    assert_eq!(culprits(&check(&[labelled, old("d")], &[])), ["x"]);
}

#[test]
fn new_sessions_that_never_come_up_do_not_stop_the_fleet() {
    let new = |name| {
        let pod = with_pod(renewed(name, 301), |pod| pod.replaced_working = false);
        Session { health: Health::Down { since: None, failing: Some("ImagePullBackOff".to_owned()) }, ..pod }
    };
    let plan = check(&[renewed("a", 99), new("b"), new("c"), old("d"), old("e")], &["d", "e"]);
    assert_eq!(plan.phase, Phase::Rolling);
    check(&[new("a"), old("d")], &["d"]);
}

#[test]
fn idle_sessions_neither_count_nor_block_but_fail_when_the_program_gives_up() {
    let idle = |session, why: Option<&str>| Session {
        health: Health::Idle { failing: why.map(str::to_owned) },
        ..session
    };
    check(&[idle(old("a"), None), old("b")], &["b"]);
    check(&[idle(old("a"), None), renewed("b", 20), old("c"), idle(renewed("d", 9), None)], &["a", "c"]);
    let gave_up =
        check(&[idle(renewed("a", 9), Some("WhatsApp refuses this client version")), old("b")], &[]);
    assert_eq!(culprits(&gave_up), ["a"]);
}

#[test]
fn an_own_change_is_held_back_by_the_budget_alone() {
    let own = |name| with_pod(old(name), |pod| (pod.current, pod.change) = (true, Change::Own));
    check(&[own("a"), own("b"), own("c")], &["a", "b"]);
    let failed = down(renewed("a", 10), 15, Some("ImagePullBackOff"));
    check(&[failed, old("b"), own("z")], &["z"]);
    let mended =
        with_pod(down(renewed("a", 10), 15, Some("ImagePullBackOff")), |pod| pod.change = Change::Own);
    check(&[mended, old("b")], &["a"]);
}

#[test]
fn on_delete_waits_for_somebody_and_does_not_hold_up_the_others() {
    let plan = check(&[Session { automatic: false, ..old("a") }, old("b")], &["b"]);
    assert_eq!(plan.waiting.values().next(), Some(&Waiting::Somebody));
    let alone = check(&[Session { automatic: false, ..old("a") }], &[]);
    assert_eq!(alone.phase, Phase::Done);
}

#[test]
fn nobody_goes_where_pods_are_refused() {
    let refused = Session { pod: None, refused: true, ..down(old("x"), 9_000, None) };
    let elsewhere = Session { key: SessionKey::new("bank", "e"), ..old("e") };
    let mut going = renewed("a", 20);
    going.key = SessionKey::new("bank", "a");
    let plan = check(&[going, elsewhere, old("b"), refused], &["e"]);
    assert_eq!(plan.waiting.values().next(), Some(&Waiting::Refused));
}

#[test]
fn what_a_waiting_session_hears_is_a_sentence_of_its_own() {
    let fleet = Fleet::new(SETTINGS, "r2".to_owned());
    let refused = Session { pod: None, refused: true, ..down(old("x"), 9_000, None) };
    let mut elsewhere = Session { automatic: false, ..old("e") };
    elsewhere.key = SessionKey::new("bank", "e");
    fleet.look(&[refused, old("a"), elsewhere.clone()], now());
    for (key, pod, words) in [
        (old("a").key, "a-1", "It waits: the API server refuses"),
        (elsewhere.key, "e-1", "A rollout does not"),
    ] {
        let Turn::Later(why) = fleet.turn(&key, pod) else { panic!("{key}") };
        assert!(why.starts_with(words) && why.ends_with('.'), "{why}");
    }
}

#[test]
fn a_session_that_lost_its_pod_in_the_rollout_is_a_failure_in_the_end() {
    let lost = |ago| Session { pod: None, ..down(old("b"), ago, None) };
    check(&[renewed("a", 900), lost(299), old("c"), old("d")], &["c"]);
    let plan = plan(
        &[renewed("a", 900), lost(301), old("c")],
        Settings { max_failures: 1, ..SETTINGS },
        &Plan::default(),
        now(),
    );
    assert_eq!(culprits(&plan), ["b"]);
    // Lost long before: not this rollout's doing.
    check(&[renewed("a", 900), lost(5_000), old("c"), old("d")], &["c"]);
}

#[test]
fn whoever_asks_hears_the_plan_and_is_woken_when_it_changes() {
    let fleet = Fleet::new(Settings { max_failures: 1, ..SETTINGS }, "r2".to_owned());
    let key = |name: &str| old(name).key;
    assert!(matches!(fleet.turn(&key("a"), "a-1"), Turn::Later(_)));
    assert_eq!(fleet.look(&[old("a"), old("b")], now()), [key("a")]);
    assert_eq!(fleet.turn(&key("a"), "a-1"), Turn::Now);
    assert!(matches!(fleet.turn(&key("a"), "a-2"), Turn::Later(_)), "the turn is for that pod alone");
    assert!(matches!(fleet.turn(&key("b"), "b-1"), Turn::Later(_)));
    assert!(fleet.look(&[old("a"), old("b")], now()).is_empty(), "nothing new");

    let failed = down(renewed("a", 10), 15, Some("ImagePullBackOff"));
    assert_eq!(fleet.look(&[failed, old("b")], now()), [key("b")]);
    let Turn::Stopped(why) = fleet.turn(&key("b"), "b-1") else { panic!() };
    assert!(why.contains("shop/a (ImagePullBackOff)"), "{why}");
    assert_eq!(fleet.look(&[renewed("a", 30), old("b")], now()), [key("b")]);
    assert_eq!(fleet.turn(&key("b"), "b-1"), Turn::Now);
}
