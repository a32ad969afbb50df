//! The environment of a container (pure).
//!
//! Comes in: a container of a pod and what its sources hold. Goes out: names and values, in Kubernetes' order and with
//! `$(NAME)` expanded. Sources that are missing are errors that say which.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod};

use super::plan::PlanError;

/// Keys and values of a Secret or a `ConfigMap`.
pub(super) type Data = BTreeMap<String, Vec<u8>>;

/// Name and value.
pub(super) type Variable = (String, String);

/// What pods refer to, as it was found.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Secrets by name.
    pub(super) secrets: BTreeMap<String, Data>,
    /// `ConfigMap`s by name.
    pub(super) maps: BTreeMap<String, Data>,
    /// Claims by name: UID and volume.
    pub(super) claims: BTreeMap<String, (String, String)>,
    /// Service account tokens by audience (empty: the API server's).
    pub(super) tokens: BTreeMap<String, String>,
}

/// What is known when a container starts.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) pod: &'a Pod,
    pub(super) pod_ip: Ipv4Addr,
    pub(super) host_ip: Ipv4Addr,
    /// What every container gets, before its own.
    pub(super) basics: &'a [Variable],
    /// What wins over its own; may use `$(POD_IP)`, `$(POD_NAME)` and `$(POD_NAMESPACE)`.
    pub(super) overrides: &'a [Variable],
    pub(super) sources: &'a Sources,
}

/// The whole environment; a later definition of a name has won.
pub(super) fn environment(container: &Container, facts: &Facts<'_>) -> Result<Vec<Variable>, PlanError> {
    let mut known: Vec<Variable> = facts.basics.to_vec();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let secret =
            source.secret_ref.as_ref().map(|it| ("secret", &facts.sources.secrets, &it.name, it.optional));
        let map = source
            .config_map_ref
            .as_ref()
            .map(|it| ("configmap", &facts.sources.maps, &it.name, it.optional));
        let (kind, held, name, optional) =
            secret.or(map).ok_or_else(|| PlanError::Unsupported("envFrom without a source".into()))?;
        for (key, value) in found(kind, held, name, optional)?.into_iter().flatten() {
            set(&mut known, &format!("{prefix}{key}"), text(value));
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value(variable, &known, facts)? {
            set(&mut known, &variable.name, value);
        }
    }
    let of_pod =
        [("POD_IP", "status.podIP"), ("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")];
    let of_pod = of_pod.map(|(name, path)| (name.to_owned(), field(path, facts).unwrap_or_default()));
    for (name, value) in facts.overrides {
        set(&mut known, name, expand(value, &of_pod));
    }
    Ok(known)
}

/// `$(NAME)` becomes its value when the name is known, `$$` becomes `$`.
pub(super) fn expand(text: &str, known: &[Variable]) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            let value = known.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            expanded.push_str(value.map_or_else(|| format!("$({name})"), str::to_owned).as_str());
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded + rest
}

/// The data of a Secret or `ConfigMap`; nothing when it is missing and may be.
pub(super) fn found<'a>(
    kind: &str,
    held: &'a BTreeMap<String, Data>,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a Data>, PlanError> {
    match held.get(name) {
        None if optional != Some(true) => Err(PlanError::Config(format!("{kind} \"{name}\" not found"))),
        data => Ok(data),
    }
}

/// A field of the pod, as `fieldRef` names it.
pub(super) fn field(path: &str, facts: &Facts<'_>) -> Option<String> {
    let (metadata, spec) = (&facts.pod.metadata, facts.pod.spec.as_ref());
    if let Some((map, rest)) = path.split_once("['") {
        let map = match map {
            "metadata.labels" => metadata.labels.as_ref(),
            "metadata.annotations" => metadata.annotations.as_ref(),
            _ => return None,
        };
        let key = rest.strip_suffix("']")?;
        return Some(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "spec.nodeName" => spec?.node_name.clone(),
        "spec.serviceAccountName" => spec?.service_account_name.clone(),
        "status.podIP" | "status.podIPs" => Some(facts.pod_ip.to_string()),
        "status.hostIP" | "status.hostIPs" => Some(facts.host_ip.to_string()),
        _ => None,
    }
}

fn value(variable: &EnvVar, known: &[Variable], facts: &Facts<'_>) -> Result<Option<String>, PlanError> {
    match &variable.value_from {
        None => Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), known))),
        Some(source) => value_from(source, facts),
    }
}

