//! What belongs to a session, by name, label and annotation.
//!
//! Comes in: a session's name. Goes out: names of its children. A session's name is 1 to 63 characters (a rule of the
//! resource), so nothing is ever cut short, and different sessions never share a child.

/// The operator's field manager in server-side apply.
pub const FIELD_MANAGER: &str = "warest-operator";
/// Annotation on a session: `true` stops the operator from touching it (its pod goes on as it is).
pub const PAUSED: &str = "warest.io/paused";
/// Annotation on a session: name of the API key that made it. Absent: the admin's.
pub const OWNER: &str = "warest.io/owner";
/// Annotation on a pod and, through `spec.podMetadata`, the way to restart it: any new value does.
pub const RESTARTED_AT: &str = "warest.io/restartedAt";
/// Annotation on a pod: hash of the template that it was made from.
pub const TEMPLATE_HASH: &str = "warest.io/template-hash";
/// Annotation on a pod: hash of what the operator gives to all pods alike (default image, program flags). A new one is a fleet rollout.
pub const REVISION: &str = "warest.io/revision";
/// Annotation on a pod: when the operator made it, by the operator's own clock: what it measures from then on it never compares
/// with another's.
pub const MADE_AT: &str = "warest.io/made-at";
/// Label on a session: `true` makes it go first in a fleet rollout.
pub const CANARY: &str = "warest.io/canary";
/// Label on all children: the session's name.
pub const SESSION: &str = "warest.io/session";
/// Label on all children: the session's UID.
pub const SESSION_UID: &str = "warest.io/session-uid";
/// Finalizer of a session whose device is to be unlinked before it goes.
pub const UNLINK_FINALIZER: &str = "warest.io/unlink";
/// Value of `app.kubernetes.io/name` on all children.
pub const APP: &str = "whatsapp-session";
/// Value of `app.kubernetes.io/managed-by` on all children.
pub const MANAGED_BY: &str = "warest-operator";

/// Port of the session program, and its name in the pod.
pub const SESSION_PORT: i32 = 8080;
/// Name of that port.
pub const SESSION_PORT_NAME: &str = "http";
/// Name of the pod's container.
pub const CONTAINER: &str = "session";
/// Key in a session's Secret: its bearer token.
pub const TOKEN_KEY: &str = "token";
/// Key in a session's Secret: its configuration (`session_api::ConfigPush` in JSON).
pub const CONFIG_KEY: &str = "config.json";
/// Secret in the operator's namespace with the key that all tokens are derived from; made by the operator when it is missing.
pub const CLUSTER_KEY_SECRET: &str = "warest-cluster-key";
/// Key in that Secret: 32 bytes.
pub const CLUSTER_KEY: &str = "key";

/// Name of a session's pod.
pub fn pod(session: &str) -> String {
    session.to_owned()
}

/// Name of a session's claim, unless it brings its own.
pub fn claim(session: &str) -> String {
    format!("{session}-session")
}

/// Name of a session's Secret.
pub fn secret(session: &str) -> String {
    format!("{session}-session")
}

/// Name of a session's `NetworkPolicy`.
pub fn network_policy(session: &str) -> String {
    format!("{session}-session")
}
