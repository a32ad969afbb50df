//! Who goes first, and what that proves.

use super::*;

#[test]
fn the_canary_goes_first_and_alone() {
    let plan = check(&[old("b"), old("a"), old("c")], &["a"]);
    assert!(matches!(plan.phase, Phase::Canary(_)));
    check(&[old("a"), Session { canary: true, ..old("c") }], &["c"]);
}

#[test]
fn whom_the_revision_does_not_concern_is_no_canary() {
    let own_image = || with_pod(old("a"), |pod| pod.change = Change::None);
    check(&[own_image(), old("b"), old("c")], &["b"]);
    check(&[Session { canary: true, ..own_image() }, old("b"), old("c")], &["b"]);
    let plan = check(&[own_image(), renewed("b", 20), old("c")], &["c"]);
    assert_eq!(plan.phase, Phase::Rolling);
}

#[test]
fn who_turns_out_to_be_concerned_while_another_is_tried_waits_for_it() {
    let tried = || down(renewed("b", 5), 10, None);
    let plan = check(&[old("a"), tried(), old("c")], &[]);
    assert_eq!(plan.phase, Phase::Canary(old("b").key));
    check(&[Session { canary: true, ..old("c") }, tried(), old("d")], &[]);
}

#[test]
fn nobody_follows_until_the_canary_is_back() {
    let going = with_pod(down(old("a"), 1, None), |pod| pod.ending = true);
    check(&[going, old("b"), old("c")], &[]);
    let without_pod = Session { pod: None, ..down(old("a"), 2, None) };
    check(&[without_pod, old("b"), old("c")], &[]);
    check(&[down(renewed("a", 5), 10, None), old("b"), old("c")], &[]);
    let plan = check(&[renewed("a", 20), old("b"), old("c"), old("d")], &["b", "c"]);
    assert_eq!(plan.phase, Phase::Rolling);
}

#[test]
fn another_canary_goes_when_the_first_does_not_take_its_turn() {
    for canary in [false, true] {
        let fleet = [Session { canary, ..old("a") }, old("b"), old("c")];
        let mut so_far = check(&fleet, &["a"]);
        for (second, whose) in [(60, ["a"]), (61, ["b"]), (62, ["b"]), (121, ["b"]), (122, ["c"])] {
            so_far = plan(&fleet, SETTINGS, &so_far, now() + second.seconds());
            assert_eq!(go(&so_far), whose, "second {second}: {so_far:#?}");
        }
        // Nobody is left, until a's turn comes again.
        let nobody = plan(&fleet, SETTINGS, &so_far, now() + 600.seconds());
        assert_eq!((go(&nobody), nobody.missed.len()), (vec![], 3), "{nobody:#?}");
        assert_eq!(go(&plan(&fleet, SETTINGS, &nobody, now() + 601.seconds())), ["a"]);
        // c comes through: the others do not wait for a and b.
        let tried = [fleet[0].clone(), old("b"), renewed("c", 20), old("d")];
        let rolling = plan(&tried, SETTINGS, &nobody, now() + 600.seconds());
        assert_eq!((go(&rolling), &rolling.phase), (vec!["d"], &Phase::Rolling));
    }
}

#[test]
fn it_stops_when_the_canary_fails_whatever_the_limit() {
    let plan = check(&[down(renewed("a", 10), 15, Some("ImagePullBackOff")), old("b")], &[]);
    assert_eq!(culprits(&plan), ["a"]);
    assert_eq!(plan.waiting.values().next(), Some(&Waiting::Stopped));
    let overdue = check(&[down(renewed("a", 301), 310, None), old("b")], &[]);
    assert_eq!(culprits(&overdue), ["a"]);
}

#[test]
fn another_revision_begins_anew_with_a_canary() {
    // All are on a revision that failed; the fixed one is known to nobody yet.
    let failed = |name| down(old(name), 60, Some("CrashLoopBackOff"));
    let plan = check(&[failed("a"), failed("b"), old("c"), old("d")], &["a"]);
    assert!(matches!(plan.phase, Phase::Canary(_)));
}

#[test]
fn a_fleet_in_which_nothing_works_is_tried_one_by_one() {
    let broken = |name| down(old(name), 9_000, Some("CrashLoopBackOff"));
    let tried = |name, ago| {
        with_pod(down(renewed(name, ago), 9_000, Some("CrashLoopBackOff")), |p| p.replaced_working = false)
    };
    check(&[broken("a"), broken("b")], &["a"]);
    check(&[tried("a", 10), broken("b")], &[]);
    check(&[tried("a", 400), broken("b")], &["b"]);
    check(&[renewed("a", 10), broken("b")], &["b"]);
}

#[test]
fn who_did_not_take_a_turn_does_not_hold_up_what_another_canary_has_proven() {
    let fleet = [Session { canary: true, ..old("a") }, old("b"), old("c"), old("d")];
    let first = check(&fleet, &["a"]);
    let second = plan(&fleet, SETTINGS, &first, now() + 61.seconds());
    assert_eq!(go(&second), ["b"]);
    // b is back long before a's turn comes again: a goes as everybody does.
    let tried = [fleet[0].clone(), renewed("b", 20), old("c"), old("d")];
    let rolling = plan(&tried, SETTINGS, &second, now() + 90.seconds());
    assert_eq!((go(&rolling), &rolling.phase), (vec!["c", "d"], &Phase::Rolling));
    let much_later = plan(&tried, SETTINGS, &rolling, now() + 601.seconds());
    assert_eq!(much_later.phase, Phase::Rolling);
    assert!(go(&much_later).contains(&"a"), "{much_later:#?}");
    // With another pod it is a canary like any other.
    let again = [with_pod(fleet[0].clone(), |pod| pod.uid = "a-9".to_owned()), old("b"), old("c")];
    assert_eq!(go(&plan(&again, SETTINGS, &much_later, now() + 602.seconds())), ["a"]);
}

#[test]
fn a_labelled_canary_that_nobody_has_looked_at_is_waited_for() {
    let unlooked =
        || Session { canary: true, ..with_pod(old("z"), |pod| pod.change = Change::None) }.unjudged();
    let plan = check(&[old("a"), old("b"), unlooked()], &[]);
    assert_eq!(plan.phase, Phase::Canary(old("z").key));
    // It turns out that the revision is nothing to it.
    check(&[old("a"), old("b"), with_pod(unlooked(), |pod| pod.change = Change::None)], &["a"]);
    check(&[old("a"), Session { canary: false, ..unlooked() }], &["a"]);
    check(&[old("a"), Session { automatic: false, ..unlooked() }], &["a"]);
    assert_eq!(renewed("a", 5).unjudged(), renewed("a", 5), "it has the revision");
}

#[test]
fn a_canary_without_a_pod_is_waited_for_only_while_one_may_come() {
    let lost = |ago| Session { pod: None, canary: true, ..down(old("z"), ago, None) };
    check(&[old("a"), old("b"), lost(20)], &[]);
    check(&[old("a"), old("b"), lost(9_000)], &["a"]);
    // One that lost its pod in the rollout has failed.
    let plan = check(&[renewed("a", 900), old("b"), lost(400)], &[]);
    assert!(matches!(plan.phase, Phase::Stopped(_)), "{plan:#?}");
}
