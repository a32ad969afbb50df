//! The start of local mode.
//!
//! Comes in: the configuration. Goes out: sessions, keys and settings out of the data directory.

use std::io::{self, Write as _};
use std::sync::Arc;

use crds::token::TokenKey;

use super::parts::Parts;
use super::{BootError, random_hex};
use crate::cluster::board::Board;
use crate::config::Config;
use crate::directory::local::store::Store;
use crate::directory::local::{LocalDirectory, LocalSettings};
use crate::keys::Keys;
use crate::keys::ring::KeyRing;
use crate::metrics::Metrics;
use crate::settings::local::LocalSettingsStore;

/// File of the admin key that was made.
const ADMIN_KEY_FILE: &str = "admin-api-key";
/// File of the key that tokens are derived from.
const TOKEN_KEY_FILE: &str = "session-key";

/// An open data directory.
pub struct OnThisMachine {
    store: Store,
    keys: Keys,
    token_key: TokenKey,
    settings: LocalSettingsStore,
}

impl OnThisMachine {
    pub(super) fn new(config: &Config) -> Result<Self, BootError> {
        let store = Store::open(&config.data_dir)?;
        let (keys, token_key) = keys(config, &store)?;
        let settings = LocalSettingsStore::open(store.root(), config.settings.clone())?;
        Ok(Self { store, keys, token_key, settings })
    }

    pub(super) fn start(self, config: &Config, metrics: &Arc<Metrics>) -> Result<Parts, BootError> {
        let directory = LocalDirectory::open(self.store, settings(config, self.token_key, metrics))?;
        Ok(Parts {
            keys: KeyRing::of(self.keys),
            settings: Arc::new(self.settings),
            directory: Arc::new(directory),
            board: Arc::new(Board::default()),
        })
    }
}

/// The callers' keys, and the key that tokens are derived from. A key that is made is told once, on standard output.
fn keys(config: &Config, store: &Store) -> Result<(Keys, TokenKey), BootError> {
    let admin = if let Some(key) = &config.admin_api_key { key.clone() } else { made_key(store)? };
    let (text, _) = store.secret(TOKEN_KEY_FILE, random_hex)?;
    let mut token_key = TokenKey::default();
    hex::decode_to_slice(text, &mut token_key).map_err(|_| BootError::TokenKey)?;
    Ok((Keys::new(&admin, &config.user_api_keys)?, token_key))
}

/// The admin key that is kept in the data directory; a new one is told on standard output.
fn made_key(store: &Store) -> Result<String, BootError> {
    let (key, new) = store.secret(ADMIN_KEY_FILE, || format!("wk_{}", random_hex()))?;
    if new {
        let path = store.root().join(ADMIN_KEY_FILE);
        let line = format!("Admin API key (made now, kept in {}): {key}", path.display());
        writeln!(io::stdout(), "{line}").map_err(|source| BootError::Io { what: "print the key", source })?;
    }
    Ok(key)
}

/// How sessions are run.
fn settings(config: &Config, token_key: TokenKey, metrics: &Arc<Metrics>) -> LocalSettings {
    let metrics = Arc::clone(metrics);
    LocalSettings {
        program: config.session_pod.clone(),
        environment: config.session_environment.clone(),
        auto_reply: config.auto_reply,
        max_sessions: config.sessions_max,
        token_key,
        on_exit: Arc::new(move || metrics.session_exit()),
    }
}
