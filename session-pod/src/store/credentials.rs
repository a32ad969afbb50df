//! Looks at whatsapp-rust's own file, `whatsapp.db`, from outside: whether it is sound and holds a paired device; deletes it.
//!
//! Only ever called while no client has the file open.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{StoreError, during, schema};

/// Name of whatsapp-rust's file in the data directory.
pub(crate) const WHATSAPP_FILE: &str = "whatsapp.db";

/// What the file says of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// No file, or a device that never was paired.
    Absent,
    /// A paired device.
    Present,
}

impl Credentials {
    /// Checks the file and looks for a paired device.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub(crate) fn look(directory: &Path) -> Result<Self, StoreError> {
        let file = directory.join(WHATSAPP_FILE);
        if !file.exists() {
            return Ok(Self::Absent);
        }
        let failed = during("look at the credentials", &file);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(&failed)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(&failed)?;
        schema::quick_check(&connection, &file)?;
        let has_table: Option<i64> = connection
            .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'device'", [], |row| {
                row.get(0)
            })
            .optional()
            .map_err(&failed)?;
        if has_table.is_none() {
            return Ok(Self::Absent);
        }
        let paired: Option<i64> = connection
            .query_row("SELECT 1 FROM device WHERE pn <> '' AND account IS NOT NULL LIMIT 1", [], |row| {
                row.get(0)
            })
            .optional()
            .map_err(&failed)?;
        Ok(if paired.is_some() { Self::Present } else { Self::Absent })
    }
}

/// Deletes the file and what SQLite keeps beside it. Can be repeated: what is gone already is no error.
///
/// # Errors
/// Something could not be deleted.
pub(crate) fn wipe(directory: &Path) -> std::io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        match std::fs::remove_file(directory.join(format!("{WHATSAPP_FILE}{suffix}"))) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
    }
    File::open(directory)?.sync_all()
}
