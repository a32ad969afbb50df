//! A pod that is gone from the API server although nobody saw its process end.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::NodeSeen;

/// Something that lasts, by the operator's own clocks: those of nodes and of the API server are never compared with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasting {
    /// Since when, for people.
    pub since: Timestamp,
    /// How long, by a clock that nobody sets.
    pub lasted: SignedDuration,
}

/// A pod that was deleted by force, or while nobody looked: its process may still run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departed {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The node that it was last known to be on.
    pub node: Option<String>,
    /// How it stands with that node.
    pub state: NodeSeen,
    /// Its own grace period in seconds, if known.
    pub grace: Option<i64>,
    /// Since when it is known to be gone.
    pub noticed: Lasting,
}
