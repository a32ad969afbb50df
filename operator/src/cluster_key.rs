//! The key that all tokens are derived from: a Secret that is made once and never changed.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::names;
use crds::token::TokenKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use rustls::crypto::ring;

use crate::call::{CallError, call, maybe};

/// There is no key.
#[derive(Debug, thiserror::Error)]
pub enum ClusterKeyError {
    /// The Secret cannot be read.
    #[error("read the Secret {name}: {0}", name = names::CLUSTER_KEY_SECRET)]
    Read(#[source] CallError),
    /// The Secret cannot be made.
    #[error("make the Secret {name}: {0}", name = names::CLUSTER_KEY_SECRET)]
    Create(#[source] CallError),
    /// No random numbers are to be had.
    #[error("draw a random key: the system gives no random numbers")]
    Random,
    /// The Secret holds something else.
    #[error(
        "the Secret {} must hold 32 bytes under {}: delete it to have a new one made (all pods get new tokens)",
        names::CLUSTER_KEY_SECRET,
        names::CLUSTER_KEY
    )]
    Shape,
}

/// How often it is tried while the API server cannot answer …
const TRIES: usize = 30;

/// … and the pause in between.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads the key, and makes one if there is none. A passing failure is tried again for a while.
///
/// # Errors
/// There is none, and none can be made.
pub async fn obtain(client: &Client, namespace: &str) -> Result<TokenKey, ClusterKeyError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for _ in 1..TRIES {
        match attempt(&api).await {
            Err(
                error @ (ClusterKeyError::Read(CallError::Late | CallError::Passing(_))
                | ClusterKeyError::Create(CallError::Late | CallError::Passing(_))),
            ) => {
                tracing::warn!("it is tried again: {error}");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
    attempt(&api).await
}

async fn attempt(api: &Api<Secret>) -> Result<TokenKey, ClusterKeyError> {
    if let Some(secret) = maybe(api.get(names::CLUSTER_KEY_SECRET)).await.map_err(ClusterKeyError::Read)? {
        return read(&secret);
    }
    match call(api.create(&PostParams::default(), &new()?)).await {
        Ok(secret) => read(&secret),
        // Another operator was quicker: its key is the one.
        Err(CallError::Exists) => {
            read(&call(api.get(names::CLUSTER_KEY_SECRET)).await.map_err(ClusterKeyError::Read)?)
        }
        Err(error) => Err(ClusterKeyError::Create(error)),
    }
}

fn new() -> Result<Secret, ClusterKeyError> {
    let mut key: TokenKey = [0; 32];
    ring::default_provider().secure_random.fill(&mut key).map_err(|_| ClusterKeyError::Random)?;
    let mut secret = Secret {
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([(names::CLUSTER_KEY.to_owned(), ByteString(key.to_vec()))])),
        ..Secret::default()
    };
    secret.metadata.name = Some(names::CLUSTER_KEY_SECRET.to_owned());
    secret.metadata.labels =
        Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), names::MANAGED_BY.to_owned())]));
    Ok(secret)
}

fn read(secret: &Secret) -> Result<TokenKey, ClusterKeyError> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(names::CLUSTER_KEY));
    bytes.and_then(|bytes| bytes.0.as_slice().try_into().ok()).ok_or(ClusterKeyError::Shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back_and_no_two_are_alike() {
        let (one, another) = (new().unwrap(), new().unwrap());
        assert_ne!(read(&one).unwrap(), read(&another).unwrap());
        assert!(matches!(read(&Secret::default()), Err(ClusterKeyError::Shape)));
    }
}
