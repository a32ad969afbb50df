//! The store on a real file: what is durable, what is told apart, what is kept.

mod volume;

use std::fs;

use session_api::{Account, Event, MessageStatus, ProxyUrl, SessionPolicy, Webhook};

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn open(directory: &Path) -> (Store, Opened) {
    Store::open(directory, 0, Limits::default()).unwrap()
}

fn draft(id: &str, content: &str) -> Draft {
    Draft {
        id: id.into(),
        to: "628123456789@s.whatsapp.net".into(),
        fingerprint: content.as_bytes().to_vec(),
        message: content.as_bytes().to_vec(),
    }
}

fn why(code: &str) -> Reason {
    Reason { code: code.into(), message: code.into() }
}

fn inbound(id: &str, reply: Option<Draft>) -> Inbound {
    let link = Link::Unpaired;
    assert_eq!(link.account(), None);
    Inbound {
        chat: "9@lid".into(),
        sender: "9@lid".into(),
        id: id.into(),
        message: b"encoded".to_vec(),
        event: EventData::SessionOpen { me: Account { id: id.into(), lid: None, name: None } },
        reply,
    }
}

fn statuses(store: &Store) -> Vec<(String, String)> {
    let one = |event: Event| {
        let EventData::MessageStatus(MessageStatus { message_id, status, .. }) = event.data else {
            return None;
        };
        Some((message_id.to_string(), status))
    };
    store.events(0, 1_000).unwrap().items.into_iter().filter_map(one).collect()
}

#[test]
fn settings_are_the_durable_ones() {
    let directory = tempfile::tempdir().unwrap();
    let (store, opened) = open(directory.path());
    assert!(opened.fresh);
    let pragma = |name: &str| -> String {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        format!("{:?}", store.lock().query_row(&format!("PRAGMA {name}"), [], read).unwrap())
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("synchronous"), "Integer(2)", "FULL");
    let version: String = store.lock().query_row("SELECT sqlite_version()", [], |row| row.get(0)).unwrap();
    let number: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(number >= vec![3, 51, 3], "{version} has the WAL-reset race");
}

#[test]
fn each_process_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    for epoch in 1..4 {
        let (_, opened) = open(directory.path());
        assert_eq!((opened.writer_epoch, opened.fresh), (epoch, epoch == 1));
    }
}

#[test]
fn what_was_committed_is_there_for_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let me = Account { id: "1@s.whatsapp.net".into(), lid: None, name: Some("n".into()) };
    let push = ConfigPush {
        hash: "h".into(),
        policy: SessionPolicy { pace_ms: Some(5), auto_reply: Some(true), ..SessionPolicy::default() },
        webhooks: vec![Webhook { url: "https://x".into(), secret: Some("key".into()) }],
        proxy: Some(ProxyUrl("http://p".into())),
    };
    let writes = [
        Write::Accept(draft("A", "a")),
        Write::Accept(draft("B", "b")),
        Write::Accept(draft("C", "c")),
        Write::Attempts { id: "B".into(), attempts: 3 },
        Write::Acked { id: "A".into() },
        Write::Link(Link::Paired { me: me.clone() }),
        Write::Config(push.clone()),
    ];
    store.write(&writes, NOW).unwrap();
    store.write(&[Write::Accept(draft("D", "d"))], NOW + 1).unwrap();
    // No clean shutdown: the file as a crash leaves it.
    std::mem::forget(store);
    let (next, opened) = open(directory.path());
    let to = draft("A", "").to;
    assert_eq!(next.written_to_since(NOW).unwrap(), [(to, NOW + 1, "D".to_owned())]);
    assert_eq!(next.written_to_since(NOW + 2).unwrap(), []);
    let waiting: Vec<(&str, u32)> = opened.queued.iter().map(|q| (q.id.as_str(), q.attempts)).collect();
    assert_eq!(waiting, [("B", 3), ("C", 0), ("D", 0)]);
    assert_eq!(opened.link, Link::Paired { me });
    assert_eq!(opened.config, Kept { last: Some(push), taken_in: 1, former: Vec::new() });
}

