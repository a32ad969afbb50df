//! What is believed of what processes say.

use std::collections::BTreeMap;
use std::path::Path;

use session_api::SessionStatus;

use super::*;
use crate::directory::Runtime;
use crate::directory::local::store::Store;
use crate::directory::local::{LocalDirectory, LocalSettings};

fn monitor(folder: &Path) -> Arc<Monitor> {
    with_listener(folder).0
}

fn with_listener(folder: &Path) -> (Arc<Monitor>, mpsc::Receiver<Told>) {
    let settings = LocalSettings {
        program: folder.join("none"),
        environment: Vec::new(),
        auto_reply: false,
        max_sessions: 1,
        token_key: [0; 32],
        on_exit: Arc::new(|| ()),
    };
    let directory = LocalDirectory::open(Store::open(folder).unwrap(), settings).unwrap();
    Monitor::new(Arc::new(directory), PodClient::new().unwrap())
}

fn record(runtime: Runtime) -> SessionRecord {
    let (id, owner) = ("shop".parse().unwrap(), "admin".to_owned());
    SessionRecord {
        id,
        uid: "uid".to_owned(),
        owner,
        label: None,
        webhook: None,
        created_at: None,
        runtime,
        labels: BTreeMap::new(),
    }
}

/// What was told, in short.
fn heard_by(listener: &mut mpsc::Receiver<Told>) -> Vec<String> {
    let told = std::iter::from_fn(|| listener.try_recv().ok());
    told.map(|told| match told.news {
        News::Status { before, now } => format!("{before} -> {}", now.status),
        News::Event(_) => "event".to_owned(),
        News::Deleted => "deleted".to_owned(),
    })
    .collect()
}

fn status(writer_epoch: u64, revision: u64, last_event: u64) -> SessionStatus {
    SessionStatus {
        revision,
        session_id: "shop".to_owned(),
        session_uid: "uid".to_owned(),
        writer_epoch,
        state: SessionState::Open,
        since: 0,
        reason: None,
        paired: true,
        me: None,
        outbox_depth: 0,
        last_event,
        config_hash: None,
        version: "0".to_owned(),
    }
}

impl Monitor {
    fn moment(&self) -> (u64, u64, Option<u64>) {
        let status = self.heard("uid").unwrap().status;
        (status.writer_epoch, status.revision, self.known()["uid"].cursor)
    }
}

#[tokio::test]
async fn an_answer_that_was_overtaken_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (monitor, id) = (monitor(folder.path()), "shop".parse().unwrap());
    monitor.hear(&id, status(2, 5, 40)).await;
    for (epoch, revision, expected) in [(2, 4, (2, 5)), (1, 9, (2, 5)), (2, 6, (2, 6)), (3, 1, (3, 1))] {
        monitor.hear(&id, status(epoch, revision, 41)).await;
        assert_eq!(
            monitor.moment(),
            (expected.0, expected.1, Some(40)),
            "the stream moves the cursor, not this"
        );
    }
}

#[tokio::test]
async fn a_wiped_session_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (monitor, id) = (monitor(folder.path()), "shop".parse().unwrap());
    monitor.hear(&id, status(7, 5, 40)).await;
    monitor.silent("uid");
    monitor.hear(&id, status(1, 1, 0)).await;
    monitor.align_cursor("uid");
    assert_eq!(monitor.moment(), (1, 1, Some(0)));
    monitor.silent("uid");
    monitor.hear(&id, status(2, 1, 3)).await;
    monitor.align_cursor("uid");
    assert_eq!(monitor.moment(), (2, 1, Some(0)), "nothing that was not told is passed over");
}

#[tokio::test]
async fn a_pairing_code_is_kept_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (monitor, id) = (monitor(folder.path()), "shop".parse().unwrap());
    let code = |expires_at| PairingCode { code: "ABCD1234".to_owned(), expires_at };
    monitor.keep_pairing_code("uid", code(1));
    assert!(monitor.pairing_code("uid").is_none(), "it has expired");
    monitor.keep_pairing_code("uid", code(u64::MAX));
    assert!(monitor.pairing_code("uid").is_some());
    monitor.hear(&id, status(1, 1, 0)).await;
    assert!(monitor.pairing_code("uid").is_none(), "the session is open");
}

#[tokio::test]
async fn a_deletion_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (monitor, mut listener) = with_listener(folder.path());
    monitor.publish(&record(Runtime::Starting { since: 0, reason: None })).await;
    monitor.part("uid");
    monitor.publish(&record(Runtime::Stopped { since: 1 })).await;
    monitor.forget_others(&[]).await;
    assert_eq!(heard_by(&mut listener), ["deleted"]);
}

#[tokio::test]
async fn a_deletion_that_failed_or_was_undone_silences_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (monitor, mut listener) = with_listener(folder.path());
    let (starting, stopped) = (Runtime::Starting { since: 0, reason: None }, Runtime::Stopped { since: 1 });
    monitor.publish(&record(starting.clone())).await;
    monitor.part("uid");
    monitor.publish(&record(stopped.clone())).await;
    monitor.stay(&record(stopped.clone())).await;
    assert_eq!(heard_by(&mut listener), ["starting -> suspended"], "the disk refused");
    monitor.part("uid");
    monitor.publish(&record(starting)).await;
    monitor.publish(&record(stopped)).await;
    assert_eq!(
        heard_by(&mut listener),
        ["suspended -> starting", "starting -> suspended"],
        "made again at once"
    );
}
