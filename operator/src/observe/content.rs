//! Objects of which only owner and content matter (a Secret, a `NetworkPolicy`), and what all objects have alike.

use crds::names;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Owner;

/// An object's owner and a hash of what is in it. The content itself is not kept: it may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentSeen {
    /// Its UID.
    pub uid: String,
    /// Its resource version.
    pub version: String,
    /// Who controls it.
    pub owner: Option<Owner>,
    /// It has the labels that all children have.
    pub labelled: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// Hash of its content.
    pub hash: String,
}

impl ContentSeen {
    /// Reads an object's metadata; the hash is that of its content.
    pub fn of(meta: &ObjectMeta, hash: String) -> Self {
        let owner = controller(meta);
        let session = label(meta, names::SESSION).unwrap_or_default().to_owned();
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.clone().unwrap_or_default(),
            labelled: labelled(meta, &session, owner.as_ref().map_or("", |owner| &owner.uid)),
            owner,
            deleting: meta.deletion_timestamp.is_some(),
            hash,
        }
    }
}

/// Hash of a Secret's data.
pub fn secret_content(secret: &Secret) -> String {
    hash(&secret.data)
}

/// Hash of a `NetworkPolicy`'s rules.
pub fn network_policy_content(policy: &NetworkPolicy) -> String {
    hash(&policy.spec)
}

/// The first 16 hex digits of the SHA-256 of a value's JSON.
pub(crate) fn hash<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_vec(value).unwrap_or_default();
    let mut digits = hex::encode(Sha256::digest(json));
    digits.truncate(16);
    digits
}

/// Who controls an object.
pub(super) fn controller(meta: &ObjectMeta) -> Option<Owner> {
    let owner = meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))?;
    Some(Owner { kind: owner.kind.clone(), name: owner.name.clone(), uid: owner.uid.clone() })
}

/// An object's label.
pub(super) fn label<'m>(meta: &'m ObjectMeta, key: &str) -> Option<&'m str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

/// Whether an object has the labels that all children of a session have.
pub(super) fn labelled(meta: &ObjectMeta, session: &str, session_uid: &str) -> bool {
    crate::build::labels(session, session_uid).iter().all(|(key, value)| label(meta, key) == Some(value))
}
