//! Calls that change something in the cluster, each bounded in time and sent once.
//!
//! Comes in: a place and what to write. Goes out: what the API server holds now, or a [`Trouble`]. It must not decide.

use crds::WhatsAppSession;
use crds::names;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::ObjectMeta;
use serde_json::Value;

use super::patch;
use crate::cluster::trouble::Trouble;
use crate::cluster::{Cluster, FIELD_MANAGER, create, within};
use crate::session_name::SessionName;

/// Result of a call.
pub(super) type Called<T> = Result<T, Trouble>;

/// Writes into one namespace.
pub(super) struct Writes<'c> {
    cluster: &'c Cluster,
    namespace: &'c str,
}

impl<'c> Writes<'c> {
    pub(super) fn into(cluster: &'c Cluster, namespace: &'c str) -> Self {
        Self { cluster, namespace }
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
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        within(self.sessions().patch(id.as_str(), &parameters, &Patch::Merge(change))).await
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

    /// Writes the Secret with a webhook's key. Not by force: a Secret that somebody else made stays as it is.
    pub(super) async fn webhook_secret(&self, id: &SessionName, uid: &str, secret: &str) -> Called<()> {
        let secrets: Api<Secret> = Api::namespaced(self.cluster.client.clone(), self.namespace);
        let object = patch::webhook_secret(id, uid, secret);
        let name = patch::webhook_secret_name(id);
        let parameters = PatchParams::apply(FIELD_MANAGER);
        let written = within(secrets.patch(&name, &parameters, &Patch::Apply(&object))).await;
        match written {
            Err(Trouble::Conflict) => Err(Trouble::Refused(format!(
                "the Secret {name}, in which the webhook's key is kept, was written by somebody else: rename it, or delete it"
            ))),
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
