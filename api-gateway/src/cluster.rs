//! The way to the API server: a client, the own namespace, and what its errors mean to people.
//!
//! Comes in: the environment (in a pod the service account, elsewhere a kubeconfig). Goes out: a [`Cluster`]. It must not
//! know a session; nothing here is called while a request is routed.

pub mod board;
pub mod trouble;
pub mod watch;

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use kube::api::{PatchParams, PostParams};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::trouble::Trouble;

/// The gateway's name as a writer.
pub const FIELD_MANAGER: &str = "warest-gateway";

/// Longest wait for a connection to the API server.
const CONNECT: Duration = Duration::from_secs(5);
/// How much longer than a watch lasts an answer may be silent. The server ends a watch before that, so a dead connection is
/// noticed within this time.
const SILENCE: Duration = Duration::from_secs(5);

/// Longest wait for the answer to a call that is no watch.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client, and where the gateway itself lives.
#[derive(Clone)]
pub struct Cluster {
    /// The client. It retries nothing by itself.
    pub client: Client,
    /// The gateway's own namespace: the service account's, else the kubeconfig context's.
    pub namespace: String,
    /// After so many seconds the server ends a watch, and it is taken up again where it ended.
    pub watch_timeout: u32,
}

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Neither a service account nor a kubeconfig.
    #[error(
        "no way to a Kubernetes API server: run in a pod with a service account, or set KUBECONFIG ({0}); \
         WAREST_MODE=local needs no cluster"
    )]
    NoConfiguration(#[source] kube::config::KubeconfigError),
    /// What was found cannot be used.
    #[error("cannot make a client of the Kubernetes API server: {0}")]
    Client(#[source] kube::Error),
}

impl Cluster {
    /// Finds the way: in a pod by the service account, else by `KUBECONFIG`. Does not connect yet.
    pub async fn find(namespace: Option<String>, watch_timeout: u32) -> Result<Self, ClusterError> {
        // The client wants a provider of TLS. An error says that there is one already.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let mut config = match Config::incluster() {
            Ok(config) => config,
            Err(_not_in_a_pod) => Config::from_kubeconfig(&kube::config::KubeConfigOptions::default())
                .await
                .map_err(ClusterError::NoConfiguration)?,
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(Duration::from_secs(watch_timeout.into()) + SILENCE);
        config.reset_reader_on_write = true;
        config.default_retry = false;
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(ClusterError::Client)?;
        Ok(Self { client, namespace, watch_timeout })
    }
}

/// A call's answer, for which is waited a bounded time.
pub async fn within<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
    let late = || Trouble::Away(format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, call).await.map_err(|_| late())?.map_err(Trouble::from)
}

/// Parameters of a patch in the gateway's name.
pub fn named() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Makes an object with no fields but these: a typed one would spell out today's defaults.
pub async fn create<K>(client: &Client, api: &Api<K>, object: &Value) -> Result<K, Trouble>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let request =
        kube::core::Request::new(api.resource_url()).create(&parameters, object.to_string().into_bytes());
    within(client.request(request.map_err(|error| Trouble::Away(error.to_string()))?)).await
}
