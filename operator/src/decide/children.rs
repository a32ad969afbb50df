//! The objects beside volume and pod: are they there, ours, and what they should be?

use super::Step;
use crate::build::Desired;
use crate::observe::{ContentSeen, Observed};

/// How it stands with Secret and `NetworkPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Children {
    /// It is not known what they should be.
    Unknown,
    /// This one is somebody else's (a former session's of that name), or going.
    InTheWay(Obstacle),
    /// They are ours, or to be made.
    Ours {
        /// What is to be done for the Secret.
        secret: Todo,
        /// What is to be done for the policy.
        network_policy: Todo,
    },
}

/// An object of a session's that is in the way of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Its Secret.
    Secret,
    /// Its `NetworkPolicy`.
    NetworkPolicy,
}

/// What is to be done for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    /// Nothing.
    Nothing,
    /// Make it.
    Create,
    /// Change it.
    Change,
}

impl Children {
    /// Whether a pod may be made beside them.
    pub(super) const fn are_ours(self) -> bool {
        matches!(self, Self::Ours { .. })
    }

    /// What keeps a pod from being made beside them.
    pub(super) const fn obstacle(self) -> Option<Obstacle> {
        match self {
            Self::InTheWay(obstacle) => Some(obstacle),
            Self::Unknown | Self::Ours { .. } => None,
        }
    }

    /// What is to be done.
    pub(super) fn steps(self) -> Vec<Step> {
        let Self::Ours { secret, network_policy } = self else { return Vec::new() };
        let step = |todo, create, change| match todo {
            Todo::Nothing => None,
            Todo::Create => Some(create),
            Todo::Change => Some(change),
        };
        let secret = step(secret, Step::CreateSecret, Step::ApplySecret);
        let policy = step(network_policy, Step::CreateNetworkPolicy, Step::ApplyNetworkPolicy);
        secret.into_iter().chain(policy).collect()
    }
}

/// Judges them.
pub(super) fn judge(seen: &Observed, desired: &Desired) -> Children {
    let todo = |object: Option<&ContentSeen>, hash: &str| match object {
        None => Some(Todo::Create),
        Some(object) if object.deleting => None,
        Some(object) if object.owner.as_ref().is_some_and(|owner| owner.uid != seen.uid()) => None,
        Some(object) if object.hash != hash || !object.labelled || object.owner.is_none() => {
            Some(Todo::Change)
        }
        Some(_) => Some(Todo::Nothing),
    };
    let secret = todo(seen.secret.as_ref(), &desired.secret.1);
    let network_policy = todo(seen.network_policy.as_ref(), &desired.network_policy.1);
    match (secret, network_policy) {
        (Some(secret), Some(network_policy)) => Children::Ours { secret, network_policy },
        (None, _) => Children::InTheWay(Obstacle::Secret),
        (_, None) => Children::InTheWay(Obstacle::NetworkPolicy),
    }
}
