//! What is decided about the volume.

use super::*;

#[test]
fn a_volume_that_was_linked_on_is_never_replaced_in_silence() {
    let judged = |claim: Option<ClaimSeen>| {
        let mut seen = seen("{}", PAIRED);
        seen.claim = claim;
        (steps(&seen), decided(&seen).storage)
    };
    assert_eq!(judged(None), (vec![], Storage::Lost(Loss::Gone)));
    let another = ClaimSeen { uid: "c-2".to_owned(), ..claim() };
    assert_eq!(judged(Some(another)), (vec![], Storage::Lost(Loss::Another)));
    let unbound = ClaimSeen { phase: ClaimPhase::Lost, ..claim() };
    assert_eq!(judged(Some(unbound)), (vec![], Storage::Lost(Loss::Unbound)));
    assert_eq!(judged(Some(ClaimSeen { deleting: true, ..claim() })), (vec![], Storage::Terminating));
}

#[test]
fn an_older_store_is_told_and_the_pod_left_alone() {
    let mut seen =
        running("{}", &PAIRED.replace(r#""writerEpoch":4"#, r#""writerEpoch":9"#), SessionState::Open);
    assert_eq!(decided(&seen).storage, Storage::Lost(Loss::Older));
    assert_eq!(steps(&seen), []);
    seen.heard = None;
    assert_eq!(decided(&seen).storage, Storage::Ready);
}

#[test]
fn a_reset_goes_step_by_step() {
    let spec = r#"{"volumeResetToken":"t"}"#;
    let mut seen = running(spec, PAIRED, SessionState::Open);
    seen.node = answering(900, false);
    assert_eq!(steps(&seen), deletes("p-1", Ending::VolumeReset));
    seen.pods[0].deleting = Some(Deleting { deadline: ago(-30) });
    assert_eq!(steps(&seen), [], "not before the pod is gone");
    (seen.pods, seen.heard) = (Vec::new(), None);
    assert_eq!(steps(&seen), [Step::DeleteClaim { uid: "c-1".to_owned() }]);
    seen.claim = Some(ClaimSeen { deleting: true, ..claim() });
    assert_eq!(steps(&seen), []);
    seen.claim = None;
    assert_eq!(steps(&seen), [Step::CreateClaim]);
    seen.claim = Some(ClaimSeen { uid: "c-2".to_owned(), reset_token: Some("t".to_owned()), ..claim() });
    assert_eq!(steps(&seen), [], "not before the status says so");
    let done =
        r#"{"conditions":[],"storage":{"claimName":"toko-session","claimUid":"c-2","resetToken":"t"}}"#;
    annotated(&mut seen, |session| session.status = serde_json::from_str(done).unwrap());
    assert_eq!(steps(&seen), [Step::CreatePod]);
}

#[test]
fn the_first_reset_token_of_a_session_throws_nothing_away() {
    let spec = r#"{"volumeResetToken":"t"}"#;
    assert_eq!(steps(&seen(spec, "")), [Step::CreatePod]);
}

#[test]
fn a_retained_volume_is_taken_up_and_anothers_is_not() {
    let with = |claim: ClaimSeen| {
        let mut seen = seen("{}", "");
        seen.claim = Some(claim);
        decided(&seen)
    };
    let retained = with(ClaimSeen { session_uid: Some("former".to_owned()), ..claim() });
    let take = Step::TakeClaim { uid: "c-1".to_owned(), version: "1".to_owned() };
    assert_eq!(retained.steps, [take, Step::CreatePod]);
    for foreign in [
        ClaimSeen { session: None, session_uid: None, ..claim() },
        ClaimSeen { session: Some("other".to_owned()), ..claim() },
        ClaimSeen {
            owner: Some(Owner {
                kind: "WhatsAppSession".to_owned(),
                name: "toko".to_owned(),
                uid: "former".to_owned(),
            }),
            ..claim()
        },
    ] {
        let decision = with(foreign);
        assert!(matches!(decision.storage, Storage::NameConflict(_)), "{decision:?}");
        assert_eq!(decision.steps, []);
    }
}

#[test]
fn a_claim_that_has_lost_its_labels_is_still_its_sessions() {
    let take = Step::TakeClaim { uid: "c-1".to_owned(), version: "1".to_owned() };
    let unnamed = ClaimSeen { session: None, ..stripped() };
    let renamed = ClaimSeen { session: Some("other".to_owned()), ..claim() };
    let unmanaged = ClaimSeen { labelled: false, ..claim() };
    for claim in [stripped(), unnamed, renamed, unmanaged] {
        let mut seen = running("{}", PAIRED, SessionState::Open);
        seen.claim = Some(claim.clone());
        assert_eq!((steps(&seen), decided(&seen).storage), (vec![take.clone()], Storage::Ready), "{claim:?}");
    }
    // The status does not know it yet, but it is this session's own.
    let mut owned = seen(r#"{"retentionPolicy":"Delete"}"#, "");
    owned.claim = Some(ClaimSeen { owner: pod(&owned).owner, ..stripped() });
    assert_eq!(steps(&owned), [take.clone(), Step::CreatePod]);
    // One that is thrown away is made visible first: its end has to be seen.
    let mut reset = seen(r#"{"volumeResetToken":"t"}"#, PAIRED);
    reset.claim = Some(stripped());
    assert_eq!(steps(&reset), [take]);
    reset.claim = Some(ClaimSeen { deleting: true, ..stripped() });
    let untold = decided(&reset);
    assert_eq!(
        (untold.steps, untold.again),
        (vec![], Some(Duration::from_secs(15))),
        "nobody tells when it is gone"
    );
    let another = ClaimSeen { uid: "c-2".to_owned(), ..stripped() };
    let mut replaced = seen("{}", PAIRED);
    replaced.claim = Some(another);
    assert_eq!(decided(&replaced).storage, Storage::NameConflict("somebody else".to_owned()));
    assert_eq!(decided(&replaced).again, Some(Duration::from_secs(15)), "nobody tells when it goes");
}

#[test]
fn a_claim_of_the_users_own_needs_no_labels() {
    let mut lost = seen(r#"{"storage":{"existingClaim":{"name":"mine"}}}"#, PAIRED);
    lost.claim = Some(ClaimSeen { uid: "c-9".to_owned(), ..stripped() });
    let decision = decided(&lost);
    assert!(matches!(decision.storage, Storage::Lost(_)), "{decision:?}");
    assert_eq!((decision.steps, decision.again), (vec![], None), "it is not asked about again and again");
}

#[test]
fn only_a_claim_that_was_there_is_looked_for_by_its_name() {
    let looks = |spec: &str, status: &str, claim: Option<ClaimSeen>| {
        may_be_unseen(&Observed { claim, ..seen(spec, status) })
    };
    assert!(looks("{}", PAIRED, None));
    assert!(!looks("{}", PAIRED, Some(claim())), "the watch shows it");
    assert!(!looks("{}", "", None), "a new session has had none");
    assert!(!looks(r#"{"storage":{"existingClaim":{"name":"mine"}}}"#, PAIRED, None), "looked at anyway");
}

#[test]
fn the_claim_is_owned_as_its_policy_says_and_grows_when_asked() {
    let take = Step::TakeClaim { uid: "c-1".to_owned(), version: "1".to_owned() };
    assert_eq!(
        steps(&running(r#"{"retentionPolicy":"Delete"}"#, PAIRED, SessionState::Open)),
        vec![take.clone()]
    );
    let mut owned = running("{}", PAIRED, SessionState::Open);
    owned.claim.as_mut().unwrap().owner = owned.pods[0].owner.clone();
    assert_eq!(steps(&owned), [take]);
    let larger = running(r#"{"storage":{"size":"2Gi"}}"#, PAIRED, SessionState::Open);
    assert_eq!(steps(&larger), [Step::GrowClaim { uid: "c-1".to_owned() }]);
}

#[test]
fn existing_claims_are_neither_made_nor_touched() {
    let spec = r#"{"storage":{"existingClaim":{"name":"mine"},"size":"9Gi"}}"#;
    let mut seen = seen(spec, "");
    seen.claim = None;
    assert_eq!(decided(&seen).storage, Storage::NotFound);
    assert_eq!(steps(&seen), []);
    assert_eq!(decided(&seen).again, Some(Duration::from_secs(15)), "nobody tells that it has come");
    seen.claim = Some(ClaimSeen { session: None, session_uid: None, ..claim() });
    assert_eq!(steps(&seen), [Step::CreatePod]);
    seen.same_volume = Some(SessionKey::new("shop", "older"));
    assert_eq!(steps(&seen), []);
    assert_eq!(decided(&seen).again, Some(Duration::from_secs(15)));
}
