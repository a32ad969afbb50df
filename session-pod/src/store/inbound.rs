//! Messages that came in: each becomes an event exactly once, is remembered for quoting, and may bring an automatic answer,
//! all in one transaction, before WhatsApp is told that we have it.

use rusqlite::{Connection, OptionalExtension, params};
use session_api::EventData;

use super::{Draft, MAX_QUEUED, Store, StoreError, Written, events, outbox};

/// A message as it came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inbound {
    /// Chat, as WhatsApp addresses it; with `sender` and `id` it names the message.
    pub chat: String,
    /// Sender, as WhatsApp addresses it, without a device.
    pub sender: String,
    /// The message's id.
    pub id: String,
    /// The encoded message.
    pub message: Vec<u8>,
    /// The event that it becomes.
    pub event: EventData,
    /// An answer that is to be sent.
    pub reply: Option<Draft>,
}

/// A message that can be quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// Who wrote it, as WhatsApp addresses them; none for the session's own.
    pub sender: Option<String>,
    /// The chat, as WhatsApp addresses it.
    pub chat: String,
    /// The encoded message.
    pub message: Vec<u8>,
}

impl Store {
    /// Commits what came in. Messages that are known already are passed over. Returns the answers that now wait in the outbox.
    ///
    /// # Errors
    /// Nothing was stored: WhatsApp must not be told that we have them.
    pub(crate) fn receive(&self, batch: &[Inbound], now: u64) -> Result<Vec<Draft>, StoreError> {
        self.logging("store a message", |tx| {
            let mut replies = Vec::new();
            for inbound in batch {
                replies.extend(receive_one(tx, inbound, now)?);
            }
            Ok(replies)
        })
    }

    /// The newest remembered message with this id, own or not.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn remembered(&self, id: &str) -> Result<Option<Remembered>, StoreError> {
        self.read("look a message up", |connection| {
            let theirs = connection
                .prepare_cached(
                    "SELECT sender, chat, message FROM inbound WHERE id = ?1 ORDER BY n DESC LIMIT 1",
                )?
                .query_row([id], |row| {
                    Ok(Remembered { sender: Some(row.get(0)?), chat: row.get(1)?, message: row.get(2)? })
                })
                .optional()?;
            if theirs.is_some() {
                return Ok(theirs);
            }
            connection
                .prepare_cached("SELECT recipient, message FROM outbox WHERE id = ?1")?
                .query_row([id], |row| {
                    Ok(Remembered { sender: None, chat: row.get(0)?, message: row.get(1)? })
                })
                .optional()
        })
    }
}

fn receive_one(tx: &Connection, inbound: &Inbound, now: u64) -> rusqlite::Result<Option<Draft>> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO inbound (chat, sender, id, message) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (chat, sender, id) DO NOTHING",
        )?
        .execute(params![inbound.chat, inbound.sender, inbound.id, inbound.message])?;
    if inserted == 0 {
        return Ok(None);
    }
    events::append(tx, &inbound.event, now)?;
    let Some(reply) = &inbound.reply else { return Ok(None) };
    let waiting: u64 =
        tx.query_row("SELECT count(*) FROM outbox WHERE progress = 0", [], |row| row.get(0))?;
    if waiting >= MAX_QUEUED {
        return Ok(None);
    }
    Ok((outbox::accept(tx, reply, now)? == Written::Accepted).then(|| reply.clone()))
}
