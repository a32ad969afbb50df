//! The volumes of a pod (pure).
//!
//! Comes in: a volume of a pod and what its sources hold. Goes out: its content as a value.

use k8s_openapi::api::core::v1::{KeyToPath, Pod, Volume, VolumeProjection};

use super::environment::{Data, Facts, field, found};
use super::plan::PlanError;

const MODE: u32 = 0o644;

/// One file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VolumeFile {
    /// Below the volume.
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// These files, read-only.
    Files(Vec<VolumeFile>),
    /// Nothing at first; it goes with the pod.
    Scratch,
    /// A persistent volume by its name.
    Claim { uid: String, volume: String },
}

/// Something that must be read from the API before a pod can start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reference {
    Secret(String),
    ConfigMap(String),
    Claim(String),
    /// Audience (empty: the API server's) and validity, seconds.
    Token(String, i64),
}

/// All that a pod refers to, once each.
pub(super) fn references(pod: &Pod) -> Vec<Reference> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let environment = spec.containers.iter().flat_map(|container| {
        let from = container.env_from.iter().flatten().flat_map(|source| {
            let secret = source.secret_ref.as_ref().map(|it| Reference::Secret(it.name.clone()));
            secret
                .into_iter()
                .chain(source.config_map_ref.as_ref().map(|it| Reference::ConfigMap(it.name.clone())))
        });
        let each = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
        from.chain(each.flat_map(|source| {
            let secret = source.secret_key_ref.as_ref().map(|it| Reference::Secret(it.name.clone()));
            secret
                .into_iter()
                .chain(source.config_map_key_ref.as_ref().map(|it| Reference::ConfigMap(it.name.clone())))
        }))
    });
    let volumes = spec.volumes.iter().flatten().flat_map(of_volume);
    let mut all: Vec<_> = environment.chain(volumes).collect();
    all.sort();
    all.dedup();
    all
}

fn of_volume(volume: &Volume) -> Vec<Reference> {
    let mut all = Vec::new();
    all.extend(volume.secret.as_ref().and_then(|it| it.secret_name.clone()).map(Reference::Secret));
    all.extend(volume.config_map.as_ref().map(|it| Reference::ConfigMap(it.name.clone())));
    all.extend(volume.persistent_volume_claim.as_ref().map(|it| Reference::Claim(it.claim_name.clone())));
    for source in volume.projected.iter().flat_map(|it| it.sources.iter().flatten()) {
        all.extend(source.secret.as_ref().map(|it| Reference::Secret(it.name.clone())));
        all.extend(source.config_map.as_ref().map(|it| Reference::ConfigMap(it.name.clone())));
        all.extend(source.service_account_token.as_ref().map(|it| {
            Reference::Token(it.audience.clone().unwrap_or_default(), it.expiration_seconds.unwrap_or(3600))
        }));
    }
    all
}

/// What a volume holds. A source that is missing keeps the pod from starting.
pub(super) fn content(volume: &Volume, facts: &Facts<'_>) -> Result<Content, PlanError> {
    let missing = |error| {
        let PlanError::Config(text) = error else { return error };
        PlanError::Volume(format!("volume \"{}\": {text}", volume.name))
    };
    let sources = facts.sources;
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        let data = found("secret", &sources.secrets, name, secret.optional).map_err(missing)?;
        return files(data, secret.items.as_deref(), secret.default_mode).map(Content::Files);
    }
    if let Some(map) = &volume.config_map {
        let data = found("configmap", &sources.maps, &map.name, map.optional).map_err(missing)?;
        return files(data, map.items.as_deref(), map.default_mode).map(Content::Files);
    }
    if let Some(projected) = &volume.projected {
        let parts =
            projected.sources.iter().flatten().map(|it| projection(it, projected.default_mode, facts));
        let parts: Result<Vec<_>, _> = parts.collect();
        return Ok(Content::Files(parts.map_err(missing)?.concat()));
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        let found = sources.claims.get(&claim.claim_name).cloned();
        let found = found.map(|(uid, volume)| Content::Claim { uid, volume });
        return found
            .ok_or_else(|| PlanError::Volume(format!("claim \"{}\" is not bound", claim.claim_name)));
    }
    match volume.empty_dir {
        Some(_) => Ok(Content::Scratch),
        None => Err(PlanError::Unsupported(format!("the type of volume \"{}\"", volume.name))),
    }
}

