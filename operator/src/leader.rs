//! Leader election: of several operators one works, the others watch.
//!
//! Comes in: the way to the API server, [`Settings`]. Goes out: a [`Campaign`], which tells when this process leads, and a
//! [`Guard`] that is asked before every write. When leadership is lost, `on_loss` is called at once: it must end the process
//! without another write. The campaign runs on a thread of its own with a client of its own, so that neither a busy runtime nor a
//! retrying client delays a renewal. It must not touch anything but its Lease.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kube::{Api, Client, Config};
use tokio::sync::watch;
use tokio::time::timeout;

mod candidate;
pub mod lease;

use candidate::Candidate;
pub use lease::{InvalidTimes, Loss, Settings};

/// How long a graceful end may take.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// The campaign could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The times do not go together.
    #[error(transparent)]
    Times(#[from] InvalidTimes),
    /// A thread or its runtime.
    #[error("start the thread of the leader election: {0}")]
    Thread(#[source] std::io::Error),
    /// The client.
    #[error("make the client of the leader election: {0}")]
    Client(#[source] kube::Error),
}

/// One process's try to lead.
#[derive(Debug)]
pub struct Campaign {
    leading: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    guard: Guard,
}

/// Tells at any moment whether this process leads. Cheap.
#[derive(Debug, Clone)]
pub struct Guard {
    base: Instant,
    /// Milliseconds after `base` until which it leads.
    until: Arc<AtomicU64>,
}

impl Guard {
    fn new() -> Self {
        Self { base: Instant::now(), until: Arc::default() }
    }

    /// Whether this process leads right now. A process that was frozen past its lease hears no.
    pub fn holds(&self) -> bool {
        u64::try_from(self.base.elapsed().as_millis())
            .is_ok_and(|now| now < self.until.load(Ordering::Acquire))
    }

    /// A guard that always holds: there is no election.
    pub fn always() -> Self {
        Self { base: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    fn set(&self, until: Option<Instant>) {
        let until = until.map_or(0, |until| until.saturating_duration_since(self.base).as_millis());
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
    }
}

/// A name for this process that no other one ever has.
pub fn identity(host: &str) -> String {
    format!("{host}_{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Begins to run for the lead. `on_loss` is called on the election's thread when leadership is lost.
pub fn campaign(
    mut config: Config,
    settings: Settings,
    on_loss: impl FnOnce(Loss) + Send + 'static,
) -> Result<Campaign, CampaignError> {
    settings.check()?;
    // A request that hangs or is retried inside the client would be a renewal that does not happen.
    let request = (settings.renew_deadline / 2).min(settings.retry * 2);
    config.default_retry = false;
    config.connect_timeout = Some(request);
    config.read_timeout = Some(request);
    config.write_timeout = Some(request);
    config.reset_reader_on_write = true;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CampaignError::Thread)?;
    let client = {
        let _inside = runtime.enter();
        Client::try_from(config).map_err(CampaignError::Client)?
    };
    let guard = Guard::new();
    let (lead, leading) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let candidate = Candidate::new(
        Api::namespaced(client, &settings.namespace),
        settings,
        request,
        (guard.clone(), lead),
    );
    std::thread::Builder::new()
        .name("leader-election".to_owned())
        .spawn(move || {
            if let Some(loss) = runtime.block_on(candidate.run(stopped)) {
                on_loss(loss);
            }
        })
        .map_err(CampaignError::Thread)?;
    Ok(Campaign { leading, stop, guard })
}

impl Campaign {
    /// Waits until this process leads.
    pub async fn acquired(&mut self) {
        if self.leading.wait_for(|leading| *leading).await.is_err() {
            // The thread has ended: on_loss was called, and the process is about to end.
            std::future::pending::<()>().await;
        }
    }

    /// Tells at any moment whether this process leads.
    pub fn guard(&self) -> Guard {
        self.guard.clone()
    }

    /// Gives the lead back, so that another need not wait for the lease to run out. Nothing may be written after that.
    pub async fn release(self) {
        let Self { mut leading, stop, .. } = self;
        let _gone = stop.send(true);
        let ended = async { while leading.changed().await.is_ok() {} };
        let _late = timeout(RELEASE_WITHIN, ended).await;
    }
}
