//! The task's own doing, with a real store that is made to fail from outside.

use rusqlite::Connection;
use session_api::Account;
use tempfile::TempDir;

use super::*;
use crate::session::state::{Effect, Signal, Transmission};
use crate::store::{FILE, Limits, Link, Queued, Write};
use crate::whatsapp::nowhere::nowhere;

struct Rig {
    runner: Runner,
    directory: TempDir,
}

impl Rig {
    /// A task that does not run, with these sends in its store.
    fn with_sends(ids: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), 0, Limits::default()).unwrap();
        let accept = |id: &&str| Write::Accept(draft(id));
        store.write(&ids.iter().map(accept).collect::<Vec<_>>(), now_ms()).unwrap();
        let metrics = Arc::new(Metrics::new());
        let engine = nowhere(directory.path(), &metrics);
        let setup = Setup {
            identity: Identity { session_id: "a".into(), session_uid: "u".into(), writer_epoch: 1 },
            store: Some(Arc::new(store)),
            data_dir: directory.path().to_owned(),
            min_free_bytes: 0,
            default_auto_reply: false,
            engine,
            metrics,
        };
        let (runner, _) = Runner::new(setup, &unwritable());
        Self { runner, directory }
    }

    /// Changes the store behind its back.
    fn sql(&self, sql: &str) {
        Connection::open(self.directory.path().join(FILE)).unwrap().execute_batch(sql).unwrap();
    }
}

fn draft(id: &str) -> Draft {
    Draft { id: id.into(), to: "1@s.whatsapp.net".into(), fingerprint: vec![1], message: vec![2] }
}

/// A state whose store takes nothing.
fn unwritable() -> State {
    let lost = reason("store_unwritable", "");
    let mut state = State::broken(lost.clone(), Link::Unpaired, now_ms());
    state.storage = Storage::Unwritable(lost);
    state
}

fn waiting(id: &str) -> Vec<Queued> {
    vec![Queued { id: id.into(), to: "1@s.whatsapp.net".into(), attempts: 0 }]
}

#[tokio::test]
async fn an_acknowledgement_that_could_not_be_stored_is_stored_before_the_queue_is_read_again() {
    let mut rig = Rig::with_sends(&["A", "B"]);
    rig.sql("CREATE TRIGGER no BEFORE UPDATE ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END");
    let (told, mut heard) = oneshot::channel();
    rig.runner.waiting.insert("A".into(), vec![told]);
    let me = Account { id: "1@s.whatsapp.net".into(), lid: None, name: None };
    let round = vec![
        Effect::Record(Write::Acked { id: "A".into() }),
        Effect::Write(Write::Link(Link::Paired { me })),
        Effect::Resolve { id: "A".into(), outcome: Outcome::Sent },
    ];
    let follow = rig.runner.perform(round).await;
    assert!(matches!(follow[..], [Input::StorageFailed(_)]), "{follow:?}");
    assert_eq!(heard.try_recv().unwrap(), Outcome::Sent, "WhatsApp has it");
    assert_eq!(rig.runner.perform(Vec::new()).await, [], "nobody presses a store that fails");
    let still = rig.runner.tick(&unwritable()).await;
    assert!(matches!(still[..], [Input::StorageFailed(_)]), "{still:?}");
    rig.sql("DROP TRIGGER no");
    let back = rig.runner.tick(&unwritable()).await;
    assert_eq!(back, [Input::StorageBack(waiting("B"))], "A does not go out again");
}

impl Rig {
    /// Hands these messages over and waits for how each went; says whether the store failed meanwhile.
    async fn transmitted(&mut self, connection: u64, ids: &[&str]) -> (Vec<(String, Transmission)>, bool) {
        let count = ids.len();
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let round = vec![
            Effect::StartEngine { generation: 1, proxy: None },
            Effect::Transmit { generation: 1, connection, ids, behind: false },
        ];
        assert_eq!(self.runner.perform(round).await, []);
        let (mut told, mut failed) = (Vec::new(), false);
        let heard = async {
            while told.len() < count {
                match self.runner.signals.recv().await {
                    Some(Input::StorageFailed(_)) => failed = told.is_empty(),
                    Some(Input::Engine { signal: Signal::Transmitted { id, result, .. }, .. }) => {
                        told.push((id, result));
                    }
                    other => assert!(other.is_some(), "the task hears itself"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), heard).await.expect("it is told");
        assert_eq!(self.runner.perform(vec![Effect::StopEngine(1)]).await, []);
        let ended = async {
            let last = |input: &Input| {
                matches!(input, Input::Engine { signal: Signal::Gone | Signal::Broken { .. }, .. })
            };
            while !last(&self.runner.signals.recv().await.unwrap()) {}
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the client ends");
        (told, failed)
    }
}

fn told(all: &[(&str, Transmission)]) -> Vec<(String, Transmission)> {
    all.iter().map(|(id, result)| ((*id).to_owned(), result.clone())).collect()
}

#[tokio::test]
async fn a_store_that_cannot_be_read_has_failed_and_its_messages_are_held() {
    let mut rig = Rig::with_sends(&["A", "B"]);
    rig.runner.line.store(1, Ordering::Release);
    rig.sql("ALTER TABLE outbox RENAME TO away");
    let held = told(&[("A", Transmission::Held), ("B", Transmission::Held)]);
    assert_eq!(rig.transmitted(1, &["A", "B"]).await, (held, true), "the failure comes first");
}

#[tokio::test]
async fn nothing_more_is_written_on_a_connection_that_is_gone() {
    let mut rig = Rig::with_sends(&["A", "B"]);
    rig.runner.line.store(2, Ordering::Release);
    // Whoever looks at the messages of the first connection finds no store.
    rig.sql("ALTER TABLE outbox RENAME TO away");
    let refused = told(&[("A", Transmission::Disconnected), ("B", Transmission::Held)]);
    assert_eq!(rig.transmitted(1, &["A", "B"]).await, (refused, false));
}

#[tokio::test]
async fn one_message_that_cannot_be_read_holds_up_no_other() {
    let mut rig = Rig::with_sends(&["A", "B"]);
    rig.runner.line.store(1, Ordering::Release);
    rig.sql("UPDATE outbox SET message = 'no bytes' WHERE id = 'A'");
    let (how, failed) = rig.transmitted(1, &["A", "B"]).await;
    assert_eq!((&how[0], failed), (&("A".to_owned(), Transmission::Unreadable), false));
    assert_ne!(how[1].1, Transmission::Held, "it is tried");
}
