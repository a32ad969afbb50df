//! The session's own SQLite file, `session.db`: outbox, event log, remembered messages, what it is linked to, configuration.
//!
//! Comes in: [`Write`]s, committed together or not at all, on disk when the call returns. Goes out: rows.
//! It must not know WhatsApp's protocol or HTTP; calls block, so call it from blocking threads.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

mod credentials;
mod error;
mod events;
mod inbound;
mod meta;
mod outbox;
mod private;
mod retention;
mod schema;

pub(crate) use credentials::{Credentials, WHATSAPP_FILE, wipe};
pub(crate) use error::StoreError;
use error::during;
pub(crate) use events::Excerpt;
pub(crate) use inbound::{Inbound, Remembered};
pub(crate) use meta::Link;
pub(crate) use outbox::{Draft, OutboxRow, Progress, Queued};
pub(crate) use private::keep_private;
pub(crate) use retention::Limits;

use session_api::{ConfigPush, EventData, Reason};

use crate::config::begin::Kept;

/// Name of the file in the data directory.
pub(crate) const FILE: &str = "session.db";

/// Sends that may wait at a time.
pub(crate) const MAX_QUEUED: u64 = 10_000;

/// One change. A slice of them is one transaction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// A send is taken, unless its id is known.
    Accept(Draft),
    /// WhatsApp's server has taken the message.
    Acked {
        /// Which.
        id: String,
    },
    /// The message is given up.
    Failed {
        /// Which.
        id: String,
        /// Why.
        reason: Reason,
    },
    /// Everything that waits is given up.
    FailedAll {
        /// Why.
        reason: Reason,
    },
    /// Failed tries of a message so far.
    Attempts {
        /// Which.
        id: String,
        /// How many.
        attempts: u32,
    },
    /// Messages came further at the other side.
    Progress {
        /// Which.
        ids: Vec<String>,
        /// How far.
        progress: Progress,
    },
    /// An event for the log.
    Append(EventData),
    /// What the session is linked to.
    Link(Link),
    /// Configuration that is in force from now on.
    Config(ConfigPush),
    /// UID of the session whose store it is from now on.
    Session(String),
}

/// What became of one [`Write`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Written {
    /// It is done.
    Done,
    /// The send is new and waits in the outbox.
    Accepted,
    /// A send with this id was there already.
    Known(OutboxRow),
}

/// What a fresh process finds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Opened {
    /// How many processes have opened the store, this one included.
    pub writer_epoch: u64,
    /// Whether this process created it.
    pub fresh: bool,
    /// UID of the session whose store it was, if that was noted.
    pub session_uid: Option<String>,
    /// What the session is linked to.
    pub link: Link,
    /// Configuration that was in force.
    pub config: Kept,
    /// Sends that wait, oldest first.
    pub queued: Vec<Queued>,
}

/// The open store. Two connections, each used by one caller at a time: who reads does not wait for a commit to reach the disk.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Mutex<Connection>,
    reader: Mutex<Connection>,
    file: PathBuf,
    limits: Limits,
    newest: watch::Sender<u64>,
}

impl Store {
    /// Opens or creates the store, checks it, and counts this process. `known` processes must have opened it before.
    ///
    /// # Errors
    /// It is damaged, cannot be written, was written by a newer version, or is another one than is known. Nothing is changed then.
    pub(crate) fn open(directory: &Path, known: u64, limits: Limits) -> Result<(Self, Opened), StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Self::open_with(directory, known, limits, flags)
    }

    fn open_with(
        directory: &Path,
        known: u64,
        limits: Limits,
        flags: OpenFlags,
    ) -> Result<(Self, Opened), StoreError> {
        let file = directory.join(FILE);
        let unseen =
            |source: std::io::Error| StoreError::ReadOnly { file: file.clone(), detail: source.to_string() };
        if known > 0 && !file.try_exists().map_err(unseen)? {
            return Err(StoreError::Lost { file, found: None, known });
        }
        let open = during("open the file", &file);
        let mut connection = Connection::open_with_flags(&file, flags).map_err(&open)?;
        schema::prepare(&mut connection, &file, known)?;
        let opened = meta::count_process(&mut connection, &file, known)?;
        let newest = events::newest(&connection).map_err(during("read the log", &file))?;
        let store = Self {
            reader: Mutex::new(schema::reader(&file)?),
            connection: Mutex::new(connection),
            file,
            limits,
            newest: watch::Sender::new(newest),
        };
        Ok((store, opened))
    }

    /// Commits the changes together. They are on disk when it returns.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(crate) fn write(&self, writes: &[Write], now: u64) -> Result<Vec<Written>, StoreError> {
        self.logging("write", |tx| {
            writes.iter().map(|write| apply(tx, write, now)).collect::<rusqlite::Result<Vec<_>>>()
        })
    }

    /// Whether the store takes a write.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn probe(&self, now: u64) -> Result<(), StoreError> {
        self.transaction("write a probe", |tx| meta::set(tx, "probe", &now.to_string()))
    }

    /// Number of the newest event; changes when one is added.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Deletes what is past its limits.
    ///
    /// # Errors
    /// Nothing was deleted.
    pub(crate) fn prune(&self, now: u64) -> Result<(), StoreError> {
        let limits = self.limits;
        self.transaction("prune", |tx| retention::prune(tx, limits, now))
    }

    /// Moves the write-ahead log into the file, before a clean exit.
    ///
    /// # Errors
    /// The log stays; nothing is lost.
    pub(crate) fn checkpoint(&self) -> Result<(), StoreError> {
        self.lock()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(during("checkpoint", &self.file))
    }

    /// A transaction that may add events. Nothing can fail once it is committed.
    fn logging<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let (value, newest) = self.transaction(action, |tx| Ok((work(tx)?, events::newest(tx)?)))?;
        self.newest.send_if_modified(|seen| {
            let changed = newest > *seen;
            *seen = newest.max(*seen);
            changed
        });
        Ok(value)
    }

    /// All that `work` reads is as of one moment.
    fn read<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let failed = during(action, &self.file);
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = reader.transaction().map_err(&failed)?;
        let value = work(&snapshot).map_err(&failed)?;
        snapshot.commit().map_err(&failed)?;
        Ok(value)
    }

    fn transaction<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let failed = during(action, &self.file);
        let mut connection = self.lock();
        let tx = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let value = work(&tx).map_err(&failed)?;
        tx.commit().map_err(&failed)?;
        Ok(value)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(tx: &Connection, write: &Write, now: u64) -> rusqlite::Result<Written> {
    match write {
        Write::Accept(draft) => return outbox::accept(tx, draft, now),
        Write::Acked { id } => {
            outbox::progress(tx, std::slice::from_ref(id), Progress::ServerAck, now)?;
        }
        Write::Progress { ids, progress } => outbox::progress(tx, ids, *progress, now)?,
        Write::Failed { id, reason } => outbox::fail(tx, id, reason, now)?,
        Write::FailedAll { reason } => outbox::fail_all(tx, reason, now)?,
        Write::Attempts { id, attempts } => outbox::attempts(tx, id, *attempts)?,
        Write::Append(data) => events::append(tx, data, now)?,
        Write::Link(link) => meta::set_link(tx, link)?,
        Write::Config(push) => meta::set_config(tx, push)?,
        Write::Session(uid) => meta::set_session(tx, uid)?,
    }
    Ok(Written::Done)
}

#[cfg(test)]
mod tests;
