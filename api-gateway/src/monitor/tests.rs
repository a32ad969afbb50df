//! What is believed of what processes say.

use std::path::Path;

use session_api::SessionStatus;

use super::*;
use crate::directory::local::store::Store;
use crate::directory::local::{LocalDirectory, LocalSettings};

fn monitor(folder: &Path) -> Arc<Monitor> {
    let settings = LocalSettings {
        program: folder.join("none"),
        environment: Vec::new(),
        auto_reply: false,
        max_sessions: 1,
        token_key: [0; 32],
        on_exit: Arc::new(|| ()),
    };
    let directory = LocalDirectory::open(Store::open(folder).unwrap(), settings).unwrap();
    Monitor::new(Arc::new(directory), PodClient::new().unwrap()).0
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
