//! The port of the operator itself: probes and metrics.

use std::sync::Arc;

use crds::WhatsAppSession;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

use super::{RunError, stopped};
use crate::config::Config;
use crate::context::Memory;
use crate::errands::Errands;
use crate::health::{self, Health};
use crate::leader::Guard;
use crate::metrics::{self, Metrics};
use crate::poll;
use crate::rollout::Fleet;
use crate::world::World;

/// What is waited for before the operator is ready.
const CACHES: &str = "caches";

/// Binds the port, and says where in the address file.
pub(super) async fn listen(config: &Config) -> Result<TcpListener, RunError> {
    let address = config.listen;
    let failed = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    if let Some(path) = &config.address_file {
        let written = std::fs::write(path.with_extension("new"), format!("{bound}\n"))
            .and_then(|()| std::fs::rename(path.with_extension("new"), path));
        written.map_err(|source| RunError::AddressFile { path: path.clone(), source })?;
    }
    info!(address = %bound, "listening");
    Ok(listener)
}

/// What the metrics are taken from.
#[derive(Clone)]
pub(super) struct Figures {
    /// The sessions.
    pub(super) world: Arc<World>,
    /// Whether this process leads.
    pub(super) guard: Guard,
    /// The sessions that are listened to.
    pub(super) polls: poll::Sessions,
    /// The rollout.
    pub(super) fleet: Arc<Fleet>,
    /// What is remembered between two looks.
    pub(super) memory: Arc<Memory>,
    /// What sessions were asked for that takes long.
    pub(super) errands: Errands,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
}

impl Figures {
    /// How much is remembered beside the caches, by what it is.
    fn remembered(&self) -> Vec<(&'static str, usize)> {
        let mut all = self.world.remembered().to_vec();
        all.extend(self.memory.sizes());
        all.push(("errands", self.errands.count()));
        all
    }
}

/// A session that could be read.
struct Readable<'s>(&'s WhatsAppSession);

impl AsRef<WhatsAppSession> for Readable<'_> {
    fn as_ref(&self) -> &WhatsAppSession {
        self.0
    }
}

/// Serves probes and metrics. Ready is who has listed everything once, whether it leads or not.
pub(super) fn serve(listener: TcpListener, figures: Figures, stop: watch::Receiver<bool>) -> Health {
    let health = Health::new();
    health.require(CACHES);
    let (listed, world) = (health.clone(), Arc::clone(&figures.world));
    tokio::spawn(async move {
        world.synced().await;
        listed.ready(CACHES);
    });
    let text = move || {
        let sessions = figures.world.sessions.state();
        figures.metrics.set(metrics::Figures {
            leads: figures.guard.holds(),
            polls: figures.polls.count(),
            plan: &figures.fleet.plan(),
            cached: &figures.world.cached(),
            remembered: &figures.remembered(),
            sessions: sessions.iter().filter_map(|session| session.0.as_ref().ok()).map(Readable),
        });
        figures.metrics.text()
    };
    tokio::spawn(health::serve(listener, health.clone(), text, stopped(stop)));
    health
}
