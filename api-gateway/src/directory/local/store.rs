//! The data directory: resources, volumes, identities and the key that tokens are derived from.
//!
//! Comes in: values to keep. Goes out: files ([`crate::files`]). It must not overwrite or remove a file that it does not understand. Every function blocks: call it off the runtime.
//!
//! ```text
//! $DATA_DIR/gateway.lock                     one gateway at a time
//! $DATA_DIR/session-key                      256 random bits in hex: tokens are derived from it
//! $DATA_DIR/sessions/<id>.yaml               the resource
//! $DATA_DIR/volumes/<id>/                    the session's own data
//! $DATA_DIR/volumes/<id>.identity.yaml       UID and owner, kept as long as the volume
//! $DATA_DIR/run/<id>.address                 where the session's process listens
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::resource::{Identity, Resource};
use crate::directory::Problem;
use crate::files::{self, FileError};
use crate::session_name::SessionName;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another gateway has it.
    #[error("the data directory {0} is used by another gateway: stop that one, or set another DATA_DIR")]
    Locked(PathBuf),
    /// A file in it cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An open data directory. The lock lasts as long as it does.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens (and makes) the directory for this gateway alone.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        for folder in [root, &root.join("sessions"), &root.join("volumes"), &root.join("run")] {
            files::folder(folder)?;
        }
        let path = root.join("gateway.lock");
        let open = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let lock = open.map_err(FileError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(root.to_owned())),
            Err(TryLockError::Error(source)) => return Err(FileError::io("lock", &path)(source).into()),
        }
        let root = root.canonicalize().map_err(FileError::io("find", root))?;
        Ok(Self { root, _lock: lock })
    }

    /// A secret of `file`: read, or made by `make` and kept with mode 0600. Tells whether it is new.
    pub fn secret(&self, file: &str, make: impl FnOnce() -> String) -> Result<(String, bool), FileError> {
        let path = self.root.join(file);
        if let Some(text) = files::read(&path)? {
            let text = text.trim().to_owned();
            if text.is_empty() {
                return Err(FileError::Unreadable { path, why: "it is empty".to_owned() });
            }
            return Ok((text, false));
        }
        let secret = make();
        files::write(&path, &format!("{secret}\n"))?;
        Ok((secret, true))
    }

    /// Every resource, and every file that is none.
    pub fn load(&self) -> Result<(Vec<Resource>, Vec<Problem>), FileError> {
        let folder = self.root.join("sessions");
        let (mut resources, mut problems) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&folder).map_err(FileError::io("list", &folder))? {
            let path = entry.map_err(FileError::io("list", &folder))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            match load_one(&path) {
                Ok(resource) => resources.push(resource),
                Err(why) => problems.push(Problem { what: format!("sessions/{name}"), why }),
            }
        }
        Ok((resources, problems))
    }

    /// Whether a file stands where this session's resource would.
    pub fn has_resource(&self, id: &SessionName) -> bool {
        self.resource_path(id).symlink_metadata().is_ok()
    }

    /// Writes a session's resource.
    pub fn save(&self, resource: &Resource) -> Result<(), FileError> {
        let path = self.resource_path(&resource.metadata.name);
        files::write(&path, &yaml(resource, &path)?)
    }

    /// Removes a session's resource.
    pub fn remove_resource(&self, id: &SessionName) -> Result<(), FileError> {
        files::remove(&self.resource_path(id))
    }

    /// What is kept beside a session's volume.
    pub fn identity(&self, id: &SessionName) -> Result<Option<Identity>, FileError> {
        let path = self.identity_path(id);
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let identity = serde_norway::from_str(&text);
        identity.map(Some).map_err(|error| FileError::Unreadable { path, why: error.to_string() })
    }

    /// Keeps it, and makes the volume.
    pub fn save_identity(&self, id: &SessionName, identity: &Identity) -> Result<(), FileError> {
        files::folder(&self.volume(id))?;
        let path = self.identity_path(id);
        files::write(&path, &yaml(identity, &path)?)
    }

    /// Empties a session's volume; its identity stays.
    pub fn wipe_volume(&self, id: &SessionName) -> Result<(), FileError> {
        let path = self.volume(id);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::io("remove", &path)(error))
            }
            Ok(()) | Err(_) => files::folder(&path),
        }
    }

    /// Removes a session's volume and its identity.
    pub fn remove_volume(&self, id: &SessionName) -> Result<(), FileError> {
        self.wipe_volume(id)?;
        let path = self.volume(id);
        fs::remove_dir(&path).map_err(FileError::io("remove", &path))?;
        files::remove(&self.identity_path(id))
    }

    /// A session's own directory.
    pub fn volume(&self, id: &SessionName) -> PathBuf {
        self.root.join("volumes").join(id.as_str())
    }

    /// Where a session's process writes its address.
    pub fn address_file(&self, id: &SessionName) -> PathBuf {
        self.root.join("run").join(format!("{id}.address"))
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn resource_path(&self, id: &SessionName) -> PathBuf {
        self.root.join("sessions").join(format!("{id}.yaml"))
    }

    fn identity_path(&self, id: &SessionName) -> PathBuf {
        self.root.join("volumes").join(format!("{id}.identity.yaml"))
    }
}

