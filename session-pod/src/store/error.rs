//! What can be wrong with the store. SQLite's errors in; the kinds that a person must act on, in words, out. Pure.

use std::path::{Path, PathBuf};

use session_api::Reason;

/// What failed, in words for the person who looks after the volume.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite says that the file is damaged.
    #[error(
        "the store {file} is corrupt ({detail}). Nothing was changed: restore it from a backup, or delete the session and pair again"
    )]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// The volume cannot be written.
    #[error(
        "the store {file} cannot be written ({detail}): the volume is read-only or belongs to somebody else"
    )]
    ReadOnly {
        /// Which file.
        file: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// No space left.
    #[error("the volume of {file} is full")]
    Full {
        /// Which file.
        file: PathBuf,
    },
    /// Fewer processes have opened it than are known to have.
    #[error(
        "the volume is not the one that this session had: {known} processes have opened the session's store, and {file} {}. \
         Nothing was changed and nothing connects. Bring the right volume back; or, if it is lost, have the session start anew",
        knows_of(*found)
    )]
    Lost {
        /// Which file.
        file: PathBuf,
        /// Processes that it knows of; none if there is no store.
        found: Option<u64>,
        /// Processes that are known to have opened it.
        known: u64,
    },
    /// Written by a newer version.
    #[error("the store {file} has schema {found}, this program knows {known}: run the newer version")]
    TooNew {
        /// Which file.
        file: PathBuf,
        /// The file's.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Anything else.
    #[error("cannot {action} in the store: {source}")]
    Sql {
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// The reason as the session's status shows it.
    pub(crate) fn reason(&self) -> Reason {
        let code = match self {
            Self::Corrupt { .. } => "store_corrupt",
            Self::Full { .. } => "disk_full",
            Self::TooNew { .. } => "store_too_new",
            Self::Lost { .. } => "volume_lost",
            Self::ReadOnly { .. } | Self::Sql { .. } => "store_unwritable",
        };
        Reason { code: code.to_owned(), message: self.to_string() }
    }
}

fn knows_of(found: Option<u64>) -> String {
    found.map_or_else(|| "is missing".to_owned(), |found| format!("knows of {found}"))
}

/// Names the failed action; the kinds of failure that a person must act on get a variant of their own.
pub(super) fn during(action: &'static str, file: &Path) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
    let file = file.to_owned();
    move |source| {
        let detail = source.to_string();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                StoreError::Corrupt { file: file.clone(), detail }
            }
            Some(
                rusqlite::ErrorCode::ReadOnly
                | rusqlite::ErrorCode::CannotOpen
                | rusqlite::ErrorCode::PermissionDenied,
            ) => StoreError::ReadOnly { file: file.clone(), detail },
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full { file: file.clone() },
            Some(_) | None => StoreError::Sql { action, source },
        }
    }
}
