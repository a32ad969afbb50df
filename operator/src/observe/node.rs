//! A node, reduced to whether its kubelet answers.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::Lasting;

/// Taint that says that a node is shut down for good, set by a person.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// How a node has answered, as far as the operator has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answering {
    /// Without a break.
    pub lasting: Lasting,
    /// It had been away before.
    pub returned: bool,
}

/// What is known of a pod's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeSeen {
    /// There was no need to look, or it could not be looked at.
    Unknown,
    /// Its kubelet answers.
    Ready(Answering),
    /// Its kubelet does not answer.
    NotReady {
        /// Since when, by a foreign clock, for people.
        since: Timestamp,
        /// How long the operator has seen that without a break, by its own.
        lasted: SignedDuration,
    },
    /// A person has said that it is off.
    OutOfService,
    /// There is no such node.
    Gone,
}

impl NodeSeen {
    /// Reads a node. What has been seen of it before comes from `answering`, which hears when the node says that it came to be
    /// ready: by a foreign clock, but another time means another beginning.
    pub fn of(node: &Node, answering: impl FnOnce(Option<Timestamp>) -> Answering) -> Self {
        let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        if taints.any(|taint| taint.key == OUT_OF_SERVICE) {
            return Self::OutOfService;
        }
        let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        match conditions.find(|condition| condition.type_ == "Ready") {
            Some(ready) => {
                let since = ready.last_transition_time.as_ref().map(|time| time.0);
                if ready.status == "True" {
                    Self::Ready(answering(since))
                } else {
                    Self::NotReady {
                        since: since.unwrap_or(Timestamp::UNIX_EPOCH),
                        lasted: SignedDuration::ZERO,
                    }
                }
            }
            None => Self::Unknown,
        }
    }

    /// Whether its kubelet cannot be asked.
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::NotReady { .. } | Self::OutOfService | Self::Gone)
    }
}
