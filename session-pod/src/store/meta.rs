//! Single values of the store: whose it is, what the session is linked to, the writer epoch, the configuration that was pushed.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use session_api::{Account, ConfigPush};

use super::{Opened, StoreError, during, outbox};
use crate::config::begin::Kept;

/// Configurations whose hashes are remembered.
const MAX_FORMER: usize = 64;

/// What the session is linked to, as far as its own store knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub(crate) enum Link {
    /// Nothing yet.
    #[default]
    Unpaired,
    /// An account.
    Paired {
        /// Which.
        me: Account,
    },
    /// An account whose connection another client took over. Stays so over restarts, until somebody acts.
    Replaced {
        /// Which.
        me: Account,
    },
    /// An account that removed the device. The credentials are dead but still there.
    Removed,
    /// The dead credentials are being deleted; done again if the process dies in between.
    Wiping,
}

impl Link {
    /// The account.
    pub(crate) fn account(&self) -> Option<&Account> {
        match self {
            Self::Paired { me } | Self::Replaced { me } => Some(me),
            Self::Unpaired | Self::Removed | Self::Wiping => None,
        }
    }
}

/// Counts this process and reads what it finds, in one transaction. At least `known` must have been counted before.
pub(super) fn count_process(
    connection: &mut Connection,
    file: &Path,
    known: u64,
) -> Result<Opened, StoreError> {
    let failed = during("count this process", file);
    let tx =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(&failed)?;
    let before = epoch(&tx).map_err(&failed)?;
    if before < known {
        return Err(StoreError::Lost { file: file.to_owned(), found: Some(before), known });
    }
    let opened = count(&tx, before).map_err(&failed)?;
    tx.commit().map_err(&failed)?;
    Ok(opened)
}

fn epoch(tx: &Connection) -> rusqlite::Result<u64> {
    Ok(number(tx, "writer_epoch")?.unwrap_or(0))
}

fn count(tx: &Connection, before: u64) -> rusqlite::Result<Opened> {
    let writer_epoch = before + 1;
    set(tx, "writer_epoch", &writer_epoch.to_string())?;
    Ok(Opened {
        writer_epoch,
        fresh: before == 0,
        session_uid: get(tx, "session_uid")?,
        link: json(tx, "link")?.unwrap_or_default(),
        config: Kept {
            last: json(tx, "config")?,
            // Stores of earlier versions do not say.
            taken_in: number(tx, "config_taken_in")?.unwrap_or(before),
            former: former(tx)?,
        },
        queued: outbox::queued(tx)?,
    })
}

pub(super) fn set_link(tx: &Connection, link: &Link) -> rusqlite::Result<()> {
    set(tx, "link", &to_json(link)?)
}

pub(super) fn set_config(tx: &Connection, push: &ConfigPush) -> rusqlite::Result<()> {
    let before: Option<ConfigPush> = json(tx, "config")?;
    let hashes = before.into_iter().map(|before| before.hash).chain(former(tx)?);
    let hashes: Vec<String> = hashes.filter(|hash| *hash != push.hash).take(MAX_FORMER).collect();
    set(tx, "former_configs", &to_json(&hashes)?)?;
    set(tx, "config_taken_in", &epoch(tx)?.to_string())?;
    set(tx, "config", &to_json(push)?)
}

/// Changes nothing, and so costs no sync to disk, when it is known.
pub(super) fn set_session(tx: &Connection, uid: &str) -> rusqlite::Result<()> {
    if get(tx, "session_uid")?.as_deref() == Some(uid) {
        return Ok(());
    }
    set(tx, "session_uid", uid)
}

/// Hashes of the configurations that were in force before, newest first.
fn former(tx: &Connection) -> rusqlite::Result<Vec<String>> {
    Ok(json(tx, "former_configs")?.unwrap_or_default())
}

pub(super) fn set(tx: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    )?
    .execute(params![key, value])
    .map(|_| ())
}

fn get(tx: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    tx.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

fn number(tx: &Connection, key: &str) -> rusqlite::Result<Option<u64>> {
    Ok(get(tx, key)?.and_then(|text| text.parse().ok()))
}

fn json<T: for<'de> Deserialize<'de>>(tx: &Connection, key: &str) -> rusqlite::Result<Option<T>> {
    get(tx, key)?.map(|text| from_json(&text)).transpose()
}

/// A value as the text of a column.
pub(super) fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The text of a column as a value.
pub(super) fn from_json<T: for<'de> Deserialize<'de>>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}
