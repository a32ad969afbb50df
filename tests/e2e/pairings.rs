//! A witness of what a session says of itself: that it is paired once.
//!
//! Comes in: the watch of sessions. Goes out: the reasons of the condition `Ready`, in their order.

use std::pin::pin;
use std::sync::{Arc, Mutex};

use crds::WhatsAppSession;
use futures_util::TryStreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use system_tests::wait::eventually;
use tokio::task::JoinHandle;

use crate::kubernetes::NAMESPACE;
use crate::world::SESSION;

/// Reason of a session that waits for a phone.
const AWAITING: &str = "AwaitingPairing";

/// See the file's comment.
#[derive(Debug)]
pub(crate) struct Pairings {
    reasons: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Pairings {
    /// Sees all from now on.
    pub(crate) async fn watch(client: Client) -> Self {
        let sessions: Api<WhatsAppSession> = Api::namespaced(client, NAMESPACE);
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&reasons);
        let task = tokio::spawn(async move {
            let one = watcher::Config::default().fields(&format!("metadata.name={SESSION}"));
            let watch = watcher(sessions, one).default_backoff().applied_objects();
            let mut watch = pin!(watch);
            while let Ok(Some(session)) = watch.try_next().await {
                let mut notes = notes.lock().unwrap();
                if let Some(reason) = reason(&session).filter(|reason| notes.last() != Some(reason)) {
                    notes.push(reason);
                }
            }
        });
        let witness = Self { reasons, task };
        let waits = || witness.reasons.lock().unwrap().iter().any(|reason| reason == AWAITING);
        eventually("the session to wait for a phone", || async { waits().then_some(()) }).await;
        witness
    }

    /// Asserts that it never waited for a phone again.
    pub(crate) fn only_once(&self) {
        assert!(!self.task.is_finished(), "the watch goes on");
        let reasons = self.reasons.lock().unwrap();
        let times = reasons.iter().filter(|reason| *reason == AWAITING).count();
        assert_eq!(times, 1, "{reasons:?}");
    }
}

impl Drop for Pairings {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reason(session: &WhatsAppSession) -> Option<String> {
    let conditions = &session.status.as_ref()?.conditions;
    Some(conditions.iter().find(|condition| condition.type_ == "Ready")?.reason.clone())
}
