//! How the public API tells whether the gateway can rely on what it knows.
//!
//! Comes in: a [`Standing`]. Goes out: JSON. Pure.

use serde::Serialize;
use utoipa::ToSchema;

use crate::cluster::board::Standing;

/// Whether what the gateway knows of sessions, pods, keys and settings can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Knowledge {
    /// How it stands.
    pub state: KnowledgeState,
    /// Since when it is stale, Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// What is wrong and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether what the gateway knows can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnowledgeState {
    /// It is complete and up to date.
    Current,
    /// It was complete; since then something does not answer (in a cluster the API server). What was last known is served.
    Stale,
    /// It has not been complete yet.
    NotReady,
}

impl From<Standing> for Knowledge {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Current => Self { state: KnowledgeState::Current, since: None, why: None },
            Standing::Stale { since, why } => {
                Self { state: KnowledgeState::Stale, since: Some(since), why: Some(why) }
            }
            Standing::NotReady { why } => {
                Self { state: KnowledgeState::NotReady, since: None, why: Some(why) }
            }
        }
    }
}
