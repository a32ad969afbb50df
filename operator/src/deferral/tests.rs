//! What may wait, what may not, and for how long.

use crds::status::AccountStatus;
use session_api::SessionState;

use super::*;
use crate::decide::decide;
use crate::fixtures::{KEY, PAIRED, RULES, ago, claim, desired, pod, running, said, seen};
use crate::observe::{ClaimPhase, ClaimSeen, Container, Observed, Phase, PodSeen};
use crate::status::{Facts, Outcome, tell};

fn told(seen: &Observed) -> WhatsAppSessionStatus {
    let desired = desired(seen);
    let decision = decide(seen, Ok(&desired), &RULES);
    tell(&Facts { seen, decision: &decision, invalid: None, outcome: &Outcome::default(), key: &KEY })
}

/// A session that has just been asked for, when its status says this.
fn new(status: Option<&WhatsAppSessionStatus>) -> Observed {
    let status = status.map_or_else(String::new, |status| serde_json::to_string(status).unwrap());
    let mut seen = seen("{}", &status);
    seen.claim = Some(ClaimSeen { phase: ClaimPhase::Pending, ..claim() });
    seen
}

fn with_pod(mut seen: Observed, change: impl FnOnce(&mut PodSeen)) -> Observed {
    let mut pod = PodSeen {
        node: None,
        ip: None,
        phase: Phase::Pending,
        ready: Some((false, ago(1))),
        container: Container::Unseen,
        ..pod(&seen)
    };
    change(&mut pod);
    seen.pods = vec![pod];
    seen
}

fn has_run(pod: &mut PodSeen) {
    pod.node = Some("n".to_owned());
    pod.phase = Phase::Running;
    pod.container = Container::Running { since: Some(ago(1)) };
}

#[test]
fn a_start_is_told_by_where_it_leads() {
    let made = told(&new(None));
    assert!(may_wait(None, &made));
    let bound = with_pod(new(None), |pod| pod.node = Some("n".to_owned()));
    let runs = with_pod(new(Some(&made)), has_run);
    for seen in [&bound, &runs] {
        let status = told(seen);
        assert!(status.pod.is_some(), "the pod is told of when it lasts");
        assert!(differs(Some(&made), &status) && may_wait(Some(&made), &status));
    }
    let mut heard = runs;
    heard.heard = Some(said(&heard, SessionState::AwaitingPairing));
    assert!(!may_wait(Some(&made), &told(&heard)), "somebody is to scan");
    heard.heard = Some(said(&heard, SessionState::Starting));
    let opened = told(&heard);
    assert!(opened.writer_epoch.is_some() && !may_wait(Some(&made), &opened), "the volume was written to");
}

#[test]
fn what_somebody_waits_for_or_another_operator_needs_is_written_at_once() {
    let open = told(&running("{}", PAIRED, SessionState::Open));
    let starting = |change: fn(&mut WhatsAppSessionStatus)| {
        let mut status = told(&running("{}", PAIRED, SessionState::Starting));
        change(&mut status);
        status
    };
    let before = starting(|_| {});
    assert!(!may_wait(Some(&open), &before) && !may_wait(Some(&before), &open), "Ready has changed");
    assert!(may_wait(Some(&before), &starting(|status| status.state = None)));
    let reason = |status: &mut WhatsAppSessionStatus, reason: &str| {
        status.conditions[0].reason = reason.to_owned();
    };
    for change in [
        (|status| status.observed_generation = Some(4)) as fn(&mut WhatsAppSessionStatus),
        |status| status.account = Some(AccountStatus::default()),
        |status| status.writer_epoch = Some(5),
        |status| status.storage.as_mut().unwrap().claim_uid = Some("c-2".to_owned()),
        |status| status.pod.as_mut().unwrap().node = Some("m".to_owned()),
        |status| status.pod.as_mut().unwrap().uid = "p-2".to_owned(),
        |status| status.pod.as_mut().unwrap().outdated = true,
        |status| status.conditions[1].reason = reason::CRASH_LOOP.to_owned(),
    ] {
        assert!(!may_wait(Some(&before), &starting(change)), "{:?}", starting(change));
    }
    for word in [reason::SUSPENDING, reason::DELETING, reason::REFUSED, reason::AWAITING_PAIRING] {
        let mut other = before.clone();
        reason(&mut other, word);
        assert!(!may_wait(Some(&before), &other) && !may_wait(Some(&other), &before), "{word}");
    }
}

