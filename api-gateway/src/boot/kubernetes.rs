//! The start of the mode `kubernetes`.
//!
//! Comes in: the configuration. Goes out: sessions, keys and settings that are watched. An API server that is away does not
//! keep the gateway from starting: it is not ready until everything has been read once.

use std::sync::Arc;

use super::parts::Parts;
use super::{BootError, random_hex};
use crate::cluster::Cluster;
use crate::cluster::board::Board;
use crate::config::Config;
use crate::config::cluster::ClusterConfig;
use crate::directory::kubernetes::{KubernetesDirectory, KubernetesSettings, NewSessions};
use crate::keys::Keys;
use crate::keys::ring::KeyRing;
use crate::keys::secret;
use crate::settings::Settings;
use crate::settings::cluster::ClusterSettingsStore;

/// A way to the API server.
pub struct InCluster {
    cluster: Cluster,
    places: KubernetesSettings,
    config: ClusterConfig,
    environment_keys: Option<Keys>,
    settings: Settings,
    new: NewSessions,
}

impl InCluster {
    pub(super) async fn new(config: &Config, own: &ClusterConfig) -> Result<Self, BootError> {
        let admin = config.admin_api_key.as_ref();
        let environment_keys = admin.map(|admin| Keys::new(admin, &config.user_api_keys)).transpose()?;
        let cluster = Cluster::find(own.own_namespace.clone(), own.watch_timeout).await?;
        let places = own.places(&cluster.namespace);
        tracing::info!(own = %cluster.namespace, home = %places.home, watched = ?places.places, "sessions are resources");
        let new = NewSessions { max: config.sessions_max, auto_reply: config.auto_reply };
        let settings = config.settings.clone();
        Ok(Self { cluster, places, config: own.clone(), environment_keys, settings, new })
    }

    pub(super) fn start(self) -> Parts {
        let board = Arc::new(Board::default());
        let keys = self.environment_keys.map_or_else(KeyRing::empty, KeyRing::of);
        if let Some(name) = self.config.keys_secret {
            let fresh = self.config.keys_secret_create.then(|| format!("wk_{}", random_hex()));
            tokio::spawn(secret::keep(self.cluster.clone(), name, fresh, keys.clone(), board.line("keys")));
        }
        let settings =
            ClusterSettingsStore::new(self.cluster.clone(), self.config.settings_name, self.settings);
        tokio::spawn(settings.clone().keep(board.line("settings"), board.line("settings")));
        let directory = KubernetesDirectory::start(self.cluster, &self.places, self.new, &board);
        Parts { keys, settings: Arc::new(settings), directory: Arc::new(directory), board }
    }
}
