//! The claim with the credentials.

use std::collections::BTreeMap;

use crds::names;
use crds::spec::{AccessMode, RetentionPolicy};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata;
use crate::observe::RESET_TOKEN;
use crate::validate::Valid;

/// Builds the claim. It carries the reset token that it is made for, so that it can be told from the one before, and the
/// name of the API key whose session it is: a kept volume is nobody else's.
pub fn build(valid: &Valid) -> PersistentVolumeClaim {
    let storage = &valid.spec.storage;
    let mut meta = metadata(valid, names::claim(valid.key.name()));
    if valid.spec.retention_policy == RetentionPolicy::Retain {
        meta.owner_references = None;
    }
    let token = valid.spec.volume_reset_token.clone().map(|token| (RESET_TOKEN.to_owned(), token));
    let owner = valid.owner.clone().map(|owner| (names::OWNER.to_owned(), owner));
    meta.annotations = Some(token.into_iter().chain(owner).collect());
    PersistentVolumeClaim {
        metadata: meta,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![access_mode(storage.access_mode).to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(storage.size.clone()))])),
                limits: None,
            }),
            storage_class_name: storage.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// An access mode as Kubernetes writes it.
pub const fn access_mode(mode: AccessMode) -> &'static str {
    match mode {
        AccessMode::ReadWriteOncePod => "ReadWriteOncePod",
        AccessMode::ReadWriteOnce => "ReadWriteOnce",
    }
}

/// Name of the claim that a session uses.
pub fn name(session: &str, spec: &crds::WhatsAppSessionSpec) -> String {
    spec.storage.existing_claim.as_ref().map_or_else(|| names::claim(session), |claim| claim.name.clone())
}

/// The folder in the claim that is the session's, written one way only.
pub fn folder(spec: &crds::WhatsAppSessionSpec) -> String {
    let path = spec.storage.existing_claim.as_ref().and_then(|claim| claim.sub_path.as_deref()).unwrap_or("");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/")
}

/// The place where a session keeps its credentials: claim and folder. No two sessions of a namespace may have the same.
pub fn place(session: &str, spec: &crds::WhatsAppSessionSpec) -> (String, String) {
    (name(session, spec), folder(spec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tests::valid;

    #[test]
    fn a_claim_has_the_size_mode_and_class_that_were_asked_for() {
        let of = |spec: &str| serde_json::to_value(build(&valid(spec))).unwrap();
        let claim = of(
            r#"{"storage":{"size":"2Gi","storageClassName":"fast","accessMode":"ReadWriteOnce"},"volumeResetToken":"t1"}"#,
        );
        assert_eq!(claim["metadata"]["name"], "toko-session");
        assert_eq!(claim["metadata"]["annotations"][RESET_TOKEN], "t1");
        assert_eq!(
            claim["spec"],
            serde_json::json!({
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "2Gi"}},
                "storageClassName": "fast",
            })
        );
        assert_eq!(of("{}")["spec"]["accessModes"][0], "ReadWriteOncePod");
    }

    #[test]
    fn the_same_folder_is_the_same_however_it_is_written() {
        let of = |path: &str| {
            folder(
                &valid(&format!(r#"{{"storage":{{"existingClaim":{{"name":"c","subPath":"{path}"}}}}}}"#))
                    .spec,
            )
        };
        assert_eq!(of("a/b"), of("a//b/"));
        assert_eq!(of("./a/b"), "a/b");
        assert_ne!(of("a"), of("b"));
        assert_eq!(folder(&valid("{}").spec), "");
    }
}