#[test]
fn a_configuration_of_the_first_version_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let former = r#"["h",{"paceMs":5}]"#;
    store.transaction("write", |tx| meta::set(tx, "config", former)).unwrap();
    drop(store);
    let policy = SessionPolicy { pace_ms: Some(5), ..SessionPolicy::default() };
    let last = Some(ConfigPush { hash: "h".into(), policy, ..ConfigPush::default() });
    let kept = open(directory.path()).1.config;
    assert_eq!(kept, Kept { last, taken_in: 1, former: Vec::new() }, "at the latest by the process before");
}

#[test]
fn a_known_id_is_told_with_what_became_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let accept = || store.write(&[Write::Accept(draft("A", "a"))], NOW).unwrap().remove(0);
    assert_eq!(accept(), Written::Accepted);
    let Written::Known(row) = accept() else { panic!("taken twice") };
    assert_eq!((row.progress, row.fingerprint.as_slice()), (Progress::Queued, b"a".as_slice()));
    store.write(&[Write::Failed { id: "A".into(), reason: why("nack_479") }], NOW).unwrap();
    let row = store.outgoing("A").unwrap().unwrap();
    assert_eq!((row.progress, row.reason.unwrap().code.as_str()), (Progress::Error, "nack_479"));
    assert_eq!(store.queued().unwrap(), []);
}

#[test]
fn a_message_only_ever_comes_further() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    store.write(&[Write::Accept(draft("A", "a"))], NOW).unwrap();
    let progress = |progress| Write::Progress { ids: vec!["A".into(), "not ours".into()], progress };
    for write in [
        progress(Progress::Delivered),
        Write::Acked { id: "A".into() },
        progress(Progress::Delivered),
        progress(Progress::Read),
        progress(Progress::Delivered),
        Write::Failed { id: "A".into(), reason: why("late") },
        progress(Progress::Played),
    ] {
        store.write(&[write], NOW).unwrap();
    }
    let expected = ["DELIVERY_ACK", "READ", "PLAYED"].map(|status| ("A".to_owned(), status.to_owned()));
    assert_eq!(statuses(&store), expected);
}

#[test]
fn giving_everything_up_leaves_an_event_for_each() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let writes =
        [Write::Accept(draft("A", "a")), Write::Accept(draft("B", "b")), Write::Acked { id: "A".into() }];
    store.write(&writes, NOW).unwrap();
    store.write(&[Write::FailedAll { reason: why("logged_out") }], NOW).unwrap();
    let expected =
        [("A", "SERVER_ACK"), ("B", "ERROR")].map(|(id, status)| (id.to_owned(), status.to_owned()));
    assert_eq!(statuses(&store), expected);
}

#[test]
fn an_inbound_message_is_an_event_once_however_often_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let mut newest = store.newest();
    let reply = draft("PONG", "pong");
    let batch = [inbound("1", Some(reply.clone())), inbound("2", None)];
    assert_eq!(store.receive(&batch, NOW).unwrap(), [reply]);
    assert!(newest.has_changed().unwrap());
    assert_eq!(*newest.borrow_and_update(), 2);
    drop(store);
    let (store, opened) = open(directory.path());
    assert_eq!(opened.queued.len(), 1, "the answer waits");
    assert_eq!(
        store.receive(&batch, NOW).unwrap(),
        [],
        "no second answer after a crash before WhatsApp was told"
    );
    assert_eq!(store.events(0, 10).unwrap().items.len(), 2);
    let elsewhere = Inbound { chat: "other@g.us".into(), ..inbound("1", None) };
    store.receive(&[elsewhere], NOW).unwrap();
    assert_eq!(store.events(0, 10).unwrap().items.len(), 3, "ids are unique within a chat only");
}

#[test]
fn a_batch_that_fails_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON events WHEN (SELECT count(*) FROM events) > 0 \
                  BEGIN SELECT RAISE(ABORT, 'no'); END";
    store.lock().execute_batch(refuse).unwrap();
    assert!(store.receive(&[inbound("1", None), inbound("2", None)], NOW).is_err());
    let excerpt = store.events(0, 10).unwrap();
    assert_eq!((excerpt.items, excerpt.oldest), (Vec::new(), 1));
    assert_eq!(store.remembered("1").unwrap(), None);
}

