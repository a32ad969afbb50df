//! Every combination of what can be seen, and what must hold in all of them.

use crds::spec::{OnNodeLoss, OperatingMode};

use k8s_openapi::jiff::SignedDuration;

use super::*;
use crate::observe::{Answering, Departed, Lasting};

const MODES: [&str; 3] = [r#""Running""#, r#""Suspended""#, r#""Running","onNodeLoss":"Recreate""#];

fn pods(seen: &Observed) -> Vec<Vec<PodSeen>> {
    let own = pod(seen);
    let another =
        |name: &str, uid: &str| PodSeen { name: name.to_owned(), uid: uid.to_owned(), ..own.clone() };
    let foreign = PodSeen { owner: None, ..another("toko", "foreign") };
    let deleting = Some(Deleting { deadline: ago(10) });
    let waiting = Container::Waiting { reason: "ImagePullBackOff".to_owned(), message: String::new() };
    vec![
        vec![],
        vec![own.clone()],
        vec![PodSeen { template_hash: Some("old".to_owned()), ..own.clone() }],
        vec![PodSeen { phase: Phase::Pending, container: waiting, template_hash: None, ..own.clone() }],
        vec![PodSeen { phase: Phase::Failed, ..own.clone() }],
        vec![PodSeen { phase: Phase::Succeeded, deleting, ..own.clone() }],
        vec![PodSeen { deleting, ready: Some((false, ago(90))), ..own.clone() }],
        vec![PodSeen { ready: Some((false, ago(90))), ..own.clone() }],
        vec![foreign.clone()],
        vec![PodSeen { deleting, ..foreign.clone() }],
        vec![own.clone(), another("toko-2", "p-2")],
        vec![another("toko-2", "p-2")],
        vec![foreign, another("toko-2", "p-2")],
        vec![PodSeen { phase: Phase::Failed, ..own.clone() }, another("toko-2", "p-2")],
    ]
}

fn claims() -> Vec<Option<ClaimSeen>> {
    let other =
        Owner { kind: "WhatsAppSession".to_owned(), name: "toko".to_owned(), uid: "former".to_owned() };
    vec![
        None,
        Some(claim()),
        Some(ClaimSeen { uid: "c-2".to_owned(), ..claim() }),
        Some(ClaimSeen { uid: "c-2".to_owned(), reset_token: Some("t".to_owned()), ..claim() }),
        Some(ClaimSeen { deleting: true, ..claim() }),
        Some(ClaimSeen { phase: ClaimPhase::Lost, ..claim() }),
        Some(ClaimSeen { phase: ClaimPhase::Pending, session_uid: Some("former".to_owned()), ..claim() }),
        Some(stripped()),
        Some(ClaimSeen { owner: Some(other), ..claim() }),
    ]
}

fn statuses() -> [String; 3] {
    let retry = r#","recovery":{"count":1,"lastReason":"x","lastTime":"2026-06-01T11:59:59Z","retryAfter":"2026-06-01T12:00:05Z"}}"#;
    [String::new(), PAIRED.to_owned(), format!("{}{retry}", PAIRED.strip_suffix('}').unwrap())]
}

const NODES: [fn() -> NodeSeen; 8] = [
    || NodeSeen::Unknown,
    || answering(900, false),
    || answering(20, true),
    || answering(90, true),
    || silent(10),
    || silent(400),
    || NodeSeen::OutOfService,
    || NodeSeen::Gone,
];

/// What else can be: the resource is deleted, paused, its namespace goes, the volume is shared.
fn frames() -> Vec<fn(&mut Observed)> {
    vec![
        |_| {},
        |seen| delete(seen, 5),
        |seen| {
            annotated(seen, |session| {
                session.metadata.annotations = Some([(names::PAUSED.to_owned(), "true".to_owned())].into());
            });
        },
        |seen| seen.namespace_terminating = true,
        |seen| seen.same_volume = Some(SessionKey::new("shop", "older")),
        |seen| seen.turn = Turn::Now,
    ]
}

/// The pods that there are; or none, and how long those before have been gone unseen.
fn presences(seen: &Observed) -> Vec<(Vec<PodSeen>, Vec<Departed>)> {
    let gone = |lasted: i64| Departed {
        name: "toko".to_owned(),
        uid: format!("p-{lasted}"),
        node: Some("n".to_owned()),
        state: NodeSeen::Unknown,
        grace: Some(30),
        noticed: Lasting { since: ago(lasted), lasted: SignedDuration::from_secs(lasted) },
    };
    let gone = [vec![gone(99)], vec![gone(100)], vec![gone(100), gone(99)], vec![gone(101), gone(100)]];
    let gone = gone.map(|departed| (Vec::new(), departed));
    pods(seen).into_iter().map(|pods| (pods, Vec::new())).chain(gone).collect()
}

fn every_state(check: impl Fn(&Observed, &Desired)) -> usize {
    let mut count = 0;
    for (mode, status, token) in MODES.iter().flat_map(|mode| {
        statuses().into_iter().flat_map(move |status| {
            ["", r#","volumeResetToken":"t""#].map(|token| (mode, status.clone(), token))
        })
    }) {
        let base = seen(&format!(r#"{{"operatingMode":{mode}{token}}}"#), &status);
        let desired = desired(&base);
        for ((pods, departed), claim) in
            presences(&base).iter().flat_map(|there| claims().into_iter().map(move |claim| (there, claim)))
        {
            for (node, frame) in
                NODES.iter().flat_map(|node| frames().into_iter().map(move |frame| (node, frame)))
            {
                let mut seen = Observed {
                    pods: pods.clone(),
                    departed: departed.clone(),
                    claim: claim.clone(),
                    node: node(),
                    ..base.clone()
                };
                // Of two, the second one's node is well.
                for (departed, state) in seen.departed.iter_mut().zip([node(), answering(900, false)]) {
                    departed.state = state;
                }
                frame(&mut seen);
                check(&seen, &desired);
                count += 1;
            }
        }
    }
    count
}

/// Whether the process of a pod that is gone has ended, or is said to have.
fn is_over(departed: &Departed, seen: &Observed) -> bool {
    match departed.state {
        NodeSeen::Gone | NodeSeen::OutOfService => true,
        NodeSeen::NotReady { lasted, .. } => {
            seen.session.spec.on_node_loss == OnNodeLoss::Recreate && lasted >= RULES.node_loss
        }
        NodeSeen::Ready(Answering { returned: true, lasting }) if lasting.lasted.as_secs() < 40 => false,
        NodeSeen::Ready(_) | NodeSeen::Unknown => departed.noticed.lasted.as_secs() >= 100,
    }
}

fn creates(decision: &Decision) -> usize {
    decision.steps.iter().filter(|step| **step == Step::CreatePod).count()
}

#[test]
fn no_pod_is_made_beside_another_or_without_its_volume() {
    let count = every_state(|seen, desired| {
        let decision = &decide(seen, Ok(desired), &RULES);
        if creates(decision) == 0 {
            return;
        }
        assert_eq!(creates(decision), 1, "{seen:#?}");
        assert!(seen.pods.is_empty(), "{seen:#?}");
        assert!(seen.deleted().is_none() && !seen.paused() && !seen.namespace_terminating, "{seen:#?}");
        assert_eq!(seen.session.spec.operating_mode, OperatingMode::Running);
        assert!(seen.same_volume.is_none(), "{seen:#?}");
        if seen.was_paired() {
            assert_eq!(seen.claim.as_ref().map(|claim| claim.uid.as_str()), Some("c-1"), "{seen:#?}");
        }
        assert!(seen.departed.iter().all(|departed| is_over(departed, seen)), "{seen:#?}");
        let deletes = |step: &Step| {
            matches!(step, Step::DeletePod { .. } | Step::ForceDeletePod { .. } | Step::DeleteClaim { .. })
        };
        assert!(!decision.steps.iter().any(deletes), "{decision:#?}");
    });
    assert!(count > 50_000, "{count}");
}

#[test]
fn nothing_is_deleted_but_the_one_own_pod_and_a_volume_to_be_reset() {
    every_state(|seen, desired| {
        for step in &decide(seen, Ok(desired), &RULES).steps {
            #[expect(clippy::wildcard_enum_match_arm, reason = "only deletions are looked at")]
            match step {
                Step::DeletePod { uid, .. } => {
                    assert_eq!((uid.as_str(), seen.pods.len()), ("p-1", 1), "{seen:#?}");
                    assert!(seen.pods[0].is_of("u-1") && seen.pods[0].deleting.is_none(), "{seen:#?}");
                }
                Step::ForceDeletePod { uid, .. } => {
                    assert_eq!((uid.as_str(), seen.pods.len()), ("p-1", 1), "{seen:#?}");
                    let given_up = seen.session.spec.on_node_loss == OnNodeLoss::Recreate;
                    assert!(given_up || seen.pods[0].has_ended(), "{seen:#?}");
                    assert!(seen.node.is_lost(), "{seen:#?}");
                }
                Step::DeleteClaim { uid } => {
                    let claim = seen.claim.as_ref().unwrap();
                    assert_eq!(*uid, claim.uid);
                    assert!(
                        seen.pods.is_empty() && seen.session.spec.volume_reset_token.is_some(),
                        "{seen:#?}"
                    );
                    assert!(claim.session.as_deref() == Some("toko") && claim.owner.is_none(), "{seen:#?}");
                    assert!(seen.status().is_some(), "{seen:#?}");
                    assert!(seen.departed.iter().all(|departed| is_over(departed, seen)), "{seen:#?}");
                }
                _ => {}
            }
        }
    });
}

#[test]
fn what_is_paused_deleted_or_in_a_dying_namespace_is_not_written_to() {
    every_state(|seen, desired| {
        let decision = decide(seen, Ok(desired), &RULES);
        if seen.paused() || seen.deleted().is_some() || seen.namespace_terminating {
            assert_eq!(decision.steps, [], "{seen:#?}");
        }
    });
}

#[test]
fn every_state_has_a_status_that_settles() {
    use crate::status::{Facts, Outcome, differs, tell};
    let looked_at = std::cell::Cell::new(0_usize);
    every_state(|seen, desired| {
        looked_at.set(looked_at.get() + 1);
        // Slower than the others: every seventh state is enough to meet each value of each thing beside each of another.
        if !looked_at.get().is_multiple_of(7) {
            return;
        }
        let (mut seen, outcome) = (seen.clone(), Outcome::default());
        let settled = (0..4).any(|_| {
            let decision = decide(&seen, Ok(desired), &RULES);
            let facts = Facts {
                seen: &seen,
                decision: &decision,
                invalid: None,
                outcome: &outcome,
                key: &crate::fixtures::KEY,
            };
            let told = tell(&facts);
            let settled = !differs(seen.status(), &told);
            annotated(&mut seen, |session| session.status = Some(told));
            settled
        });
        assert!(settled, "{seen:#?}");
    });
}
