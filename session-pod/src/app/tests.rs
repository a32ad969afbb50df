//! What a process begins with, from a real store.

use std::path::Path;

use super::*;

fn config(directory: &Path, session_uid: &str) -> Config {
    let flags = [
        ("--session-id", "alice"),
        ("--session-uid", session_uid),
        ("--data-dir", directory.to_str().unwrap()),
        ("--token", "0123456789abcdef"),
        ("--whatsapp-url", "ws://127.0.0.1:9/ws/chat"),
    ];
    let flags = flags.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]);
    config::parse(std::iter::once("session-pod".into()).chain(flags)).unwrap()
}

/// Opens the session's store and says which configuration is in force.
fn begins(directory: &Path, session_uid: &str, given: &str) -> Option<String> {
    let given = ConfigPush { hash: given.into(), ..ConfigPush::default() };
    open(&config(directory, session_uid), Some(given)).state.config_hash
}

fn execute(directory: &Path, statement: &str) {
    rusqlite::Connection::open(directory.join(store::FILE)).unwrap().execute_batch(statement).unwrap();
}

#[test]
fn a_new_sessions_file_that_was_not_kept_wins_over_the_former_ones_the_next_time_too() {
    let directory = tempfile::tempdir().unwrap();
    let begins = |session_uid, given| begins(directory.path(), session_uid, given).unwrap();
    assert_eq!(begins("former", "a"), "a");
    assert_eq!(begins("former", "b"), "b");
    assert_eq!(begins("former", "a"), "b", "the file lags behind");
    let full = "CREATE TRIGGER full BEFORE UPDATE ON meta WHEN NEW.key = 'config'
                BEGIN SELECT RAISE(ABORT, 'no room'); END";
    execute(directory.path(), full);
    assert_eq!(begins("new", "a"), "a", "it is in force and was not kept");
    execute(directory.path(), "DROP TRIGGER full");
    assert_eq!(begins("new", "a"), "a", "nothing of the former session's comes back");
    assert_eq!(begins("new", "c"), "c");
    assert_eq!(begins("new", "a"), "c", "it is this session's store now");
}