fn load_one(path: &Path) -> Result<Resource, String> {
    if path.extension().is_none_or(|extension| extension != "yaml") {
        return Err("it is not called <session id>.yaml".to_owned());
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = files::read(path).map_err(|error| error.to_string())?.ok_or("it is gone")?;
    Resource::parse(&stem, &text).map_err(|error| error.to_string())
}

fn yaml(value: &impl serde::Serialize, path: &Path) -> Result<String, FileError> {
    serde_norway::to_string(value)
        .map_err(|error| FileError::Unreadable { path: path.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::files::MAX_BYTES;

    fn id(text: &str) -> SessionName {
        text.parse().unwrap()
    }

    #[test]
    fn one_gateway_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path()).unwrap();
        assert!(matches!(Store::open(folder.path()), Err(StoreError::Locked(_))));
        drop(first);
        assert!(Store::open(folder.path()).is_ok());
    }

    #[test]
    fn a_secret_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.secret("key", || "one".to_owned()).unwrap(), ("one".to_owned(), true));
        assert_eq!(store.secret("key", || "two".to_owned()).unwrap(), ("one".to_owned(), false));
        let mode = fs::metadata(folder.path().join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.path().join("key"), "\n").unwrap();
        assert!(matches!(store.secret("key", || "three".to_owned()), Err(FileError::Unreadable { .. })));
    }

    #[test]
    fn foreign_files_are_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let sessions = folder.path().join("sessions");
        fs::write(
            sessions.join("a.yaml"),
            "apiVersion: warest.io/v1alpha1\nkind: WhatsAppSession\nmetadata: {name: a}",
        )
        .unwrap();
        fs::write(sessions.join("b.yaml"), "kind: Pod").unwrap();
        fs::write(sessions.join("notes.txt"), "hello").unwrap();
        fs::write(sessions.join("big.yaml"), "#".repeat(MAX_BYTES + 1)).unwrap();
        let (resources, mut problems) = store.load().unwrap();
        problems.sort_by(|a, b| a.what.cmp(&b.what));
        assert_eq!(resources.len(), 1);
        let names: Vec<_> = problems.iter().map(|problem| problem.what.as_str()).collect();
        assert_eq!(names, ["sessions/b.yaml", "sessions/big.yaml", "sessions/notes.txt"]);
        assert_eq!(fs::read_to_string(sessions.join("b.yaml")).unwrap(), "kind: Pod");
        assert!(store.has_resource(&id("b")) && !store.has_resource(&id("c")));
    }

    #[test]
    fn an_identity_lives_as_long_as_its_volume() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let identity =
            Identity { uid: "u".to_owned(), owner: "admin".to_owned(), created_at: "now".to_owned() };
        assert_eq!(store.identity(&id("a")).unwrap(), None);
        store.save_identity(&id("a"), &identity).unwrap();
        fs::write(store.volume(&id("a")).join("session.db"), "x").unwrap();
        store.wipe_volume(&id("a")).unwrap();
        assert_eq!(fs::read_dir(store.volume(&id("a"))).unwrap().count(), 0);
        assert_eq!(store.identity(&id("a")).unwrap(), Some(identity));
        store.remove_volume(&id("a")).unwrap();
        assert_eq!(store.identity(&id("a")).unwrap(), None);
        assert!(!store.volume(&id("a")).exists());
    }
}