#[test]
fn what_is_read_together_is_of_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let read = || {
        store.read("read the log", |connection| {
            let before = events::newest(connection)?;
            store.receive(&[inbound(&before.to_string(), None)], NOW).unwrap();
            Ok((before, events::newest(connection)?))
        })
    };
    assert_eq!(
        [read().unwrap(), read().unwrap()],
        [(0, 0), (1, 1)],
        "a write in between is seen by the next"
    );
}

#[test]
fn both_sides_messages_can_be_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    store.receive(&[inbound("THEIRS", None)], NOW).unwrap();
    store.write(&[Write::Accept(draft("OURS", "a"))], NOW).unwrap();
    assert_eq!(store.remembered("THEIRS").unwrap().unwrap().sender.as_deref(), Some("9@lid"));
    assert_eq!(store.remembered("OURS").unwrap().unwrap().sender, None);
    assert_eq!(store.remembered("NOBODYS").unwrap(), None);
}

#[test]
fn everything_is_bounded_but_what_waits() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { events: 3, inbound: 2, settled: 1, settled_ms: 1_000, ..Limits::default() };
    let (store, _) = Store::open(directory.path(), 0, limits).unwrap();
    for n in 0..5 {
        store.receive(&[inbound(&n.to_string(), None)], NOW).unwrap();
        store
            .write(
                &[Write::Accept(draft(&format!("W{n}"), "w")), Write::Accept(draft(&format!("S{n}"), "s"))],
                NOW,
            )
            .unwrap();
        store.write(&[Write::Acked { id: format!("S{n}") }], NOW).unwrap();
    }
    store.prune(NOW).unwrap();
    assert_eq!(
        store.events(0, 100).unwrap().items.iter().map(|e| e.seq.unwrap()).collect::<Vec<_>>(),
        [8, 9, 10]
    );
    assert_eq!(store.events(9, 100).unwrap().oldest, 8);
    assert_eq!(store.queued().unwrap().len(), 5);
    assert_eq!(store.outgoing("S3").unwrap(), None);
    assert!(store.outgoing("S4").unwrap().is_some());
    assert_eq!(store.remembered("2").unwrap(), None);
    assert!(store.remembered("3").unwrap().is_some());
    store.prune(NOW + 1_001).unwrap();
    assert_eq!(store.outgoing("S4").unwrap(), None);
    assert_eq!(events::newest(&store.lock()).unwrap(), 10, "numbers are never used twice");
}

#[test]
fn bytes_are_bounded_too() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { inbound_bytes: 20, ..Limits::default() };
    let (store, _) = Store::open(directory.path(), 0, limits).unwrap();
    for n in 0..5 {
        store.receive(&[inbound(&n.to_string(), None)], NOW).unwrap();
    }
    store.prune(NOW).unwrap();
    let kept = (0..5).filter(|n| store.remembered(&n.to_string()).unwrap().is_some()).count();
    assert_eq!(kept, 2, "two of seven bytes each");
}

#[test]
fn configurations_that_were_in_force_are_known_again() {
    let directory = tempfile::tempdir().unwrap();
    let (store, opened) = open(directory.path());
    assert_eq!(opened.config, Kept::default());
    let push = |hash: &str| ConfigPush { hash: hash.into(), ..ConfigPush::default() };
    let config = |hash: &str| Write::Config(push(hash));
    store.write(&[config("a"), config("b"), config("b"), config("a"), config("c")], NOW).unwrap();
    drop(store);
    let (store, opened) = open(directory.path());
    let former = vec!["a".into(), "b".into()];
    assert_eq!(opened.config, Kept { last: Some(push("c")), taken_in: 1, former });
    let many: Vec<Write> = (0..200).map(|n| config(&n.to_string())).collect();
    store.write(&many, NOW).unwrap();
    drop(store);
    let Kept { taken_in, former, .. } = open(directory.path()).1.config;
    assert_eq!((taken_in, former.len(), former[0].as_str()), (2, 64, "198"));
}
