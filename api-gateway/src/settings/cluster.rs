//! Settings in a `ConfigMap` and a Secret of one name in the gateway's own namespace, followed for as long as it runs.
//!
//! Comes in: changes, of any replica or by kubectl. Goes out: the values that hold. An object that cannot be used changes
//! nothing: the last good values hold, and the board says what is wrong.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::join;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Settings, SettingsStore, Stored, Unusable};
use crate::cluster::board::Line;
use crate::cluster::trouble::Trouble;
use crate::cluster::watch::{News, Source, follow};
use crate::cluster::{Cluster, FIELD_MANAGER, create, within};
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
    config: Stored,
    secret: Stored,
}

impl ClusterSettingsStore {
    /// Settings under this name. They are followed by [`ClusterSettingsStore::keep`].
    pub fn new(cluster: Cluster, name: String, environment: Settings) -> Self {
        Self { cluster, name, environment: Arc::new(environment), held: Arc::default() }
    }

    /// Follows both objects, each with its line on the board. Does not end.
    pub async fn keep(self, config: Line, secret: Line) {
        let configs = Source::named(&self.cluster, self.configs(), &self.name, config.clone());
        let configs = follow(configs, read_config, |news| {
            self.take("ConfigMap", &config, news, |held, stored| held.config = stored);
        });
        let secrets = Source::named(&self.cluster, self.secrets(), &self.name, secret.clone());
        let secrets = follow(secrets, read_secret, |news| {
            self.take("Secret", &secret, news, |held, stored| held.secret = stored);
        });
        join(configs, secrets).await;
    }

    fn take(
        &self,
        kind: &str,
        line: &Line,
        news: News<Result<Stored, Unusable>>,
        put: impl FnOnce(&mut Held, Stored),
    ) {
        // An object that is not there holds nothing.
        let read = newest(news).unwrap_or_else(|| Ok(Stored::default()));
        line.up();
        match read {
            Ok(stored) => put(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner), stored),
            Err(error) => {
                let place = format!("{}/{}", self.cluster.namespace, self.name);
                line.down(format!("the {kind} {place} cannot be used, the last good settings hold: {error}"));
            }
        }
    }

    fn configs(&self) -> Api<ConfigMap> {
        Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace)
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace)
    }

    /// Changes fields of an object's data, and makes the object if there is none.
    async fn write<K>(&self, api: &Api<K>, kind: &str, field: &str, data: Value) -> Result<(), Trouble>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
    {
        let change = json!({field: data});
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch =
            async || within(api.patch(&self.name, &parameters, &Patch::Merge(&change))).await.map(drop);
        match patch().await {
            Err(Trouble::NotFound) => {}
            other => return other,
        }
        let labels = json!({"app.kubernetes.io/managed-by": FIELD_MANAGER});
        let metadata = json!({"name": self.name, "labels": labels});
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, field: data});
        match create::<K>(&self.cluster.client, api, &object).await {
            Err(Trouble::AlreadyExists) => patch().await,
            other => other.map(drop),
        }
    }
}

fn read_config(object: ConfigMap) -> Result<Stored, Unusable> {
    Stored::from_config(&object.data.unwrap_or_default())
}

fn read_secret(object: Secret) -> Result<Stored, Unusable> {
    let text = |value: k8s_openapi::ByteString| String::from_utf8(value.0).ok();
    let data: BTreeMap<String, String> = object
        .data
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(key, value)| Some((key, text(value)?)))
        .collect();
    Stored::from_secret(&data)
}

#[async_trait]
impl SettingsStore for ClusterSettingsStore {
    fn current(&self) -> Settings {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.config.clone().with(held.secret.clone()).over(&self.environment)
    }

    async fn change(&self, change: Stored) -> Result<(), DirectoryError> {
        // The secret first: a receiver is never told of with the key of the one before.
        let (config, secret) = (change.config(), change.secret());
        if !secret.is_empty() {
            self.write(&self.secrets(), "Secret", "stringData", json!(secret)).await?;
        }
        if !config.is_empty() {
            self.write(&self.configs(), "ConfigMap", "data", json!(config)).await?;
        }
        // The watch brings the same, a little later.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = Stored { webhook_default_secret: None, ..change.clone() };
        held.config = held.config.clone().with(own);
        held.secret = held
            .secret
            .clone()
            .with(Stored { webhook_default_secret: change.webhook_default_secret, ..Stored::default() });
        Ok(())
    }
}
