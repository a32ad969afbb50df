//! Builds a client of the protocol library and runs it until it ends or is stopped. Each is used once.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::ClientConfig;
use session_api::PairingCode;
use tokio::sync::{mpsc, watch};
use url::Url;
use whatsapp_rust::bot::BotHandle;
use whatsapp_rust::pair_code::{PairCodeError, PairCodeOptions, PairError};
use whatsapp_rust::prelude::{Bot, Client, SqliteStore, TokioRuntime};
use whatsapp_rust::send::{SendError, SendOptions};
use whatsapp_rust::store::{SqliteStoreConfig, Synchronous};
use whatsapp_rust::wacore::store::DevicePropsOverride;
use whatsapp_rust::wacore_binary::Jid;
use whatsapp_rust::waproto::codec::message_decode;
use whatsapp_rust::waproto::whatsapp::device_props::PlatformType;

use super::durability::CommitInbound;
use super::http_client::BoundedHttp;
use super::proxy::Route;
use super::transport::Dialer;
use crate::config::ClientVersion;
use crate::metrics::Metrics;
use crate::session::state::{Input, Signal, Transmission, reason};
use crate::session::{CodeError, now_ms};
use crate::store::{Store, WHATSAPP_FILE};

mod listener;

use listener::Listener;

/// Longest time that writing one message may take: it may ask the server for devices and keys.
const TRANSMIT_TIMEOUT: Duration = Duration::from_secs(90);
/// Longest time that a client may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a pairing code can be used. Source: whatsapp-rust `PairCodeUtils::code_validity`.
const CODE_VALID_MS: u64 = 180_000;
/// Pause after WhatsApp refuses a pairing code without naming one.
const CODE_PAUSE_MS: u64 = 60_000;

/// How to build a client.
#[derive(Clone)]
pub(crate) struct EngineConfig {
    /// The data directory.
    pub data_dir: PathBuf,
    /// WhatsApp's websocket.
    pub url: Url,
    /// Roots.
    pub tls: Arc<ClientConfig>,
    /// Proxy.
    pub proxy: Option<Url>,
    /// Hosts that are reached without it, as `NO_PROXY` lists them.
    pub no_proxy: String,
    /// Name of the device on the phone.
    pub device_name: String,
    /// Pinned client version.
    pub client_version: Option<ClientVersion>,
    /// Whether `ping` is answered right now.
    pub auto_reply: Arc<AtomicBool>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Tells the session task what a client says, in the client's name.
#[derive(Clone)]
pub(super) struct Reporter {
    generation: u64,
    to: mpsc::UnboundedSender<Input>,
    /// Counters.
    pub(super) metrics: Arc<Metrics>,
}

impl Reporter {
    /// The client says something.
    pub(super) fn tell(&self, signal: Signal) {
        self.input(Input::Engine { generation: self.generation, signal });
    }

    /// Something happens beside the client.
    pub(super) fn input(&self, input: Input) {
        // The session task outlives every client; after it nobody needs to know.
        let _stopped = self.to.send(input);
    }
}

/// A running client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    generation: u64,
    client: Arc<OnceLock<Arc<Client>>>,
    stop: watch::Sender<bool>,
}

/// Figures of the running client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Bytes written to the socket.
    pub bytes_sent: u64,
    /// Bytes read from it.
    pub bytes_received: u64,
    /// Connections tried again.
    pub reconnects: u64,
    /// Sends held back by the client's own limit on repetitions.
    pub resends_throttled: u64,
}

impl Engine {
    /// Starts a client. What it says goes to `to`; the last is [`Signal::Gone`] or [`Signal::Broken`].
    pub(crate) fn start(
        config: EngineConfig,
        generation: u64,
        store: Arc<Store>,
        to: mpsc::UnboundedSender<Input>,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let engine = Self { generation, client: Arc::new(OnceLock::new()), stop };
        let reporter = Reporter { generation, to, metrics: Arc::clone(&config.metrics) };
        let client = Arc::clone(&engine.client);
        tokio::spawn(async move {
            let last = match build(config, store, &client, reporter.clone()).await {
                Ok(handle) => {
                    run(handle, stopped).await;
                    Signal::Gone
                }
                Err(broken) => broken,
            };
            reporter.tell(last);
        });
        engine
    }

    /// Which client this is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Ends the client gracefully; [`Signal::Gone`] follows.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Writes a message to the wire.
    pub(crate) async fn transmit(&self, id: &str, to: &str, message: &[u8]) -> Transmission {
        let Some(client) = self.client.get() else { return Transmission::Disconnected };
        let (Ok(to), Ok(message)) = (to.parse::<Jid>(), message_decode(message)) else {
            return Transmission::Impossible(reason("unreadable", "the stored message cannot be read"));
        };
        let options = SendOptions::default().with_message_id(id);
        let sending = client.send_message_with_options(to, message, options);
        match tokio::time::timeout(TRANSMIT_TIMEOUT, sending).await {
            Ok(Ok(_)) => Transmission::Written,
            Ok(Err(error)) => failed(&error),
            Err(_) => Transmission::Failed,
        }
    }

