//! Which sessions the objects of each kind matter to.

use crds::names;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cache::Kept;
use crate::observe::{ClaimSeen, ContentSeen, PodSeen, SessionKey, network_policy_content, secret_content};

/// What is kept of a Secret.
#[derive(Debug)]
pub struct SecretKept(pub ContentSeen);

/// What is kept of a `NetworkPolicy`.
#[derive(Debug)]
pub struct NetworkPolicyKept(pub ContentSeen);

impl Kept for PodSeen {
    type Of = Pod;
    const BY_SESSION: bool = true;

    fn read(object: &Pod) -> Self {
        Self::of(object)
    }

    fn sessions(object: &Pod) -> Vec<SessionKey> {
        let mut all = related(&object.metadata);
        all.extend(object.metadata.name.as_ref().map(|name| key(&object.metadata, name)));
        distinct(all)
    }
}

impl Kept for ClaimSeen {
    type Of = PersistentVolumeClaim;
    const BY_SESSION: bool = false;

    fn read(object: &PersistentVolumeClaim) -> Self {
        Self::of(object)
    }

    fn sessions(object: &PersistentVolumeClaim) -> Vec<SessionKey> {
        distinct(related(&object.metadata))
    }
}

impl Kept for SecretKept {
    type Of = Secret;
    const BY_SESSION: bool = false;

    fn read(object: &Secret) -> Self {
        Self(ContentSeen::of(&object.metadata, secret_content(object)))
    }

    fn sessions(object: &Secret) -> Vec<SessionKey> {
        distinct(related(&object.metadata))
    }
}

impl Kept for NetworkPolicyKept {
    type Of = NetworkPolicy;
    const BY_SESSION: bool = false;

    fn read(object: &NetworkPolicy) -> Self {
        Self(ContentSeen::of(&object.metadata, network_policy_content(object)))
    }

    fn sessions(object: &NetworkPolicy) -> Vec<SessionKey> {
        distinct(related(&object.metadata))
    }
}

/// The sessions that an object's labels and owners name.
fn related(meta: &ObjectMeta) -> Vec<SessionKey> {
    let label = meta.labels.iter().filter_map(|all| all.get(names::SESSION));
    let owners = meta.owner_references.iter().flatten().filter(|owner| owner.kind == "WhatsAppSession");
    label.chain(owners.map(|owner| &owner.name)).map(|name| key(meta, name)).collect()
}

fn key(meta: &ObjectMeta, name: &str) -> SessionKey {
    SessionKey::new(meta.namespace.as_deref().unwrap_or_default(), name)
}

fn distinct(mut all: Vec<SessionKey>) -> Vec<SessionKey> {
    all.sort();
    all.dedup();
    all
}
