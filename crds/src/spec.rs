//! The parts of a `WhatsAppSession`'s spec, each with the rules that the API server holds it to: here what concerns the session
//! itself, below its volume and its pod.
#![expect(clippy::doc_markdown, reason = "kubectl explain shows these words as they are")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod pod;
mod storage;

pub use pod::{
    Amounts, ImagePullPolicy, PodMetadata, Resources, Scheduling, TaintEffect, Toleration, TolerationOperator,
};
pub use storage::{AccessMode, ExistingClaim, Storage};

/// How a phone is linked for the first time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pairing {
    /// QrCode: the phone scans a code. PairingCode: a code of eight letters is typed into the phone with the number phoneNumber.
    #[serde(default)]
    pub method: PairingMethod,
}

/// QR code or pairing code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PairingMethod {
    /// The phone scans a code.
    #[default]
    QrCode,
    /// A code is typed into the phone.
    PairingCode,
}

/// Whether a session has a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperatingMode {
    /// It has one.
    #[default]
    Running,
    /// It has none, and keeps its volume.
    Suspended,
}

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where events are posted: http:// or https://.
    #[schemars(regex(pattern = r"^https?://[^\s]+$"), length(max = 2048))]
    pub url: String,
    /// The key that the posts are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
}

/// One value of a Secret in the session's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKey {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its data.
    #[schemars(regex(pattern = r"^[-._a-zA-Z0-9]+$"), length(min = 1, max = 253))]
    pub key: String,
}

/// How a session sends and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Least time between two messages to the same recipient, milliseconds. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400_000))]
    pub cooldown_ms: Option<i64>,
    /// Least time between two messages, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 600_000))]
    pub pace_ms: Option<i64>,
    /// Random addition to paceMs, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 600_000))]
    pub jitter_ms: Option<i64>,
    /// Answer a message ping with pong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_reply: Option<bool>,
}

/// The way to WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// A Secret's value that is the proxy's URL: http://, https:// or socks5://, with user:password@ if need be.
    pub secret_ref: SecretKey,
}

/// What happens to a volume when its session is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetentionPolicy {
    /// It is kept.
    #[default]
    Retain,
    /// It is deleted.
    Delete,
}

/// What happens when a pod's node is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnNodeLoss {
    /// Nothing until the pod is proven to have ended.
    #[default]
    Wait,
    /// A new pod after five minutes.
    Recreate,
}

/// What happens to the linked device when the resource is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// Nothing.
    #[default]
    KeepLinked,
    /// It is removed from the account.
    Unlink,
}

/// How a change that needs a new pod is brought in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateStrategy {
    /// By the operator, under its rollout budget.
    #[default]
    Recreate,
    /// When somebody deletes the pod.
    OnDelete,
}
