//! Makes sure that one process at a time works on a data directory: `flock` on the directory itself, for the process's life.
//!
//! The directory is locked, not a file in it, so that a read-only or full volume can be locked too.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Exit code when another process holds the directory.
pub(crate) const EXIT_LOCKED: u8 = 75;

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _directory: File,
}

/// Why the directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// It is not there and cannot be made.
    #[error("cannot create the data directory {path}: {source}")]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot be opened.
    #[error("cannot open the data directory {path}: {source}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else works on it.
    #[error(
        "the data directory {path} is locked by another process: two on one set of credentials would destroy it. Stop the other one first"
    )]
    Held {
        /// The directory.
        path: PathBuf,
    },
    /// The file system cannot lock.
    #[error("the file system of {path} cannot lock ({source}): use a local or block-storage volume")]
    Unsupported {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Creates the directory if it is missing and locks it.
///
/// # Errors
/// It cannot be made, opened or locked, or another process holds it.
pub(crate) fn lock(path: &Path) -> Result<DirectoryLock, LockError> {
    let owned = || path.to_owned();
    if !path.is_dir() {
        std::fs::create_dir_all(path).map_err(|source| LockError::Create { path: owned(), source })?;
    }
    let directory = File::open(path).map_err(|source| LockError::Open { path: owned(), source })?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(DirectoryLock { _directory: directory }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held { path: owned() }),
        Err(errno) => Err(LockError::Unsupported { path: owned(), source: errno.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new").join("session");
        let first = lock(&path).unwrap();
        assert!(matches!(lock(&path), Err(LockError::Held { .. })));
        drop(first);
        assert!(lock(&path).is_ok());
    }
}
