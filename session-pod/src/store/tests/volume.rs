//! The volume that the store is on: another one, a damaged one, one that cannot be written.

use super::*;

#[test]
fn another_volume_than_the_known_one_is_told_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for _ in 0..2 {
        let error = Store::open(path, 1, Limits::default()).unwrap_err();
        assert!(matches!(error, StoreError::Lost { found: None, known: 1, .. }), "{error}");
        assert_eq!(error.reason().code, "volume_lost");
        assert_eq!(fs::read_dir(path).unwrap().count(), 0, "an empty volume stays empty");
    }
    drop(open(path));
    drop(open(path));
    for _ in 0..2 {
        let error = Store::open(path, 3, Limits::default()).unwrap_err();
        assert!(matches!(error, StoreError::Lost { found: Some(2), known: 3, .. }), "{error}");
    }
    let (_, opened) = Store::open(path, 2, Limits::default()).unwrap();
    assert_eq!(opened.writer_epoch, 3, "the known one is counted on");
}

#[test]
fn an_empty_file_is_another_volume_than_the_known_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE);
    fs::write(&file, b"").unwrap();
    for _ in 0..2 {
        let error = Store::open(directory.path(), 1, Limits::default()).unwrap_err();
        assert!(matches!(error, StoreError::Lost { found: Some(0), known: 1, .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"", "it stays as it is");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
    assert!(open(directory.path()).1.fresh, "nobody knows another one");
}

#[test]
fn a_volume_that_cannot_be_looked_at_is_not_taken_for_a_lost_one() {
    let directory = tempfile::tempdir().unwrap();
    let no_directory = directory.path().join("file");
    fs::write(&no_directory, b"").unwrap();
    let error = Store::open(&no_directory, 1, Limits::default()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert_eq!(error.reason().code, "store_unwritable");
}

#[test]
fn a_damaged_file_is_an_error_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    store.write(&[Write::Accept(draft("A", &"a".repeat(20_000)))], NOW).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    let file = directory.path().join(FILE);
    let sound = fs::read(&file).unwrap();
    for (from, to) in [(0, 100), (4_096, sound.len())] {
        let mut damaged = sound.clone();
        damaged[from..to].fill(0xa5);
        fs::write(&file, &damaged).unwrap();
        let error = Store::open(directory.path(), 0, Limits::default()).unwrap_err();
        assert_eq!(error.reason().code, "store_corrupt", "{error}");
        assert_eq!(fs::read(&file).unwrap(), damaged);
    }
}

#[test]
fn a_store_that_cannot_be_written_says_so() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let error = Store::open_with(directory.path(), 0, Limits::default(), flags).unwrap_err();
    assert_eq!(error.reason().code, "store_unwritable", "{error}");
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn a_newer_store_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    store.lock().execute_batch("PRAGMA user_version = 99").unwrap();
    drop(store);
    let error = Store::open(directory.path(), 0, Limits::default()).unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 99, .. }), "{error}");
}

#[test]
fn credentials_are_looked_at_from_outside_and_wiped_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(WHATSAPP_FILE);
    let look = || Credentials::look(directory.path());
    assert_eq!(look().unwrap(), Credentials::Absent);
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("CREATE TABLE device (pn TEXT NOT NULL, account BLOB)").unwrap();
    connection.execute_batch("INSERT INTO device VALUES ('', NULL)").unwrap();
    assert_eq!(look().unwrap(), Credentials::Absent, "made, never paired");
    connection.execute_batch("UPDATE device SET pn = '1@s.whatsapp.net', account = x'00'").unwrap();
    assert_eq!(look().unwrap(), Credentials::Present);
    drop(connection);
    fs::write(directory.path().join("whatsapp.db-wal"), "left over").unwrap();
    wipe(directory.path()).unwrap();
    wipe(directory.path()).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    fs::write(&file, "this is no database, and long enough to be looked at as one").unwrap();
    assert_eq!(look().unwrap_err().reason().code, "store_corrupt");
}

#[test]
fn what_others_could_read_is_closed() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let files = [FILE, "session.db-wal", WHATSAPP_FILE].map(|name| directory.path().join(name));
    for file in &files {
        fs::write(file, "secret").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o664)).unwrap();
    }
    keep_private(directory.path());
    for file in files {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn a_store_knows_whose_it_was_when_another_session_takes_it_up() {
    let directory = tempfile::tempdir().unwrap();
    for (uid, before) in
        [("first", None), ("first", Some("first")), ("second", Some("first")), ("second", Some("second"))]
    {
        let (store, opened) = open(directory.path());
        assert_eq!(opened.session_uid.as_deref(), before, "{uid}");
        store.write(&[Write::Session(uid.into())], NOW).unwrap();
    }
}
