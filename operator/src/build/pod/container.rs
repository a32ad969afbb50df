//! The container of a session's pod: its environment, what it may use, how it is probed.

use std::collections::BTreeMap;

use crds::names;
use crds::spec::Resources;
use k8s_openapi::api::core::v1::{
    Capabilities, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe, ResourceRequirements,
    SeccompProfile, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::volumes::{CA_FILE, DATA_DIR, SESSION_DIR};
use crate::config::SessionFlags;
use crate::quantity;
use crate::validate::Valid;

/// Environment of the session program.
pub(super) fn env(valid: &Valid, flags: &SessionFlags) -> Vec<EnvVar> {
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut own = vec![
        ("WAREST_SESSION_ID", valid.key.name().to_owned()),
        ("WAREST_SESSION_UID", valid.uid.clone()),
        ("WAREST_DATA_DIR", DATA_DIR.to_owned()),
        ("WAREST_LISTEN", format!("$(POD_IP):{}", flags.port)),
        ("WAREST_TOKEN_FILE", format!("{SESSION_DIR}/{}", names::TOKEN_KEY)),
        ("WAREST_CONFIG_FILE", format!("{SESSION_DIR}/{}", names::CONFIG_KEY)),
    ];
    own.extend(set(&flags.whatsapp_url).map(|url| ("WAREST_WHATSAPP_URL", url)));
    own.extend(set(&flags.extra_ca_configmap).map(|_| ("WAREST_EXTRA_CA", CA_FILE.to_owned())));
    own.extend(set(&flags.log).map(|log| ("RUST_LOG", log)));
    let variable = |(name, value): (&str, String)| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    };
    let address = EnvVar {
        name: "POD_IP".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "status.podIP".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
    };
    let more = flags.env.iter().flat_map(|all| &all.0).map(|(name, value)| variable((name, value.clone())));
    std::iter::once(address).chain(own.into_iter().map(variable)).chain(more).collect()
}

/// What the container may use. A limit that the session does not set itself is at least what it sets aside.
pub(super) fn resources(wanted: &Resources, flags: &SessionFlags) -> ResourceRequirements {
    let cpu =
        wanted.requests.cpu.clone().unwrap_or_else(|| lesser(&flags.cpu_request, wanted.limits.cpu.as_ref()));
    let memory = wanted
        .requests
        .memory
        .clone()
        .unwrap_or_else(|| lesser(&flags.memory_request, wanted.limits.memory.as_ref()));
    let limit = wanted.limits.memory.clone().unwrap_or_else(|| greater(&flags.memory_limit, &memory));
    let mut limits = vec![("memory", limit)];
    limits.extend(wanted.limits.cpu.clone().map(|cpu| ("cpu", cpu)));
    ResourceRequirements {
        requests: Some(amounts([("cpu", cpu), ("memory", memory)])),
        limits: Some(amounts(limits)),
        claims: None,
    }
}

fn lesser(default: &str, limit: Option<&String>) -> String {
    limit
        .filter(|limit| quantity::parse(limit) < quantity::parse(default))
        .map_or(default, String::as_str)
        .to_owned()
}

fn greater(default: &str, request: &str) -> String {
    if quantity::parse(request) > quantity::parse(default) { request } else { default }.to_owned()
}

fn amounts(all: impl IntoIterator<Item = (&'static str, String)>) -> BTreeMap<String, Quantity> {
    all.into_iter().map(|(what, amount)| (what.to_owned(), Quantity(amount))).collect()
}

/// What `PodSecurity` calls restricted, and a read-only root.
pub(super) fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..SecurityContext::default()
    }
}

/// A probe of this path, every so many seconds; so many failures count.
pub(super) fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(names::SESSION_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}
