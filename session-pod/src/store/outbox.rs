//! The outbox: every accepted send with its id, until WhatsApp has taken it, and what became of it afterwards.

use rusqlite::{Connection, OptionalExtension, Row, params};
use session_api::{EventData, MessageId, MessageStatus, Reason};

use super::meta::{from_json, to_json};
use super::{Store, StoreError, Written, events};

/// A send that is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Its id on WhatsApp, fixed from here on.
    pub id: String,
    /// Who gets it, a JID.
    pub to: String,
    /// Digest of what was asked for, to tell a repetition from another message.
    pub fingerprint: Vec<u8>,
    /// The encoded message.
    pub message: Vec<u8>,
}

/// A send that waits, as the queue needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    /// Its id.
    pub id: String,
    /// Who gets it.
    pub to: String,
    /// Failed tries so far.
    pub attempts: u32,
}

/// How far a send has come. The order is the order of things; a message never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// Given up.
    Error = -1,
    /// Waits.
    Queued = 0,
    /// WhatsApp's server has it.
    ServerAck = 1,
    /// A device of the recipient has it.
    Delivered = 2,
    /// It was read.
    Read = 3,
    /// It was played.
    Played = 4,
}

impl Progress {
    fn from_column(value: i64) -> Self {
        match value {
            0 => Self::Queued,
            1 => Self::ServerAck,
            2 => Self::Delivered,
            3 => Self::Read,
            4 => Self::Played,
            _ => Self::Error,
        }
    }

    /// Its name in a `message_status` event.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Queued => "PENDING",
            Self::ServerAck => "SERVER_ACK",
            Self::Delivered => "DELIVERY_ACK",
            Self::Read => "READ",
            Self::Played => "PLAYED",
        }
    }
}

/// A send and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    /// Its id.
    pub id: String,
    /// Who gets it.
    pub to: String,
    /// Digest of what was asked for.
    pub fingerprint: Vec<u8>,
    /// How far it has come.
    pub progress: Progress,
    /// Why it was given up.
    pub reason: Option<Reason>,
}

impl Store {
    /// The send with this id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn outgoing(&self, id: &str) -> Result<Option<OutboxRow>, StoreError> {
        self.read("read the outbox", |connection| find(connection, id))
    }

    /// Recipient and encoded message of a send.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn message(&self, id: &str) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        self.read("read the outbox", |connection| {
            connection
                .prepare_cached("SELECT recipient, message FROM outbox WHERE id = ?1")?
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
    }

    /// Who was written to since then, when last, and the id of that send.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn written_to_since(&self, since: u64) -> Result<Vec<(String, u64, String)>, StoreError> {
        self.read("read the outbox", |connection| {
            connection
                // Beside max(), a bare column is that of the row with the greatest value. Source: SQLite, lang_select, 2.5.
                .prepare_cached("SELECT recipient, max(accepted_at), id FROM outbox WHERE accepted_at >= ?1 GROUP BY recipient")?
                .query_map([since], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect()
        })
    }

    /// Sends that wait, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn queued(&self) -> Result<Vec<Queued>, StoreError> {
        self.read("read the outbox", queued)
    }
}

pub(super) fn queued(connection: &Connection) -> rusqlite::Result<Vec<Queued>> {
    connection
        .prepare_cached("SELECT id, recipient, attempts FROM outbox WHERE progress = 0 ORDER BY n")?
        .query_map([], |row| Ok(Queued { id: row.get(0)?, to: row.get(1)?, attempts: row.get(2)? }))?
        .collect()
}

/// Takes a send unless its id is known.
pub(super) fn accept(tx: &Connection, draft: &Draft, now: u64) -> rusqlite::Result<Written> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO outbox (id, recipient, fingerprint, message, accepted_at) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![draft.id, draft.to, draft.fingerprint, draft.message, now])?;
    if inserted == 1 {
        return Ok(Written::Accepted);
    }
    find(tx, &draft.id)?.map(Written::Known).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

fn find(connection: &Connection, id: &str) -> rusqlite::Result<Option<OutboxRow>> {
    connection
        .prepare_cached("SELECT id, recipient, fingerprint, progress, reason FROM outbox WHERE id = ?1")?
        .query_row([id], row)
        .optional()
}

fn row(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    let reason: Option<String> = row.get(4)?;
    Ok(OutboxRow {
        id: row.get(0)?,
        to: row.get(1)?,
        fingerprint: row.get(2)?,
        progress: Progress::from_column(row.get(3)?),
        reason: reason.map(|text| from_json(&text)).transpose()?,
    })
}

/// Moves messages forward, never back, each with an event. Ids that are not ours are passed over.
pub(super) fn progress(
    tx: &Connection,
    ids: &[String],
    progress: Progress,
    now: u64,
) -> rusqlite::Result<()> {
    for id in ids {
        let to: Option<String> = tx
            .prepare_cached(
                "UPDATE outbox SET progress = ?2, settled_at = ?3 \
                 WHERE id = ?1 AND progress >= 0 AND progress < ?2 RETURNING recipient",
            )?
            .query_row(params![id, progress as i64, now], |row| row.get(0))
            .optional()?;
        if let Some(to) = to {
            status_event(tx, status(id, to, progress, None), now)?;
        }
    }
    Ok(())
}

/// Gives a waiting message up.
pub(super) fn fail(tx: &Connection, id: &str, reason: &Reason, now: u64) -> rusqlite::Result<()> {
    let to: Option<String> = tx
        .prepare_cached(
            "UPDATE outbox SET progress = -1, settled_at = ?2, reason = ?3 \
             WHERE id = ?1 AND progress = 0 RETURNING recipient",
        )?
        .query_row(params![id, now, to_json(reason)?], |row| row.get(0))
        .optional()?;
    match to {
        Some(to) => status_event(tx, status(id, to, Progress::Error, Some(reason.clone())), now),
        None => Ok(()),
    }
}

pub(super) fn fail_all(tx: &Connection, reason: &Reason, now: u64) -> rusqlite::Result<()> {
    queued(tx)?.iter().try_for_each(|entry| fail(tx, &entry.id, reason, now))
}

pub(super) fn attempts(tx: &Connection, id: &str, attempts: u32) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE outbox SET attempts = ?2 WHERE id = ?1")?
        .execute(params![id, attempts])
        .map(|_| ())
}

fn status_event(tx: &Connection, status: Option<MessageStatus>, now: u64) -> rusqlite::Result<()> {
    status.map_or(Ok(()), |status| events::append(tx, &EventData::MessageStatus(status), now))
}

/// None for an id that is no message id; there is none such in the table.
fn status(id: &str, to: String, progress: Progress, reason: Option<Reason>) -> Option<MessageStatus> {
    let message_id = MessageId::try_from(id.to_owned()).ok()?;
    Some(MessageStatus { to, message_id, status: progress.name().to_owned(), reason })
}
