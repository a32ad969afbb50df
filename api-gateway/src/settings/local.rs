//! Settings in a file of the data directory: `settings.json`, readable for its owner only.
//!
//! Comes in: changes. Goes out: the values that hold. A change holds once it is on the disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Settings, SettingsStore, Stored};
use crate::directory::DirectoryError;
use crate::files;

/// Name of the file.
pub const FILE: &str = "settings.json";

/// Settings in a file.
#[derive(Clone)]
pub struct LocalSettingsStore {
    path: PathBuf,
    environment: Arc<Settings>,
    stored: Arc<Mutex<Stored>>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used ({why}): repair it, or remove it, and the environment's settings hold again")]
pub struct Unreadable {
    path: PathBuf,
    why: String,
}

impl LocalSettingsStore {
    /// Reads the file, if there is one. Blocks.
    pub fn open(data_dir: &Path, environment: Settings) -> Result<Self, Unreadable> {
        let path = data_dir.join(FILE);
        let unreadable = |why: String| Unreadable { path: path.clone(), why };
        let stored = match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice::<Stored>(&text).map_err(|error| unreadable(error.to_string()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let stored = stored.checked().map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { path, environment: Arc::new(environment), stored: Arc::new(Mutex::new(stored)) })
    }

    fn write(&self, change: Stored) -> Result<(), DirectoryError> {
        let failed = |why: String| DirectoryError::Storage(why);
        let mut held = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let new = held.clone().with(change);
        let text = serde_json::to_string_pretty(&new).map_err(|error| failed(error.to_string()))?;
        files::write(&self.path, &(text + "\n")).map_err(|error| failed(error.to_string()))?;
        *held = new;
        Ok(())
    }
}

#[async_trait]
impl SettingsStore for LocalSettingsStore {
    fn current(&self) -> Settings {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stored.over(&self.environment)
    }

    async fn change(&self, change: Stored) -> Result<(), DirectoryError> {
        let own = self.clone();
        let written = tokio::task::spawn_blocking(move || own.write(change)).await;
        written.unwrap_or_else(|error| Err(DirectoryError::Storage(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::tests::environment;
    use super::*;

    #[tokio::test]
    async fn a_change_survives_a_restart_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = LocalSettingsStore::open(folder.path(), environment()).unwrap();
        assert_eq!(first.current(), environment());
        let change = |max| Stored { rate_limit_max: Some(max), ..Stored::default() };
        first.change(change(9)).await.unwrap();
        first
            .change(Stored { webhook_default_secret: Some("s".to_owned()), ..Stored::default() })
            .await
            .unwrap();
        let again = LocalSettingsStore::open(folder.path(), environment()).unwrap();
        assert_eq!((again.current().max, again.current().webhook_secret.as_deref()), (9, Some("s")));
        let file = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "{\"rateLimitMax\": 0}").unwrap();
        let error = LocalSettingsStore::open(folder.path(), environment()).err().unwrap().to_string();
        assert!(error.contains("settings.json") && error.contains("rateLimitMax"), "{error}");
    }
}
