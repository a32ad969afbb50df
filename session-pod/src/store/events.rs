//! The event log: what happened, in order, to be read again from any place that is still kept.

use rusqlite::{Connection, OptionalExtension, params};
use session_api::{Event, EventData};

use super::meta::{from_json, to_json};
use super::{Store, StoreError};

/// A part of the log, and where the log begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Excerpt {
    /// The events, oldest first.
    pub items: Vec<Event>,
    /// Number of the oldest event that is kept; of the next one if none is.
    pub oldest: u64,
}

impl Store {
    /// Events after `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn events(&self, after: u64, limit: usize) -> Result<Excerpt, StoreError> {
        self.read("read the log", |connection| {
            let items = connection
                .prepare_cached("SELECT seq, ts, body FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?
                .query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                    let body: String = row.get(2)?;
                    Ok(Event { seq: Some(row.get(0)?), ts: row.get(1)?, data: from_json(&body)? })
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Excerpt { items, oldest: oldest(connection)? })
        })
    }
}

fn oldest(connection: &Connection) -> rusqlite::Result<u64> {
    let kept: Option<u64> = connection.query_row("SELECT min(seq) FROM events", [], |row| row.get(0))?;
    kept.map_or_else(|| newest(connection).map(|newest| newest + 1), Ok)
}

pub(super) fn append(tx: &Connection, data: &EventData, now: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO events (ts, body) VALUES (?1, ?2)")?
        .execute(params![now, to_json(data)?])
        .map(|_| ())
}

/// Number of the newest event that ever was, kept or not; 0 before the first.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    let newest: Option<u64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'events'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(newest.unwrap_or(0))
}
