//! The pod of a session, as restricted as `PodSecurity` knows how, and the hash that tells whether it is today's.

use std::collections::BTreeMap;

use crds::spec::{ImagePullPolicy, Scheduling, TaintEffect, TolerationOperator};
use crds::{WhatsAppSessionSpec, names};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, LocalObjectReference, Pod, PodSecurityContext, PodSpec, SeccompProfile,
    Toleration,
};
use k8s_openapi::jiff::Timestamp;
use session_api::ConfigPush;

use super::metadata;
use crate::config::SessionFlags;
use crate::observe::{SessionKey, hash};
use crate::validate::Valid;

mod container;
mod volumes;

pub use volumes::DATA_VOLUME;

/// User and group of the session program.
const ID: i64 = 65_532;
/// Tells the program how often its store was opened, as far as is known. Not part of the template: it changes with every start.
const MIN_WRITER_EPOCH: &str = "WAREST_MIN_WRITER_EPOCH";

/// Builds the pod and the hash of its template.
pub fn build(valid: &Valid, flags: &SessionFlags, revision: &str) -> (Pod, String) {
    let mut pod = template(valid, flags);
    let template_hash = hash(&pod);
    let own = [(names::TEMPLATE_HASH, template_hash.as_str()), (names::REVISION, revision)];
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    (pod, template_hash)
}

/// Hash of what all pods have alike: that of the least session's template.
pub fn revision(flags: &SessionFlags) -> String {
    hash(&template(
        &Valid {
            key: SessionKey::new("", ""),
            uid: String::new(),
            owner: None,
            spec: WhatsAppSessionSpec::default(),
            push: ConfigPush::default(),
        },
        flags,
    ))
}

/// The same pod for a store that was opened so often.
#[must_use]
pub fn with_writer_epoch(mut pod: Pod, epoch: Option<i64>) -> Pod {
    let containers = pod.spec.iter_mut().flat_map(|spec| &mut spec.containers);
    for env in containers.filter_map(|container| container.env.as_mut()) {
        let epoch = epoch.unwrap_or(0).to_string();
        env.push(EnvVar { name: MIN_WRITER_EPOCH.to_owned(), value: Some(epoch), value_from: None });
    }
    pod
}

/// The same pod, made now.
#[must_use]
pub fn made_at(mut pod: Pod, now: Timestamp) -> Pod {
    pod.metadata.annotations.get_or_insert_default().insert(names::MADE_AT.to_owned(), now.to_string());
    pod
}

fn template(valid: &Valid, flags: &SessionFlags) -> Pod {
    let spec = &valid.spec;
    let mut meta = metadata(valid, names::pod(valid.key.name()));
    let foreign = spec.pod_metadata.labels.iter().filter(|(key, _)| !is_reserved(key));
    meta.labels.get_or_insert_default().extend(foreign.map(|(key, value)| (key.clone(), value.clone())));
    let kept = |key: &str| key == names::RESTARTED_AT || !is_reserved(key);
    let annotations: BTreeMap<_, _> = spec
        .pod_metadata
        .annotations
        .iter()
        .filter(|(key, _)| kept(key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    meta.annotations = Some(annotations);
    Pod { metadata: meta, spec: Some(pod_spec(valid, flags)), status: None }
}

fn is_reserved(key: &str) -> bool {
    key.starts_with("warest.io/") || key.starts_with("app.kubernetes.io/")
}

fn pod_spec(valid: &Valid, flags: &SessionFlags) -> PodSpec {
    let spec = &valid.spec;
    let Scheduling { node_selector, tolerations, priority_class_name, runtime_class_name } =
        spec.scheduling.clone();
    let mut pull_secrets: Vec<String> =
        flags.image_pull_secrets.iter().filter(|name| !name.is_empty()).cloned().collect();
    pull_secrets.extend(spec.image_pull_secrets.iter().cloned());
    pull_secrets.dedup();
    let pull_secrets = pull_secrets.into_iter().map(|name| LocalObjectReference { name });
    PodSpec {
        containers: vec![Container {
            name: names::CONTAINER.to_owned(),
            image: Some(spec.image.clone().unwrap_or_else(|| flags.image.clone())),
            image_pull_policy: pull_policy(spec, flags),
            ports: Some(vec![ContainerPort {
                name: Some(names::SESSION_PORT_NAME.to_owned()),
                container_port: flags.port.into(),
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]),
            env: Some(container::env(valid, flags)),
            resources: Some(container::resources(&spec.resources, flags)),
            security_context: Some(container::security()),
            startup_probe: Some(container::probe("/livez", 1, 120)),
            liveness_probe: Some(container::probe("/livez", 20, 3)),
            readiness_probe: Some(container::probe("/readyz", 2, 3)),
            volume_mounts: Some(volumes::mounts(spec, flags)),
            ..Container::default()
        }],
        volumes: Some(volumes::volumes(valid.key.name(), spec, flags)),
        security_context: Some(security()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        restart_policy: Some("Always".to_owned()),
        termination_grace_period_seconds: Some(spec.termination_grace_period_seconds),
        image_pull_secrets: Some(pull_secrets.collect()),
        node_selector: Some(node_selector),
        tolerations: Some(tolerations.into_iter().map(toleration).collect()),
        priority_class_name,
        runtime_class_name,
        ..PodSpec::default()
    }
}

fn pull_policy(spec: &WhatsAppSessionSpec, flags: &SessionFlags) -> Option<String> {
    let own = spec.image_pull_policy.map(|policy| match policy {
        ImagePullPolicy::Always => "Always",
        ImagePullPolicy::IfNotPresent => "IfNotPresent",
        ImagePullPolicy::Never => "Never",
    });
    own.or(flags.image_pull_policy.as_deref()).filter(|policy| !policy.is_empty()).map(ToOwned::to_owned)
}

fn security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(ID),
        run_as_group: Some(ID),
        fs_group: Some(ID),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

fn toleration(toleration: crds::spec::Toleration) -> Toleration {
    Toleration {
        key: toleration.key,
        operator: toleration.operator.map(|operator| {
            match operator {
                TolerationOperator::Equal => "Equal",
                TolerationOperator::Exists => "Exists",
            }
            .to_owned()
        }),
        value: toleration.value,
        effect: toleration.effect.map(|effect| {
            match effect {
                TaintEffect::NoSchedule => "NoSchedule",
                TaintEffect::PreferNoSchedule => "PreferNoSchedule",
                TaintEffect::NoExecute => "NoExecute",
            }
            .to_owned()
        }),
        toleration_seconds: toleration.toleration_seconds,
    }
}

#[cfg(test)]
mod tests;
