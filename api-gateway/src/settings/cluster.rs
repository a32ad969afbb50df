//! Settings in a `ConfigMap` and a Secret of one name in the gateway's own namespace, followed for as long as it runs.
//!
//! Comes in: changes, of any replica or by kubectl. Goes out: the values that hold. An object that cannot be used changes
//! nothing: the last good values hold, and the board says what is wrong.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::join;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Patch;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Settings, SettingsStore, Stored, Unusable};
use crate::cluster::board::Line;
use crate::cluster::trouble::Trouble;
use crate::cluster::watch::{News, Source, follow};
use crate::cluster::{Cluster, FIELD_MANAGER, create, named, within};
use crate::directory::DirectoryError;
use crate::directory::kubernetes::follow::newest;

/// Settings in a cluster.
#[derive(Clone)]
pub struct ClusterSettingsStore {
    cluster: Cluster,
    name: String,
    environment: Arc<Settings>,
    held: Arc<Mutex<Held>>,
}

/// What the two objects hold.
#[derive(Default)]
struct Held {
    config: Part,
    secret: Part,
}

/// What one of them holds, and its resource version.
#[derive(Default)]
struct Part {
    version: u64,
    stored: Stored,
}

impl Part {
    /// Takes in what was read, unless something newer is known: answers to own changes and news of the watch overtake each other.
    fn put(&mut self, read: Self) {
        if read.version >= self.version {
            *self = read;
        }
    }
}

/// An object as it was read: its version, and its values if they can be used.
type Read = (u64, Result<Stored, Unusable>);

impl ClusterSettingsStore {
    /// Settings under this name. They are followed by [`ClusterSettingsStore::keep`].
    pub fn new(cluster: Cluster, name: String, environment: Settings) -> Self {
        Self { cluster, name, environment: Arc::new(environment), held: Arc::default() }
    }

    /// Follows both objects, each with its line on the board. Does not end.
    pub async fn keep(self, config: Line, secret: Line) {
        let configs = Source::named(&self.cluster, self.configs(), &self.name, config.clone());
        let configs = follow(configs, read_config, |news| {
            self.take("ConfigMap", &config, news, |held| &mut held.config);
        });
        let secrets = Source::named(&self.cluster, self.secrets(), &self.name, secret.clone());
        let secrets = follow(secrets, read_secret, |news| {
            self.take("Secret", &secret, news, |held| &mut held.secret);
        });
        join(configs, secrets).await;
    }

    fn take(&self, kind: &str, line: &Line, news: News<Read>, part: fn(&mut Held) -> &mut Part) {
        line.up();
        let read = match news {
            News::Gone((version, _)) => Some((version, Ok(Stored::default()))),
            news @ (News::All(_) | News::Now(_)) => newest(news),
        };
        match read {
            // An object that is not there holds nothing.
            None => part(&mut self.held()).stored = Stored::default(),
            Some((version, Ok(stored))) => part(&mut self.held()).put(Part { version, stored }),
            Some((_, Err(error))) => {
                let place = format!("{}/{}", self.cluster.namespace, self.name);
                line.down(format!("the {kind} {place} cannot be used, the last good settings hold: {error}"));
            }
        }
    }

    /// The answer to an own change. The watch brings the same, a little later, and says what cannot be used.
    fn wrote(&self, (version, read): Read, part: fn(&mut Held) -> &mut Part) {
        if let Ok(stored) = read {
            part(&mut self.held()).put(Part { version, stored });
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn configs(&self) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace)
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace)
    }

    /// Changes fields of an object's data, and makes the object if there is none. Goes out: the object.
    async fn write<K>(&self, api: &Api<K>, kind: &str, field: &str, data: Value) -> Result<K, Trouble>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
    {
        let change = json!({field: data});
        let patch = async || within(api.patch(&self.name, &named(), &Patch::Merge(&change))).await;
        match patch().await {
            Err(Trouble::NotFound) => {}
            other => return other,
        }
        let labels = json!({"app.kubernetes.io/managed-by": FIELD_MANAGER});
        let metadata = json!({"name": self.name, "labels": labels});
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, field: data});
        match create::<K>(&self.cluster.client, api, &object).await {
            Err(Trouble::AlreadyExists) => patch().await,
            other => other,
        }
    }
}

fn version(object: &impl Resource) -> u64 {
    object.meta().resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn read_config(object: ConfigMap) -> Read {
    (version(&object), Stored::from_config(&object.data.unwrap_or_default()))
}

fn read_secret(object: Secret) -> Read {
    let version = version(&object);
    let text = |value: k8s_openapi::ByteString| String::from_utf8(value.0).ok();
    let data: BTreeMap<String, String> = object
        .data
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(key, value)| Some((key, text(value)?)))
        .collect();
    (version, Stored::from_secret(&data))
}

#[async_trait]
impl SettingsStore for ClusterSettingsStore {
    fn current(&self) -> Settings {
        let held = self.held();
        held.config.stored.clone().with(held.secret.stored.clone()).over(&self.environment)
    }

    async fn change(&self, change: Stored) -> Result<(), DirectoryError> {
        // The secret first: a receiver is never told of with the key of the one before.
        let (config, secret) = (change.config(), change.secret());
        if !secret.is_empty() {
            let written = self.write(&self.secrets(), "Secret", "stringData", json!(secret)).await?;
            self.wrote(read_secret(written), |held| &mut held.secret);
        }
        if !config.is_empty() {
            let written = self.write(&self.configs(), "ConfigMap", "data", json!(config)).await;
            let written =
                written.map_err(|trouble| if secret.is_empty() { trouble.into() } else { half(&trouble) })?;
            self.wrote(read_config(written), |held| &mut held.config);
        }
        Ok(())
    }
}

/// Two objects cannot be changed at once.
fn half(trouble: &Trouble) -> DirectoryError {
    let told =
        "the key of the webhook was stored and holds, but nobody knows whether its URL was: send both again";
    let told = format!("{told} ({trouble})");
    match trouble {
        Trouble::Forbidden(_) => DirectoryError::Forbidden(told),
        Trouble::Invalid(_) | Trouble::Refused(_) => DirectoryError::Refused(told),
        Trouble::Away(_)
        | Trouble::NoSuchKind
        | Trouble::Unauthorized
        | Trouble::Forgotten
        | Trouble::NotFound
        | Trouble::AlreadyExists
        | Trouble::Conflict => DirectoryError::Unavailable(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(version: u64, max: u64) -> Part {
        Part { version, stored: Stored { rate_limit_max: Some(max), ..Stored::default() } }
    }

    #[test]
    fn an_older_object_never_replaces_a_newer_one() {
        let mut held = Part::default();
        let seen: Vec<_> = [(5, 1), (7, 2), (6, 3), (7, 2), (9, 4)]
            .into_iter()
            .map(|(version, max)| {
                held.put(part(version, max));
                held.stored.rate_limit_max.unwrap()
            })
            .collect();
        assert_eq!(seen, [1, 2, 2, 2, 4]);
    }
}
