//! The tables of `session.db`, and the settings of its connection. Refuses a damaged file or a newer schema before anything is written.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, during};

/// Version of the schema below, kept in `PRAGMA user_version`.
const VERSION: i64 = 1;

/// How long to wait for a lock of the other connection.
const BUSY: Duration = Duration::from_secs(10);

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    message BLOB NOT NULL,
    progress INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    accepted_at INTEGER NOT NULL,
    settled_at INTEGER
);
CREATE INDEX outbox_queued ON outbox (n) WHERE progress = 0;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    ts INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE inbound (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    chat TEXT NOT NULL,
    sender TEXT NOT NULL,
    id TEXT NOT NULL,
    message BLOB NOT NULL,
    UNIQUE (chat, sender, id)
);
CREATE INDEX inbound_id ON inbound (id);
";

/// Settings, checks and tables of a connection that was just opened. A file without tables is another one than `known`
/// processes have opened.
pub(super) fn prepare(connection: &mut Connection, file: &Path, known: u64) -> Result<(), StoreError> {
    let failed = during("prepare the file", file);
    connection.busy_timeout(BUSY).map_err(&failed)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&failed)?;
    if found > VERSION {
        return Err(StoreError::TooNew { file: file.to_owned(), found, known: VERSION });
    }
    if found == 0 && known > 0 {
        return Err(StoreError::Lost { file: file.to_owned(), found: Some(0), known });
    }
    settings(connection).map_err(&failed)?;
    quick_check(connection, file)?;
    if found == 0 {
        let tx = connection.transaction().map_err(&failed)?;
        tx.execute_batch(TABLES).map_err(&failed)?;
        tx.pragma_update(None, "user_version", VERSION).map_err(&failed)?;
        tx.commit().map_err(&failed)?;
    }
    Ok(())
}

/// A connection that only reads.
pub(super) fn reader(file: &Path) -> Result<Connection, StoreError> {
    let failed = during("open the file to read", file);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(&failed)?;
    connection.busy_timeout(BUSY).map_err(&failed)?;
    connection.execute_batch("PRAGMA cache_size = -128; PRAGMA temp_store = MEMORY;").map_err(&failed)?;
    Ok(connection)
}

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -256; \
         PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 8388608;",
    )
}

/// SQLite's own check of the whole file.
pub(super) fn quick_check(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(during("check the file", file))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Corrupt { file: file.to_owned(), detail: verdict }) }
}
