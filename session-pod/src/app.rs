//! Puts the parts together and runs them until the session has stopped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use session_api::ConfigPush;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::begin::{Begin, begin};
use crate::config::{self, Config, TokenSource, check_token};
use crate::http::{App, Bounds, Token, router, serve};
use crate::metrics::Metrics;
use crate::session::state::{Found, State};
use crate::session::{Cooldowns, Identity, Runner, SessionHandle, Setup, asked_cooldown, now_ms};
use crate::store::{self, Credentials, Limits, Link, Store, StoreError, Write};
use crate::whatsapp::{EngineConfig, client_config};

/// How long open requests may take after the session has stopped.
const HTTP_GRACE: Duration = Duration::from_secs(2);

/// What can be wrong before a port opens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// The token file.
    #[error("cannot read the token from {path}: {source}")]
    ReadToken {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The token in it.
    #[error(transparent)]
    Token(#[from] crate::config::ConfigError),
    /// The extra roots.
    #[error(transparent)]
    Tls(#[from] crate::whatsapp::TlsError),
    /// The file with the configuration to start with.
    #[error(transparent)]
    ConfigFile(#[from] crate::config::push::FileError),
}

/// The parts that the configuration names, read and checked.
pub(crate) struct Parts {
    config: Config,
    token: Token,
    tls: Arc<rustls::ClientConfig>,
    given: Option<ConfigPush>,
}

/// Reads what the configuration names.
///
/// # Errors
/// Something of it is unfit.
pub(crate) fn read(config: Config) -> Result<Parts, Unfit> {
    let token = match &config.token {
        TokenSource::Value(token) => Token::new(token),
        TokenSource::File(path) => {
            let unread = |source| Unfit::ReadToken { path: path.clone(), source };
            let text = std::fs::read_to_string(path).map_err(unread)?;
            check_token(text.trim())?;
            Token::new(text.trim())
        }
    };
    let tls = client_config(config.extra_ca.as_deref())?;
    let given = config.initial.as_deref().map(config::push::read).transpose()?;
    Ok(Parts { config, token, tls, given })
}

/// Runs the session until it has stopped. `stop` sends when the process is asked to.
///
/// # Errors
/// The port cannot be opened or announced.
pub(crate) async fn run(parts: Parts, stop: oneshot::Receiver<&'static str>) -> anyhow::Result<()> {
    let Parts { config, token, tls, given } = parts;
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("listen on {}", config.listen))?;
    let metrics = Arc::new(Metrics::new());
    let opened = open(&config, given);
    let store = opened.store.clone();
    let setup = Setup {
        identity: Identity {
            session_id: config.session_id.clone(),
            session_uid: config.session_uid.clone(),
            writer_epoch: opened.writer_epoch,
        },
        store: store.clone(),
        data_dir: config.data_dir.clone(),
        min_free_bytes: config.min_free_bytes,
        default_auto_reply: config.auto_reply,
        engine: engine(&config, tls, Arc::clone(&metrics)),
        metrics: Arc::clone(&metrics),
    };
    let (runner, session) = Runner::new(setup, &opened.state);
    let app = App::new(session.clone(), store, metrics, token, &config.session_uid);
    let (finish, finished) = oneshot::channel::<()>();
    let listener = listener_announced(listener, config.address_file.as_deref())?;
    let uid = config.session_uid.clone();
    let server = tokio::spawn(async move {
        let stop = async {
            // Sent or dropped, it is time.
            let _time = finished.await;
        };
        serve(listener, router(app), Bounds::default(), &uid, stop).await;
    });
    let watch = tokio::spawn(stop_when_asked(stop, session));
    runner.run(opened.state).await;
    watch.abort();
    drop(finish);
    if tokio::time::timeout(HTTP_GRACE, server).await.is_err() {
        tracing::warn!("some requests were cut off");
    }
    Ok(())
}

async fn stop_when_asked(stop: oneshot::Receiver<&'static str>, session: SessionHandle) {
    match stop.await {
        Ok(why) => {
            tracing::info!(why, "stopping");
            session.stop().await;
        }
        Err(_) => std::future::pending().await,
    }
}

struct Opened {
    store: Option<Arc<Store>>,
    writer_epoch: u64,
    state: State,
}

/// Opens the stores. What is wrong with them becomes the session's state: the process lives on and says so.
fn open(config: &Config, mut given: Option<ConfigPush>) -> Opened {
    store::keep_private(&config.data_dir);
    let broken = |error: StoreError, link| {
        tracing::error!(%error, "the session cannot run");
        State::broken(error.reason(), link, now_ms())
    };
    let (store, writer_epoch, state) =
        match Store::open(&config.data_dir, config.min_writer_epoch, Limits::default()) {
            Err(error) => (None, 0, broken(error, Link::Unpaired)),
            Ok((store, mut opened)) => {
                let kept = std::mem::take(&mut opened.config);
                let begin = begin(given, kept, known_epoch(opened.session_uid.as_deref(), config));
                given = configuration(&store, begin, &config.session_uid);
                let writer_epoch = opened.writer_epoch;
                let state = match Credentials::look(&config.data_dir) {
                    Ok(credentials) => State::boot(found(opened, credentials), now_ms()),
                    Err(error) => broken(error, opened.link),
                };
                (Some(Arc::new(store)), writer_epoch, state)
            }
        };
    let mut state = match given {
        Some(push) => state.configured(push),
        None => state,
    };
    if let (Some(store), Some(cooldown)) = (&store, asked_cooldown(&state.config.policy)) {
        let now = now_ms();
        match store.written_to_since(now.saturating_sub(cooldown)) {
            Ok(recent) => state.cooldowns = Cooldowns::load(recent, now),
            Err(error) => tracing::warn!(%error, "cooldowns begin anew"),
        }
    }
    Opened { store, writer_epoch, state }
}

/// The newest writer epoch that is older than the configuration file: every one, if the store was another session's.
fn known_epoch(session_uid: Option<&str>, config: &Config) -> u64 {
    match session_uid {
        Some(uid) if uid != config.session_uid => u64::MAX,
        Some(_) | None => config.min_writer_epoch,
    }
}

/// The configuration to begin with. A file that is newer than what the store knows goes into the store, so that it is known for
/// old once it is. Whose store it is goes with it: as long as the one is not kept, the other is not either, and the next process
/// decides as this one did.
fn configuration(store: &Store, begin: Begin, session_uid: &str) -> Option<ConfigPush> {
    let owner = Write::Session(session_uid.to_owned());
    let (in_force, writes) = match begin {
        Begin::Kept(kept) => (kept, vec![owner]),
        Begin::Given(given) => (Some(given.clone()), vec![Write::Config(given), owner]),
    };
    if let Err(error) = store.write(&writes, now_ms()) {
        tracing::warn!(%error, "the configuration that is in force and whose store it is were not kept");
    }
    in_force
}

fn found(opened: store::Opened, credentials: Credentials) -> Found {
    Found {
        link: opened.link,
        credentials: credentials == Credentials::Present,
        fresh: opened.fresh,
        queued: opened.queued,
    }
}

fn engine(config: &Config, tls: Arc<rustls::ClientConfig>, metrics: Arc<Metrics>) -> EngineConfig {
    EngineConfig {
        data_dir: config.data_dir.clone(),
        url: config.whatsapp_url.clone(),
        tls,
        proxy: config.proxy.clone(),
        no_proxy: config.no_proxy.clone(),
        device_name: config.device_name.clone(),
        client_version: config.client_version,
        auto_reply: Arc::new(AtomicBool::new(config.auto_reply)),
        metrics,
    }
}

/// Writes the bound address where the starter of the process looks for it, all at once.
fn listener_announced(listener: TcpListener, file: Option<&Path>) -> anyhow::Result<TcpListener> {
    let address = listener.local_addr().context("ask for the bound address")?;
    tracing::info!(%address, "listening");
    if let Some(file) = file {
        let draft = file.with_extension("tmp");
        std::fs::write(&draft, format!("{address}\n"))
            .and_then(|()| std::fs::rename(&draft, file))
            .with_context(|| format!("write the address to {}", file.display()))?;
    }
    Ok(listener)
}

#[cfg(test)]
mod tests;