fn value_from(source: &EnvVarSource, facts: &Facts<'_>) -> Result<Option<String>, PlanError> {
    if let Some(reference) = &source.field_ref {
        let path = &reference.field_path;
        let value = field(path, facts);
        return value.map(Some).ok_or_else(|| PlanError::Unsupported(format!("fieldRef {path}")));
    }
    let secret = source.secret_key_ref.as_ref();
    let secret = secret.map(|it| ("secret", &facts.sources.secrets, &it.name, &it.key, it.optional));
    let map = source.config_map_key_ref.as_ref();
    let map = map.map(|it| ("configmap", &facts.sources.maps, &it.name, &it.key, it.optional));
    let Some((kind, held, name, key, optional)) = secret.or(map) else {
        return Err(PlanError::Unsupported("an environment variable from a resource field".into()));
    };
    let value = found(kind, held, name, optional)?.and_then(|data| data.get(key));
    if value.is_none() && optional != Some(true) {
        return Err(PlanError::Config(format!("couldn't find key {key} in {kind} {name}")));
    }
    Ok(value.map(|value| text(value)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn set(known: &mut Vec<Variable>, name: &str, value: String) {
    known.retain(|(there, _)| there != name);
    known.push((name.to_owned(), value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variables(container: serde_json::Value, sources: &Sources) -> Result<Vec<Variable>, PlanError> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"a/b": "c"}},
            "spec": {"containers": [], "nodeName": "one"},
        }))
        .unwrap();
        let basics = [("BASE".to_owned(), "b".to_owned())];
        let overrides = [("FORCED".to_owned(), "$(POD_IP):1".to_owned())];
        let ip = Ipv4Addr::new(127, 1, 1, 1);
        let facts =
            Facts { pod: &pod, pod_ip: ip, host_ip: ip, basics: &basics, overrides: &overrides, sources };
        environment(&serde_json::from_value(container).unwrap(), &facts)
    }

    #[test]
    fn names_expand_to_what_was_defined_before() {
        let known = [("A".to_owned(), "1".to_owned())];
        assert_eq!(expand("$(A)-$(B)-$$(A)-$A-$", &known), "1-$(B)-$(A)-$A-$");
    }

    #[test]
    fn fields_secrets_and_overrides_come_together() {
        let secret = Data::from([("k".to_owned(), b"s3".to_vec())]);
        let sources = Sources { secrets: BTreeMap::from([("s".to_owned(), secret)]), ..Sources::default() };
        let container = json!({"name": "c", "envFrom": [{"prefix": "X_", "secretRef": {"name": "s"}}], "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LISTEN", "value": "$(POD_IP):8080"},
            {"name": "FORCED", "value": "no"},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k", "optional": true}}},
        ]});
        let all: BTreeMap<_, _> = variables(container, &sources).unwrap().into_iter().collect();
        let expected = [
            ("BASE", "b"),
            ("FORCED", "127.1.1.1:1"),
            ("LABEL", "c"),
            ("LISTEN", "127.1.1.1:8080"),
            ("POD_IP", "127.1.1.1"),
            ("TOKEN", "s3"),
            ("X_k", "s3"),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_missing_secret_is_named() {
        let container = json!({"name": "c", "env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
        let error = variables(container, &Sources::default()).unwrap_err();
        assert_eq!(error, PlanError::Config("secret \"s\" not found".into()));
    }
}
