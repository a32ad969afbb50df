//! The media server's files in the state directory: `media/{token}`, as they were uploaded.

use std::fs;
use std::io::ErrorKind;

use super::{SnapshotError, StateDir, at, write_atomically};
use crate::world::media::{MediaStore, token};

const FOLDER: &str = "media";

impl StateDir {
    /// All files, for clients that find them at `host`. What is not what its name says is left out: it was cut off.
    pub fn media(&self, host: String) -> Result<MediaStore, SnapshotError> {
        let mut store = MediaStore::at(host);
        let folder = self.0.join(FOLDER);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(store),
            Err(error) => return Err(at(&folder)(error)),
        };
        for entry in entries {
            let path = entry.map_err(at(&folder))?.path();
            let bytes = fs::read(&path).map_err(at(&path))?;
            let found = token(&bytes);
            let named = path.file_name().is_some_and(|name| name == found.as_str());
            if !named || store.put(&found, bytes.into()).is_err() {
                tracing::warn!(path = %path.display(), "a media file is not used: it was cut off, or there are too many");
            }
        }
        Ok(store)
    }

    /// Keeps a file.
    pub fn save_media(&self, token: &str, file: &[u8]) -> Result<(), SnapshotError> {
        let folder = self.0.join(FOLDER);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        write_atomically(&folder.join(token), file)
    }

    /// Deletes files.
    pub fn remove_media(&self, tokens: &[String]) -> Result<(), SnapshotError> {
        for token in tokens {
            let path = self.0.join(FOLDER).join(token);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(at(&path)(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}