fn projection(
    source: &VolumeProjection,
    mode: Option<i32>,
    facts: &Facts<'_>,
) -> Result<Vec<VolumeFile>, PlanError> {
    let sources = facts.sources;
    if let Some(secret) = &source.secret {
        return files(
            found("secret", &sources.secrets, &secret.name, secret.optional)?,
            secret.items.as_deref(),
            mode,
        );
    }
    if let Some(map) = &source.config_map {
        return files(
            found("configmap", &sources.maps, &map.name, map.optional)?,
            map.items.as_deref(),
            mode,
        );
    }
    if let Some(token) = &source.service_account_token {
        let text = sources.tokens.get(token.audience.as_deref().unwrap_or_default());
        let text = text.ok_or_else(|| PlanError::Volume("no service account token yet".into()))?;
        return Ok(vec![file(&token.path, text.as_bytes(), mode)]);
    }
    let fields = source.downward_api.iter().flat_map(|it| it.items.iter().flatten());
    fields
        .map(|item| {
            let path =
                item.field_ref.as_ref().map(|reference| reference.field_path.as_str()).unwrap_or_default();
            let value =
                field(path, facts).ok_or_else(|| PlanError::Unsupported(format!("fieldRef {path}")))?;
            Ok(file(&item.path, value.as_bytes(), item.mode.or(mode)))
        })
        .collect()
}

fn files(
    data: Option<&Data>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
) -> Result<Vec<VolumeFile>, PlanError> {
    let Some(data) = data else { return Ok(Vec::new()) };
    let Some(items) = items else {
        return Ok(data.iter().map(|(key, value)| file(key, value, mode)).collect());
    };
    let one = |item: &KeyToPath| {
        let value =
            data.get(&item.key).ok_or_else(|| PlanError::Volume(format!("no key \"{}\"", item.key)))?;
        Ok(file(&item.path, value, item.mode.or(mode)))
    };
    items.iter().map(one).collect()
}

fn file(path: &str, bytes: &[u8], mode: Option<i32>) -> VolumeFile {
    let mode = mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(MODE);
    VolumeFile { path: path.to_owned(), bytes: bytes.to_vec(), mode }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::node::environment::Sources;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    fn pod(volumes: &serde_json::Value) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"namespace": "n"}, "spec": {"containers": [], "volumes": volumes}}),
        )
        .unwrap()
    }

    fn contents(pod: &Pod, sources: &Sources) -> Vec<Result<Content, PlanError>> {
        let ip = Ipv4Addr::LOCALHOST;
        let facts = Facts { pod, pod_ip: ip, host_ip: ip, basics: &[], overrides: &[], sources };
        pod.spec.as_ref().unwrap().volumes.iter().flatten().map(|volume| content(volume, &facts)).collect()
    }

    #[test]
    fn the_volume_of_a_service_account_has_its_three_files() {
        let pod = pod(&json!([{"name": "api", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]}}]));
        let wanted =
            vec![Reference::ConfigMap("kube-root-ca.crt".into()), Reference::Token(String::new(), 3607)];
        assert_eq!(references(&pod), wanted);
        let map = Data::from([("ca.crt".to_owned(), b"CA".to_vec())]);
        let sources = Sources {
            maps: BTreeMap::from([("kube-root-ca.crt".to_owned(), map)]),
            tokens: BTreeMap::from([(String::new(), "T".to_owned())]),
            ..Sources::default()
        };
        let expected = [("token", "T"), ("ca.crt", "CA"), ("namespace", "n")];
        let expected = expected.map(|(path, text)| file(path, text.as_bytes(), Some(0o644))).to_vec();
        assert_eq!(contents(&pod, &sources), [Ok(Content::Files(expected))]);
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_optional_may_be() {
        let pod = pod(&json!([
            {"name": "a", "secret": {"secretName": "s"}},
            {"name": "b", "secret": {"secretName": "s", "optional": true}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
        ]));
        let all = contents(&pod, &Sources::default());
        assert_eq!(all[0], Err(PlanError::Volume("volume \"a\": secret \"s\" not found".into())));
        assert_eq!(all[1], Ok(Content::Files(Vec::new())));
        assert_eq!(all[2], Err(PlanError::Volume("claim \"data\" is not bound".into())));
    }
}
