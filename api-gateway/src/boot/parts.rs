//! What differs between the modes: where sessions, keys and settings come from.
//!
//! Comes in: the configuration. Goes out: [`Parts`], in two steps: what can fail is prepared before the port is opened,
//! sessions begin after it.

use std::sync::Arc;

use super::BootError;
use super::kubernetes::InCluster;
use super::local::OnThisMachine;
use crate::cluster::board::Board;
use crate::config::{Config, Mode};
use crate::directory::SessionDirectory;
use crate::keys::ring::KeyRing;
use crate::metrics::Metrics;
use crate::settings::SettingsStore;

/// The parts of the gateway that differ between the modes.
pub struct Parts {
    /// Who may call.
    pub keys: KeyRing,
    /// Settings that an admin changes.
    pub settings: Arc<dyn SettingsStore>,
    /// Which sessions there are.
    pub directory: Arc<dyn SessionDirectory>,
    /// Which sources can be relied on.
    pub board: Arc<Board>,
}

/// Everything that can fail is done; no session has begun.
pub enum Prepared {
    /// Sessions are processes on this machine.
    Local(Box<OnThisMachine>),
    /// Sessions are resources.
    Kubernetes(Box<InCluster>),
}

impl Prepared {
    /// Opens the data directory, or finds the way to the API server.
    pub async fn new(config: &Config) -> Result<Self, BootError> {
        match &config.mode {
            Mode::Local => OnThisMachine::new(config).map(Box::new).map(Self::Local),
            Mode::Kubernetes(cluster) => {
                InCluster::new(config, cluster).await.map(Box::new).map(Self::Kubernetes)
            }
        }
    }

    /// Begins. Must be called on the runtime.
    pub fn start(self, config: &Config, metrics: &Arc<Metrics>) -> Result<Parts, BootError> {
        match self {
            Self::Local(here) => here.start(config, metrics),
            Self::Kubernetes(there) => Ok(there.start()),
        }
    }
}
