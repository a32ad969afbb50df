//! Configuration that is pushed to a running session and takes effect without a restart.

use serde::{Deserialize, Serialize};

/// Body of `PUT /v1/config`. Level-triggered: the same hash again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPush {
    /// The sender's hash of `policy`, shown back as [`crate::SessionStatus::config_hash`].
    pub hash: String,
    /// How the session behaves.
    pub policy: SessionPolicy,
}

/// How a session sends and answers. Unset fields keep the program's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionPolicy {
    /// Least time between two sends, milliseconds (default 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace_ms: Option<u64>,
    /// Random addition to `pace_ms`, milliseconds (default 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<u64>,
    /// Answer an inbound text `ping` with `pong`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_reply: Option<bool>,
}
