//! What the gateway keeps of a session's resource and of a pod: a few fields of each, read once.
//!
//! Comes in: objects of the API server. Goes out: [`SessionFacts`] and [`PodFacts`]. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crds::WhatsAppSession;
use crds::conditions::{READY, SUSPENDED};
use crds::names::{CONTAINER, OWNER, SESSION_PORT, SESSION_PORT_NAME};
use crds::spec::OperatingMode;
use k8s_openapi::api::core::v1::{ContainerStateRunning, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference, Time};

use crate::session_name::SessionName;

/// Where an object is: namespace and name.
pub type Place = (String, String);

/// What is known of a session's resource.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: SessionName,
    /// Its UID.
    pub uid: String,
    /// The version of the resource: grows with every change.
    pub version: u64,
    /// The version of its spec.
    pub generation: i64,
    /// Name of the key that made it.
    pub owner: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What people call it.
    pub label: Option<String>,
    /// Where its events are posted.
    pub webhook_url: Option<String>,
    /// When it was made, Unix milliseconds.
    pub created: u64,
    /// Whether it shall have no pod.
    pub suspended: bool,
    /// Since when it is being deleted, Unix milliseconds.
    pub deleting: Option<u64>,
    /// The version of the spec that the operator has seen.
    pub observed: i64,
    /// Since when the operator has seen that it is suspended and its pod has ended, Unix milliseconds.
    pub rests_since: Option<u64>,
    /// What stands in its way, as the operator sees it.
    pub hindrance: Option<Hindrance>,
    /// The volume reset that was carried out last.
    pub reset_token: Option<String>,
}

/// What stands in a session's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// Since when, Unix milliseconds.
    pub since: u64,
    /// One of [`crds::conditions::reason`].
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// What is known of a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodFacts {
    /// Where it is.
    pub place: Place,
    /// Its UID.
    pub uid: String,
    /// Grows with every change.
    pub version: u64,
    /// UID of the session that controls it.
    pub session: Option<String>,
    /// When it was made, Unix milliseconds.
    pub created: u64,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether its containers have ended for good.
    pub finished: bool,
    /// `host:port` of its container, and since when it runs.
    pub running: Option<(String, u64)>,
}

fn millis(time: &Time) -> u64 {
    u64::try_from(time.0.as_millisecond()).unwrap_or_default()
}

fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn created(metadata: &ObjectMeta) -> u64 {
    metadata.creation_timestamp.as_ref().map(millis).unwrap_or_default()
}

impl SessionFacts {
    /// Reads a resource. None if its name is no session's, which its own rules exclude.
    pub fn read(session: WhatsAppSession) -> Option<Self> {
        let WhatsAppSession { metadata, spec, status } = session;
        let generation = metadata.generation.unwrap_or_default();
        let status = status.unwrap_or_default();
        let observed = status.observed_generation.unwrap_or_default();
        let condition = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
        let current =
            |condition: &&Condition| condition.observed_generation.unwrap_or(observed) >= generation;
        let rests = condition(SUSPENDED).filter(current).filter(|condition| condition.status == "True");
        let ready = condition(READY).filter(current).filter(|condition| condition.status != "True");
        Some(Self {
            name: metadata.name.as_deref()?.parse().ok()?,
            uid: metadata.uid.clone()?,
            version: version(&metadata),
            generation,
            created: created(&metadata),
            deleting: metadata.deletion_timestamp.as_ref().map(millis),
            namespace: metadata.namespace.unwrap_or_default(),
            owner: owner(metadata.annotations.as_ref()),
            labels: metadata.labels.unwrap_or_default(),
            label: spec.display_name,
            webhook_url: spec.webhooks.into_iter().next().map(|webhook| webhook.url),
            suspended: spec.operating_mode == OperatingMode::Suspended,
            observed,
            rests_since: rests.map(|condition| millis(&condition.last_transition_time)),
            hindrance: ready.map(Hindrance::of),
            reset_token: status.storage.and_then(|storage| storage.reset_token),
        })
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        (self.namespace.clone(), self.name.to_string())
    }
}

/// Name of the key that owns an object; one that names none is the admin's.
fn owner(annotations: Option<&BTreeMap<String, String>>) -> String {
    annotations.and_then(|all| all.get(OWNER)).map_or_else(|| "admin".to_owned(), Clone::clone)
}

impl Hindrance {
    fn of(condition: &Condition) -> Self {
        let Condition { reason, message, last_transition_time, .. } = condition.clone();
        Self { since: millis(&last_transition_time), reason, message }
    }
}

impl PodFacts {
    /// Reads a pod.
    pub fn read(pod: Pod) -> Self {
        let Pod { metadata, spec, status } = pod;
        let status = status.unwrap_or_default();
        let port = spec.as_ref().map_or(SESSION_PORT, port);
        let container =
            status.container_statuses.as_ref().into_iter().flatten().find(|one| one.name == CONTAINER);
        let running = container.and_then(|container| container.state.as_ref()?.running.as_ref());
        let running = running.filter(|_| status.phase.as_deref() == Some("Running"));
        let started =
            |state: &ContainerStateRunning| state.started_at.as_ref().map(millis).unwrap_or_default();
        let address = status.pod_ip.as_deref().and_then(|ip| ip.parse().ok()).map(|ip| address(ip, port));
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version: version(&metadata),
            session: metadata.owner_references.iter().flatten().find_map(controller),
            created: created(&metadata),
            terminating: metadata.deletion_timestamp.is_some(),
            finished: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
            running: address.zip(running.map(started)),
            place: (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default()),
        }
    }
}

/// The port that the session program listens on.
fn port(spec: &PodSpec) -> i32 {
    let container = spec.containers.iter().find(|one| one.name == CONTAINER);
    let mut ports = container.and_then(|container| container.ports.as_ref()).into_iter().flatten();
    let named = ports.find(|port| port.name.as_deref() == Some(SESSION_PORT_NAME));
    named.map_or(SESSION_PORT, |port| port.container_port)
}

/// UID of the session that controls an object.
fn controller(owner: &OwnerReference) -> Option<String> {
    let ours = owner.kind == "WhatsAppSession" && owner.api_version.starts_with("warest.io/");
    (ours && owner.controller == Some(true)).then(|| owner.uid.clone())
}

/// `host:port`, an IPv6 address in brackets.
fn address(ip: IpAddr, port: i32) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    }
}