    /// Asks for a code to be typed into the phone. `phone` is digits only.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn pairing_code(&self, phone: String) -> Result<PairingCode, CodeError> {
        let client =
            self.client.get().ok_or_else(|| CodeError::Failed("the client is not ready".to_owned()))?;
        let asked_at = now_ms();
        let options = PairCodeOptions { phone_number: phone, ..Default::default() };
        let code = client.pair_with_code(options).await.map_err(|error| code_error(&error))?;
        Ok(PairingCode { code, expires_at: asked_at + CODE_VALID_MS })
    }

    /// Removes the device from the account.
    pub(crate) async fn log_out(&self) {
        if let Some(client) = self.client.get() {
            client.logout().await;
        }
    }

    /// Whether the client has given up saving its keys.
    pub(crate) fn saver_halted(&self) -> bool {
        self.client.get().is_some_and(|client| client.persistence_manager().is_saver_halted())
    }

    /// Figures so far.
    pub(crate) fn figures(&self) -> Figures {
        self.client.get().map(|client| client.stats()).map_or_else(Figures::default, |stats| Figures {
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            reconnects: stats.reconnects,
            resends_throttled: stats.resends_throttled,
        })
    }
}

fn failed(error: &SendError) -> Transmission {
    // The text of the error may hold a number.
    match error {
        SendError::NotLoggedIn | SendError::Client(_) => Transmission::Disconnected,
        SendError::InvalidRequest(_) => Transmission::Impossible(reason(
            "invalid_message",
            "the protocol library refuses the message or its recipient",
        )),
        SendError::Iq(_) | SendError::Internal(_) | _ => Transmission::Failed,
    }
}

fn code_error(error: &PairError) -> CodeError {
    let pause =
        error.backoff().and_then(|pause| u64::try_from(pause.as_millis()).ok()).unwrap_or(CODE_PAUSE_MS);
    match (error, error.rejection()) {
        (PairError::PairCode(PairCodeError::CodeAlreadyOutstanding { remaining }), _) => {
            CodeError::Outstanding(u64::try_from(remaining.as_millis()).unwrap_or(CODE_VALID_MS))
        }
        (
            PairError::PairCode(
                wrong @ (PairCodeError::PhoneNumberRequired
                | PairCodeError::PhoneNumberTooShort
                | PairCodeError::PhoneNumberNotInternational),
            ),
            _,
        ) => CodeError::InvalidPhone(wrong.to_string()),
        (_, Some(rejection)) if rejection.is_throttled() => CodeError::Throttled(pause),
        (_, Some(whatsapp_rust::pair_code::PairCodeRejection::FeatureNotAvailable)) => CodeError::Unavailable,
        (other, _) => CodeError::Failed(other.to_string()),
    }
}

async fn build(
    config: EngineConfig,
    store: Arc<Store>,
    client: &OnceLock<Arc<Client>>,
    reporter: Reporter,
) -> Result<BotHandle, Signal> {
    let path = config.data_dir.join(WHATSAPP_FILE);
    let settings = SqliteStoreConfig {
        synchronous: Synchronous::Full,
        cache_size_kib: 256,
        ..SqliteStoreConfig::default()
    };
    let backend = SqliteStore::with_config(&path.to_string_lossy(), settings)
        .await
        .map_err(|error| broken("open the credentials", &error))?;
    let live = Arc::new(AtomicBool::new(false));
    let route = Route { proxy: config.proxy, direct: config.no_proxy };
    let dialer = Dialer {
        live: Arc::clone(&live),
        url: config.url,
        tls: Arc::clone(&config.tls),
        route: route.clone(),
        reporter: reporter.clone(),
    };
    let device =
        DevicePropsOverride::new().with_os(config.device_name).with_platform_type(PlatformType::CHROME);
    let hook = CommitInbound {
        store,
        auto_reply: config.auto_reply,
        live: Arc::clone(&live),
        reporter: reporter.clone(),
    };
    let builder = Bot::builder()
        .with_backend(backend)
        .with_transport_factory(dialer)
        .with_http_client(BoundedHttp::new(config.tls, route))
        .with_runtime(TokioRuntime)
        .with_device_props(device)
        .with_inbound_durability_hook(hook.clone())
        .skip_history_sync();
    let builder = match config.client_version {
        Some(version) => builder.with_version(version),
        None => builder,
    };
    let bot = builder.build().await.map_err(|error| broken("build the client", &error))?;
    let listener = Listener { client: Arc::downgrade(&bot.client()), hook, live, reporter };
    bot.client().subscribe_handler(Arc::new(listener)).detach();
    let _only_once = client.set(bot.client());
    Ok(bot.spawn())
}

fn broken(action: &str, error: &dyn std::error::Error) -> Signal {
    tracing::error!(%error, action, "the client cannot be started");
    let message = format!("cannot {action}: {error}");
    Signal::Broken { reason: reason("client_failed", message), passing: true }
}

/// Runs the client until it ends by itself or is stopped, and leaves nothing of it unsaved.
async fn run(mut handle: BotHandle, mut stopped: watch::Receiver<bool>) {
    let client = handle.client();
    tokio::select! {
        () = &mut handle => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    if tokio::time::timeout(STOP_TIMEOUT, client.disconnect()).await.is_err() {
        tracing::warn!("the client did not end in time and was cut off");
        handle.abort();
    }
}
