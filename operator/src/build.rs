//! What shall be: the objects of a session, from its checked resource and the operator's configuration. Pure.

use std::collections::BTreeMap;

use crds::names;
use crds::token::TokenKey;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::config::{NetworkFlags, SessionFlags};
use crate::observe::{SessionKey, network_policy_content, secret_content};
use crate::validate::Valid;

pub mod claim;
pub mod network_policy;
pub mod pod;
pub mod secret;

/// What the operator adds to every session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What its pod is made of.
    pub session: SessionFlags,
    /// Who may reach it.
    pub network: NetworkFlags,
    /// The operator's own namespace.
    pub namespace: String,
    /// Hash of what all pods have alike.
    pub revision: String,
}

impl Settings {
    /// With the revision that follows from them.
    pub fn new(session: SessionFlags, network: NetworkFlags, namespace: String) -> Self {
        Self { revision: pod::revision(&session), session, network, namespace }
    }
}

/// The objects of a session as they shall be.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Its claim, unless it brings its own.
    pub claim: Option<PersistentVolumeClaim>,
    /// Its Secret, and the hash of what is in it.
    pub secret: (Secret, String),
    /// Its `NetworkPolicy`, and the hash of its rules.
    pub network_policy: (NetworkPolicy, String),
    /// Its pod, without what changes with every start.
    pub pod: Pod,
    /// Hash of the pod's template.
    pub template_hash: String,
    /// Hash of what all pods have alike.
    pub revision: String,
    /// Hash of its configuration.
    pub config_hash: String,
}

/// Builds all objects of a session.
pub fn build(valid: &Valid, settings: &Settings, key: &TokenKey) -> Desired {
    let secret = secret::build(valid, key);
    let network_policy = network_policy::build(valid, settings);
    let (pod, template_hash) = pod::build(valid, &settings.session, &settings.revision);
    Desired {
        claim: valid.spec.storage.existing_claim.is_none().then(|| claim::build(valid)),
        secret: (secret.clone(), secret_content(&secret)),
        network_policy: (network_policy.clone(), network_policy_content(&network_policy)),
        pod,
        template_hash,
        revision: settings.revision.clone(),
        config_hash: valid.push.hash.clone(),
    }
}

/// Labels of everything that belongs to a session.
pub fn labels(session: &str, session_uid: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", names::APP),
        ("app.kubernetes.io/instance", session),
        ("app.kubernetes.io/managed-by", names::MANAGED_BY),
        (names::SESSION, session),
        (names::SESSION_UID, session_uid),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The reference that makes an object go with its session.
pub fn owner(key: &SessionKey, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "warest.io/v1alpha1".to_owned(),
        kind: "WhatsAppSession".to_owned(),
        name: key.name().to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn metadata(valid: &Valid, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(valid.key.namespace().to_owned()),
        labels: Some(labels(valid.key.name(), &valid.uid)),
        owner_references: Some(vec![owner(&valid.key, &valid.uid)]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::Config;
    use crate::secrets::References;
    use crate::validate::validate;

    /// The operator's settings with these flags.
    pub(crate) fn settings(flags: &[&str]) -> Settings {
        let config = Config::try_parse_from(
            [&["operator", "--session-image", "warest/session-pod:1"], flags].concat(),
        );
        let config = config.unwrap();
        Settings::new(config.session, config.network, "warest".to_owned())
    }

    /// A checked session with this spec (JSON).
    pub(crate) fn valid(spec: &str) -> Valid {
        let manifest = format!(
            r#"{{"apiVersion":"warest.io/v1alpha1","kind":"WhatsAppSession","metadata":{{"name":"toko","namespace":"shop","uid":"u-1"}},"spec":{spec}}}"#
        );
        validate(&serde_json::from_str(&manifest).unwrap(), &References::default(), &[7; 32]).unwrap()
    }

    #[test]
    fn everything_goes_with_the_session_but_a_volume_that_is_to_stay() {
        let desired = build(&valid("{}"), &settings(&[]), &[7; 32]);
        let owned = |meta: &ObjectMeta| meta.owner_references.as_ref().is_some_and(|all| all[0].uid == "u-1");
        assert!(owned(&desired.pod.metadata) && owned(&desired.secret.0.metadata));
        assert!(owned(&desired.network_policy.0.metadata));
        assert!(!owned(&desired.claim.unwrap().metadata));
        let deleted = build(&valid(r#"{"retentionPolicy":"Delete"}"#), &settings(&[]), &[7; 32]);
        assert!(owned(&deleted.claim.unwrap().metadata));
        let own = build(&valid(r#"{"storage":{"existingClaim":{"name":"mine"}}}"#), &settings(&[]), &[7; 32]);
        assert!(own.claim.is_none());
    }
}
