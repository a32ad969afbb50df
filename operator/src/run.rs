//! The program's life: configuration in, watches, the lead, the controller, and a graceful end.

use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, info};
use tracing_subscriber::EnvFilter;

use crate::build::Settings;
use crate::cluster_key::{self, ClusterKeyError};
use crate::config::{Config, LeaseFlags, LogFormat};
use crate::context::{Context, Memory};
use crate::controller;
use crate::decide::Rules;
use crate::errands::Errands;
use crate::events::Events;
use crate::leader::{self, Campaign, CampaignError, Guard};
use crate::metrics::Metrics;
use crate::observe::SessionKey;
use crate::poll;
use crate::rollout::{self, Fleet};
use crate::world::{self, World};

mod endpoints;

use endpoints::Figures;

/// Exit code: the configuration cannot be used.
pub const BAD_CONFIGURATION: u8 = 64;
/// Exit code: the lead is lost, or something failed.
pub const FAILED: u8 = 1;

/// How much later than it should a watch may end.
const SLACK: Duration = Duration::from_secs(5);

/// How many sessions may wait to be looked at in the channel; whoever wakes more waits.
const WAKES: usize = 1_024;

/// The program cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A flag or the kubeconfig cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// The threads cannot be started.
    #[error("start the program: {0}")]
    Start(#[source] std::io::Error),
    /// The port cannot be bound.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The address file cannot be written.
    #[error("write the address to {path}: {source}")]
    AddressFile {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no cluster key.
    #[error("get the cluster key: {0}")]
    ClusterKey(#[from] ClusterKeyError),
    /// The election cannot begin.
    #[error("run for the lead: {0}")]
    Campaign(#[from] CampaignError),
}

/// Logs to stderr; `RUST_LOG` says what.
pub fn log(format: LogFormat) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    // Its spans say again what our own lines say, on every one of them.
    if let Ok(quiet) = "kube_runtime=warn".parse() {
        filter = filter.add_directive(quiet);
    }
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Runs until a signal comes.
///
/// # Errors
/// The program cannot start, or not go on.
pub fn run(config: Config) -> Result<(), RunError> {
    if let Some(files) = poll::allow_many_connections() {
        debug!(files, "so many files can be open: a session that is listened to takes one");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Start)?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: Config) -> Result<(), RunError> {
    let kube = kube_config(Duration::from_secs(config.watch_timeout_seconds.into()) + SLACK).await?;
    let namespace = config.namespace.clone().filter(|name| !name.is_empty());
    let namespace = namespace.unwrap_or_else(|| kube.default_namespace.clone());
    let settings = Settings::new(config.session.clone(), config.network.clone(), namespace.clone());
    let client =
        Client::try_from(kube.clone()).map_err(|error| RunError::Configuration(error.to_string()))?;
    let stop = stop_signal()?;
    let (wake, woken) = mpsc::channel(WAKES);
    let metrics = Arc::new(Metrics::new());
    let world = World::watch(&client, scope(&config), (wake.clone(), Arc::clone(&metrics)));
    let mut campaign = campaign(kube, &config.lease, &namespace)?;
    let guard = campaign.as_ref().map_or_else(Guard::always, Campaign::guard);
    let fleet = Arc::new(Fleet::new(rollout_settings(&config)?, settings.revision.clone()));
    let polls = poll::Sessions::new(wake.clone(), poll::Timing::default());
    let memory = Arc::new(Memory::default());
    let errands = Errands::new(wake.clone());
    let figures = Figures { world: Arc::clone(&world), guard, polls, fleet, metrics, memory, errands };
    let health = endpoints::serve(endpoints::listen(&config).await?, figures.clone(), stop.clone());
    let Some(woken) = lead(&figures.world, campaign.as_mut(), woken, stop.clone()).await else {
        return farewell(campaign).await;
    };
    let Figures { world, guard, polls, fleet, metrics, memory, errands } = figures;
    let key = match cluster_key::obtain(&client, &namespace).await {
        Ok(key) => key,
        Err(error) => {
            farewell(campaign).await?;
            return Err(error.into());
        }
    };
    let context = Arc::new(Context {
        key,
        rules: rules(&config),
        resync: config.resync(),
        events: Events::new(client, &namespace, Arc::clone(&metrics)),
        errands,
        memory,
        fleet: Arc::clone(&fleet),
        world,
        polls,
        guard,
        metrics,
        settings,
    });
    let plans = tokio::spawn(rollout::drive(fleet, members(&context), wake, |_| ()));
    controller::run(context, (config.concurrency, health), woken, stopped(stop)).await;
    plans.abort();
    farewell(campaign).await
}

async fn kube_config(silence: Duration) -> Result<kube::Config, RunError> {
    let config = match kube::Config::incluster() {
        Ok(config) => Ok(config),
        Err(_) => kube::Config::infer().await,
    };
    let mut config = config.map_err(|error| {
        RunError::Configuration(format!(
            "there is neither a service account nor a usable kubeconfig (KUBECONFIG): {error}"
        ))
    })?;
    // Every call has its own time limit; what may be tried again is decided where it is known what it does.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    // The server ends a watch before that: a connection that is silent for longer is dead, also before its first answer.
    config.read_timeout = Some(silence);
    config.reset_reader_on_write = true;
    Ok(config)
}

fn campaign(kube: kube::Config, flags: &LeaseFlags, namespace: &str) -> Result<Option<Campaign>, RunError> {
    if !flags.elect {
        return Ok(None);
    }
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let settings = leader::Settings {
        namespace: namespace.to_owned(),
        name: flags.name.clone(),
        identity: leader::identity(host.trim()),
        duration: seconds(flags.duration_seconds),
        renew_deadline: seconds(flags.renew_deadline_seconds),
        retry: seconds(flags.retry_seconds),
    };
    let campaign = leader::campaign(kube, settings, |loss| {
        error!("the lead is lost ({loss:?}): this process ends at once");
        exit(i32::from(FAILED));
    });
    match campaign {
        Ok(campaign) => Ok(Some(campaign)),
        Err(CampaignError::Times(error)) => Err(RunError::Configuration(error.to_string())),
        Err(error) => Err(RunError::Campaign(error)),
    }
}

/// Waits for the lead and for the caches. Until then, what happens is only taken in by the caches. None: it is over.
async fn lead(
    world: &World,
    campaign: Option<&mut Campaign>,
    mut woken: mpsc::Receiver<SessionKey>,
    stop: watch::Receiver<bool>,
) -> Option<mpsc::Receiver<SessionKey>> {
    let ready = async {
        if let Some(campaign) = campaign {
            campaign.acquired().await;
            info!("this operator leads");
        }
        world.synced().await;
    };
    let drain = async {
        while woken.recv().await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = ready => {}
        () = drain => {}
        () = stopped(stop) => return None,
    }
    Some(woken)
}

fn scope(config: &Config) -> world::Scope<'_> {
    world::Scope {
        namespaces: &config.watch_namespaces,
        selector: &config.selector,
        timeout_seconds: config.watch_timeout_seconds,
    }
}

fn rules(config: &Config) -> Rules {
    Rules {
        node_loss: config.node_loss().try_into().unwrap_or_default(),
        node_grace: config.node_grace().try_into().unwrap_or_default(),
    }
}

fn rollout_settings(config: &Config) -> Result<rollout::Settings, RunError> {
    let budget = config.rollout.max_unavailable.parse();
    Ok(rollout::Settings {
        budget: budget
            .map_err(|error| RunError::Configuration(format!("--rollout-max-unavailable: {error}")))?,
        max_failures: config.rollout.max_failures.try_into().unwrap_or(usize::MAX),
        progress_deadline: Duration::from_secs(config.rollout.progress_deadline_seconds.into()),
    })
}

/// The sessions as the rollout sees them.
fn members(context: &Arc<Context>) -> impl Fn() -> Vec<rollout::Session> + Send + use<> {
    let context = Arc::clone(context);
    move || {
        let sessions = context.world.sessions.state();
        let member = |session: &crds::WhatsAppSession| {
            let pod = context.world.pods.get(&SessionKey::of(session));
            let revision = context.fleet.revision();
            let member = rollout::Session::of(session, pod.as_deref(), revision, &context.rules)?;
            let judged =
                context.memory.was_looked_at(&member.key) && context.world.shows_own_writes(&member.key);
            Some(if judged { member } else { member.unjudged() })
        };
        sessions.iter().filter_map(|session| session.0.as_ref().ok()).filter_map(member).collect()
    }
}

fn stop_signal() -> Result<watch::Receiver<bool>, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Start)?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        info!("stopping");
        let _nobody = stop.send(true);
    });
    Ok(stopped)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _gone = stop.wait_for(|stop| *stop).await;
}

async fn farewell(campaign: Option<Campaign>) -> Result<(), RunError> {
    if let Some(campaign) = campaign {
        campaign.release().await;
    }
    Ok(())
}
