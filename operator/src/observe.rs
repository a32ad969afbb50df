//! Everything that is seen of one session, as plain values: what [`crate::decide`] and [`crate::status`] judge by.
//!
//! Comes in: nothing (the projections from Kubernetes objects are in the files below). Goes out: types.
//! It must not hold a client, a clock or a decision.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crds::{WhatsAppSession, WhatsAppSessionStatus, names};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use session_api::SessionStatus;

mod claim;
mod content;
mod departed;
mod name;
mod node;
mod pod;

pub use claim::{ClaimPhase, ClaimSeen, RESET_TOKEN};
pub(crate) use content::hash;
pub use content::{ContentSeen, network_policy_content, secret_content};
pub use departed::{Departed, Lasting};
pub use name::NamespacedName;
pub use node::{Answering, NodeSeen};
pub use pod::{Container, Deleting, Exit, Phase, PodSeen};

/// Where a session is: its key everywhere in the operator.
pub type SessionKey = NamespacedName;

/// How a session's process is reached. The token is a secret: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The session.
    pub session: SessionKey,
    /// Its UID: who answers with another one is somebody else.
    pub session_uid: String,
    /// The pod that is asked.
    pub pod_uid: String,
    /// Its address.
    pub address: SocketAddr,
    /// Bearer token.
    pub token: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("session", &self.session)
            .field("pod_uid", &self.pod_uid)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What was heard last from a session's pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The pod that was asked.
    pub pod_uid: String,
    /// What came of it.
    pub answer: Answer,
}

/// What came of asking a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The session speaks.
    Status(Box<SessionStatus>),
    /// Nothing, or no sense, for several tries on end. The words are for people and the same for the same cause.
    Silent(String),
    /// Another session answers there: its UID, if it said one.
    Stranger(Option<String>),
}

/// A controlling owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// Whether the fleet lets an outdated pod be replaced now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It does.
    Now,
    /// Others go first. The words are for people and stay the same while the cause does.
    Later(String),
    /// The rollout has stopped by itself.
    Stopped(String),
}

/// A warning that the cluster tells about a pod or claim that does not come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `FailedAttachVolume`, `FailedMount`, `ProvisioningFailed`, …
    pub reason: String,
    /// What it says.
    pub message: String,
}

/// Everything that is seen of one session.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The resource with the status that was written last.
    pub session: Arc<WhatsAppSession>,
    /// The namespace is being deleted.
    pub namespace_terminating: bool,
    /// The claim of the name that the session uses.
    pub claim: Option<ClaimSeen>,
    /// The session's Secret.
    pub secret: Option<ContentSeen>,
    /// The session's `NetworkPolicy`.
    pub network_policy: Option<ContentSeen>,
    /// The pod of the session's name, whoever made it, and all pods that this session's UID owns.
    pub pods: Vec<PodSeen>,
    /// Pods that are gone though nobody saw their processes end, when the session has none: those of its name, and others that
    /// wrote to its volume.
    pub departed: Vec<Departed>,
    /// The node of the pod, as far as it had to be looked at.
    pub node: NodeSeen,
    /// What was heard from the pod that exists now.
    pub heard: Option<Answer>,
    /// Older session with the same claim and folder, or another one whose pod still has them.
    pub same_volume: Option<SessionKey>,
    /// Older session that is linked to the same account.
    pub same_account: Option<SessionKey>,
    /// The pod was asked for a pairing code since it waits for one.
    pub code_asked: bool,
    /// Warnings about what does not come up.
    pub warnings: Vec<Warning>,
    /// Whether the fleet lets an outdated pod be replaced.
    pub turn: Turn,
    /// How long the resource has been seen deleted, by the operator's own clock.
    pub deleted_for: SignedDuration,
    /// Now.
    pub now: Timestamp,
}

impl Observed {
    /// The session's name.
    pub fn name(&self) -> &str {
        self.session.metadata.name.as_deref().unwrap_or_default()
    }

    /// The session's UID.
    pub fn uid(&self) -> &str {
        self.session.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The status that was written last.
    pub fn status(&self) -> Option<&WhatsAppSessionStatus> {
        self.session.status.as_ref()
    }

    /// When the resource was deleted, if it was.
    pub fn deleted(&self) -> Option<Timestamp> {
        self.session.metadata.deletion_timestamp.as_ref().map(|time| time.0)
    }

    /// Whether nothing shall be touched.
    pub fn paused(&self) -> bool {
        let annotations = self.session.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(names::PAUSED)).is_some_and(|value| value == "true")
    }

    /// Whether an account was ever linked, as far as the operator has seen.
    pub fn was_paired(&self) -> bool {
        self.status().is_some_and(|status| {
            status.account.is_some() || status.writer_epoch.is_some_and(|epoch| epoch >= 1)
        })
    }

    /// What the session says of itself.
    pub fn said(&self) -> Option<&SessionStatus> {
        match &self.heard {
            Some(Answer::Status(status)) => Some(status),
            Some(Answer::Silent(_) | Answer::Stranger(_)) | None => None,
        }
    }

    /// The pods that are this session's.
    pub fn own_pods(&self) -> impl Iterator<Item = &PodSeen> {
        self.pods.iter().filter(|pod| pod.is_of(self.uid()))
    }

    /// The one pod that is this session's and has its name; none when there are others too.
    pub fn own_pod(&self) -> Option<&PodSeen> {
        let mut own = self.own_pods();
        let first = own.next().filter(|pod| pod.name == self.name());
        if own.next().is_some() { None } else { first }
    }
}
