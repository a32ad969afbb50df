//! Calls that change something in the cluster, each bounded in time and sent once.
//!
//! Comes in: a place and what to write. Goes out: what the API server holds now, or a [`Trouble`]. It must not decide.

use std::time::Duration;

use crds::WhatsAppSession;
use crds::names;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, Preconditions, PropagationPolicy};
use kube::core::ObjectMeta;
use serde_json::Value;

use super::patch;
use crate::cluster::trouble::Trouble;
use crate::cluster::{Cluster, create, named, within};
use crate::session_name::SessionName;

/// Result of a call.
pub(super) type Called<T> = Result<T, Trouble>;

/// How long the garbage collector is given to take the Secret of a former session of the same name.
const FORMER_GOES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_500),
];

/// Writes into one namespace.
pub(super) struct Writes<'c> {
    cluster: &'c Cluster,
    namespace: &'c str,
}

impl<'c> Writes<'c> {
    pub(super) fn into(cluster: &'c Cluster, namespace: &'c str) -> Self {
        Self { cluster, namespace }
    }

    pub(super) const fn namespace(&self) -> &str {
        self.namespace
    }

    fn sessions(&self) -> Api<WhatsAppSession> {
        Api::namespaced(self.cluster.client.clone(), self.namespace)
    }

    pub(super) async fn create(&self, resource: &Value) -> Called<WhatsAppSession> {
        create(&self.cluster.client, &self.sessions(), resource).await
    }

    pub(super) async fn get(&self, id: &SessionName) -> Called<WhatsAppSession> {
        within(self.sessions().get(id.as_str())).await
    }

    pub(super) async fn patch(&self, id: &SessionName, change: &Value) -> Called<WhatsAppSession> {
        within(self.sessions().patch(id.as_str(), &named(), &Patch::Merge(change))).await
    }

    /// In the foreground: the resource stays, marked as being deleted, until its pod has ended.
    pub(super) async fn delete(&self, id: &SessionName, uid: &str) -> Called<()> {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        within(self.sessions().delete(id.as_str(), &parameters)).await.map(drop)
    }

    /// Writes the Secret with a webhook's key: a new one, or the one that this session owns. Any other stays as it is; that of a
    /// former session of this name is given time to go.
    pub(super) async fn webhook_secret(&self, id: &SessionName, uid: &str, secret: &str) -> Called<()> {
        for wait in FORMER_GOES {
            match self.put_webhook_secret(id, uid, secret).await {
                Err(Trouble::Conflict) => tokio::time::sleep(wait).await,
                other => return other,
            }
        }
        self.put_webhook_secret(id, uid, secret).await.map_err(|trouble| {
            if trouble != Trouble::Conflict {
                return trouble;
            }
            let name = patch::webhook_secret_name(id);
            Trouble::Refused(format!(
                "the Secret {name}, in which the webhook's key is to be kept, is not this session's: try again if it is a former \
                 session's, else rename or delete it"
            ))
        })
    }

    async fn put_webhook_secret(&self, id: &SessionName, uid: &str, secret: &str) -> Called<()> {
        let (client, name) = (&self.cluster.client, patch::webhook_secret_name(id));
        let secrets: Api<Secret> = Api::namespaced(client.clone(), self.namespace);
        let change = serde_json::from_value(patch::webhook_key(uid, secret));
        let change = Patch::Json::<()>(change.map_err(|error| Trouble::Refused(error.to_string()))?);
        match within(secrets.patch(&name, &named(), &change)).await {
            Err(Trouble::NotFound) => {}
            other => return other.map(drop),
        }
        match create::<Secret>(client, &secrets, &patch::webhook_secret(id, uid, secret)).await {
            // Somebody else was quicker.
            Err(Trouble::AlreadyExists) => Err(Trouble::Conflict),
            other => other.map(drop),
        }
    }

    /// What is said of the volume that a session of this name has or had.
    pub(super) async fn claim(&self, id: &SessionName) -> Called<Option<ObjectMeta>> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.cluster.client.clone(), self.namespace);
        let claim = within(claims.get_metadata_opt(&names::claim(id.as_str()))).await?;
        Ok(claim.map(|claim| claim.metadata))
    }
}
