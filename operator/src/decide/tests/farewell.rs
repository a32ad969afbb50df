//! What is decided about sessions that are deleted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::SignedDuration;

use super::*;

/// A running session that is kept to be unlinked, with a claim that is still to go with it.
fn kept(spec: &str) -> Observed {
    let mut seen = running(spec, PAIRED, SessionState::Open);
    seen.claim.as_mut().unwrap().owner = seen.pods[0].owner.clone();
    annotated(&mut seen, |session| {
        session.metadata.finalizers = Some(vec![names::UNLINK_FINALIZER.to_owned()]);
    });
    delete(&mut seen, 1);
    seen
}

#[test]
fn a_volume_that_is_to_stay_is_let_go_before_its_session() {
    let take = Step::TakeClaim { uid: "c-1".to_owned(), version: "1".to_owned() };
    let mut seen = kept(r#"{"onDelete":"Unlink"}"#);
    assert_eq!(steps(&seen), [Step::LogOut, take.clone()]);
    seen.pods.clear();
    assert_eq!(steps(&seen), [take.clone(), Step::RemoveFinalizer]);
    annotated(&mut seen, |session| session.metadata.finalizers = None);
    assert_eq!(steps(&seen), [take], "others may keep it for a while");
    seen.claim.as_mut().unwrap().deleting = true;
    assert_eq!(steps(&seen), [], "it is too late");

    let mut late = kept(r#"{"onDelete":"Unlink"}"#);
    delete(&mut late, 61);
    assert_eq!(steps(&late), [Step::RemoveFinalizer], "nothing is kept for a claim that nobody may write to");
    assert_eq!(steps(&kept(r#"{"onDelete":"Unlink","retentionPolicy":"Delete"}"#)), [Step::LogOut]);
    let mut anothers = kept(r#"{"onDelete":"Unlink"}"#);
    anothers.claim.as_mut().unwrap().owner.as_mut().unwrap().uid = "u-2".to_owned();
    assert_eq!(steps(&anothers), [Step::LogOut]);
}

#[test]
fn what_cannot_be_read_is_kept_for_its_device_no_longer_than_what_can() {
    let judged = |deleted: bool, finalizer: &str, seconds: i64| {
        let meta = ObjectMeta {
            deletion_timestamp: deleted.then(|| Time(ago(9_000))),
            finalizers: Some(vec![finalizer.to_owned()]),
            ..ObjectMeta::default()
        };
        unreadable(&meta, SignedDuration::from_secs(seconds))
    };
    assert_eq!(judged(false, names::UNLINK_FINALIZER, 0), Unreadable::Left);
    assert_eq!(judged(true, "backup.example/keep", 900), Unreadable::Left, "it is not ours to let go");
    assert_eq!(judged(true, names::UNLINK_FINALIZER, 20), Unreadable::Kept(Duration::from_secs(40)));
    assert_eq!(judged(true, names::UNLINK_FINALIZER, 60), Unreadable::LetGo);
}
