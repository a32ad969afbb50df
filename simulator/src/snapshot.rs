//! What survives a restart of the simulator: the certificate authority, the Noise keys and the world. Files in one
//! directory, each written beside its place and renamed, so that a crash leaves the old or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wacore_libsignal::protocol::KeyPair;

use crate::tls::{Authority, TlsError};
use crate::world::World;
use crate::world::stored;

mod media;

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file system refused.
    #[error("use {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The contents are not what was written.
    #[error("understand {path}: {source}; remove the file to start anew")]
    Decode {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: serde_json::Error,
    },
    /// A new authority could not be made.
    #[error(transparent)]
    Issue(#[from] TlsError),
    /// A key could not be used.
    #[error("use the stored Noise keys: {0}")]
    Key(#[from] wacore_libsignal::protocol::CurveError),
}

/// The server's long-lived secrets.
#[derive(Serialize, Deserialize)]
pub struct Secrets {
    /// For TLS.
    pub authority: Authority,
    #[serde(with = "stored::bytes")]
    root: [u8; 32],
    #[serde(with = "stored::bytes")]
    r#static: [u8; 32],
}

impl Secrets {
    /// New ones.
    pub fn generate() -> Result<Self, SnapshotError> {
        let mut rng = rand::rng();
        Ok(Self {
            authority: Authority::generate()?,
            root: *KeyPair::generate(&mut rng).private_key.serialize(),
            r#static: *KeyPair::generate(&mut rng).private_key.serialize(),
        })
    }

    /// The key that certificates start from.
    pub fn root(&self) -> Result<KeyPair, SnapshotError> {
        pair(&self.root)
    }

    /// The server's Noise static key.
    pub fn static_key(&self) -> Result<KeyPair, SnapshotError> {
        pair(&self.r#static)
    }
}

fn pair(private: &[u8; 32]) -> Result<KeyPair, SnapshotError> {
    let private = wacore_libsignal::protocol::PrivateKey::deserialize(private)?;
    Ok(KeyPair::new(private.public_key()?, private))
}

/// The directory.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Makes the directory if it is not there.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        fs::create_dir_all(path).map_err(at(path))?;
        Ok(Self(path.to_owned()))
    }

    /// Where the authority's certificate is kept for clients to read.
    pub fn ca_file(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The secrets, made on first use.
    pub fn secrets(&self) -> Result<Secrets, SnapshotError> {
        let path = self.0.join("secrets.json");
        let secrets = if let Some(secrets) = read(&path)? {
            secrets
        } else {
            let secrets = Secrets::generate()?;
            write_atomically(&path, &encode(&path, &secrets)?)?;
            secrets
        };
        write_atomically(&self.ca_file(), secrets.authority.certificate_pem.as_bytes())?;
        Ok(secrets)
    }

    /// The world as it was saved, or an empty one.
    pub fn world(&self) -> Result<World, SnapshotError> {
        Ok(read(&self.0.join("world.json"))?.unwrap_or_default())
    }

    /// Saves an encoded world.
    pub fn save_world(&self, encoded: &[u8]) -> Result<(), SnapshotError> {
        write_atomically(&self.0.join("world.json"), encoded)
    }
}

/// A world as it is saved.
pub fn encode_world(world: &World) -> Result<Vec<u8>, SnapshotError> {
    encode(Path::new("world.json"), world)
}

fn encode<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, SnapshotError> {
    serde_json::to_vec(value).map_err(|source| SnapshotError::Decode { path: path.to_owned(), source })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SnapshotError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| SnapshotError::Decode { path: path.to_owned(), source }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Writes a file that only its owner may read, all of it or nothing.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file: File =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::File { path, source }
}
