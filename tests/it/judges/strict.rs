//! The judges are strict: without our root, or with another, they refuse the simulator's certificates.

use system_tests::external::judge::{Judge, Kind, Root};
use system_tests::rig::Rig;

/// A valid point that signed nothing.
const ANOTHER_KEY: &str = "0900000000000000000000000000000000000000000000000000000000000000";

async fn refuses(kind: Kind, root: Root, reason: &str) {
    let rig = Rig::start().await;
    let mut judge = Judge::start_with(kind, &rig, root);
    judge.connect().await;
    let closed = judge.closed().await;
    assert!(closed.contains(reason), "{closed:?} does not say {reason:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_refuses_what_its_root_did_not_sign() {
    refuses(Kind::Baileys7, Root::Builtin, "noise intermediate certificate signature invalid").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_7_refuses_another_root() {
    let reason = "noise intermediate certificate signature invalid";
    refuses(Kind::Baileys7, Root::Key(ANOTHER_KEY.to_owned()), reason).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_refuses_what_its_root_did_not_sign() {
    refuses(Kind::Whatsmeow, Root::Builtin, "failed to verify intermediate cert signature").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatsmeow_refuses_another_root() {
    let reason = "failed to verify intermediate cert signature";
    refuses(Kind::Whatsmeow, Root::Key(ANOTHER_KEY.to_owned()), reason).await;
}