#[test]
fn a_pod_that_is_gone_is_told_at_once() {
    let ending = told(&with_pod(seen("{}", PAIRED), has_run));
    let mut gone = seen("{}", &serde_json::to_string(&ending).unwrap());
    gone.pods.clear();
    let gone = told(&gone);
    assert!(ending.pod.is_some() && gone.pod.is_none());
    assert!(!may_wait(Some(&ending), &gone));
}

#[test]
fn what_lasts_is_written_and_what_is_written_is_not_written_again() {
    let (deferrals, start) = (Deferrals::default(), Instant::now());
    let key = SessionKey::new("shop", "toko");
    let status = told(&new(None));
    let at = |uid: &str, second: u64| {
        deferrals.when((&key, uid), (None, &status), false, start + Duration::from_secs(second))
    };
    assert_eq!(at("u-1", 0), When::In(WAIT));
    assert_eq!(at("u-1", 1), When::In(Duration::from_secs(1)));
    assert_eq!([at("u-1", 2), at("u-1", 9)], [When::Now, When::Now], "until it is written");
    assert_eq!(at("u-2", 9), When::In(WAIT), "another session of that name");
    assert_eq!(deferrals.when((&key, "u-2"), (None, &status), true, start), When::Now);
    assert_eq!(deferrals.when((&key, "u-2"), (Some(&status), &status), true, start), When::Never);
    assert!(deferrals.is_empty());
}

#[test]
fn a_crowds_passing_states_come_one_after_another() {
    let (deferrals, start) = (Deferrals::default(), Instant::now());
    let status = told(&new(None));
    let key = |number: u32| SessionKey::new("shop", &format!("s-{number}"));
    let ask =
        |number: u32, at: Duration| deferrals.when((&key(number), "u"), (None, &status), false, start + at);
    let short = |time: Duration| time.saturating_sub(Duration::from_millis(1));
    for number in 0..1_000 {
        let wait = (EACH * number).clamp(WAIT, LONGEST);
        assert_eq!(ask(number, Duration::ZERO), When::In(wait.min(LOOK)), "{number}");
    }
    for (number, turn) in
        [(0, WAIT), (20, WAIT), (21, EACH * 21), (400, EACH * 400), (600, LONGEST), (999, LONGEST)]
    {
        assert_eq!(
            [ask(number, short(turn)), ask(number, turn)],
            [When::In(Duration::from_millis(1)), When::Now]
        );
    }
}

#[test]
fn who_is_left_of_a_crowd_does_not_wait_for_those_who_have_gone() {
    let (deferrals, start) = (Deferrals::default(), Instant::now());
    let status = told(&new(None));
    let key = |number: u32| SessionKey::new("shop", &format!("s-{number}"));
    let ask = |number: u32, second: u64| {
        deferrals.when((&key(number), "u"), (None, &status), false, start + Duration::from_secs(second))
    };
    for number in 0..600 {
        ask(number, 0);
    }
    assert_eq!(ask(599, 12), When::In(LOOK));
    for number in 0..579 {
        deferrals.forget(&key(number));
    }
    assert_eq!(ask(599, 12), When::In(LOOK), "twenty-one are still a crowd");
    deferrals.forget(&key(579));
    assert_eq!(ask(599, 12), When::Now);
    assert_eq!(ask(1_000, 12), When::In(WAIT));
    for number in 0..=1_000 {
        deferrals.forget(&key(number));
    }
    assert!(deferrals.is_empty());
}
