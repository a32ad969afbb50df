//! Keeps what the volume holds to the session's own user: credentials, messages, and the configuration with its secrets.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::{FILE, WHATSAPP_FILE};

/// Read and written by their owner.
const PRIVATE: u32 = 0o600;

/// Takes the rights of others to the stores' files away. What SQLite makes beside a file later has the file's own rights.
pub(crate) fn keep_private(directory: &Path) {
    for name in [FILE, WHATSAPP_FILE] {
        for suffix in ["", "-wal", "-shm"] {
            let file = directory.join(format!("{name}{suffix}"));
            match close(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    tracing::warn!(%error, file = %file.display(), "others may read this file of the volume");
                }
                Err(_) | Ok(()) => {}
            }
        }
    }
}

fn close(file: &Path) -> io::Result<()> {
    if fs::metadata(file)?.mode() & 0o777 & !PRIVATE == 0 {
        return Ok(());
    }
    fs::set_permissions(file, Permissions::from_mode(PRIVATE))
}
