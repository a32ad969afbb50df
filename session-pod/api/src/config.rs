//! Configuration that is pushed to a running session and takes effect without a restart.
//!
//! Comes in: nothing. Goes out: serde types; the same JSON is the body of `PUT /v1/config` and the file that a session
//! program may be given to start with. It holds secrets: it must never be logged or shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most receivers of events that a session has.
pub const MAX_WEBHOOKS: usize = 10;

/// Body of `PUT /v1/config`. Level-triggered: the same hash again changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPush {
    /// The sender's hash of everything else here, shown back as [`crate::SessionStatus::config_hash`].
    pub hash: String,
    /// How the session behaves.
    pub policy: SessionPolicy,
    /// Who gets the session's events, at most [`MAX_WEBHOOKS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    /// The way to WhatsApp: `http://`, `https://` or `socks5://`, with `user:password@` if need be. None: as the program was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyUrl>,
}

/// How a session sends and answers. Unset fields keep the program's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionPolicy {
    /// Least time between two sends to the same recipient, milliseconds (default 0). A send that comes too early is 429
    /// `recipient_cooldown` with `retryAfterMs`, and nothing is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_ms: Option<u64>,
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

/// A receiver of events.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where, `http://` or `https://`.
    pub url: String,
    /// Key of the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Shows where, never the key: a URL's path and query may hold one too.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("signed", &self.secret.is_some()).finish_non_exhaustive()
    }
}

/// A proxy's URL. It may hold a password: `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProxyUrl(pub String);

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyUrl(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_reads_as_it_is_written_and_shows_no_secret() {
        let push = ConfigPush {
            hash: "h".to_owned(),
            policy: SessionPolicy { pace_ms: Some(500), ..SessionPolicy::default() },
            webhooks: vec![Webhook {
                url: "https://x/y?key=k1".to_owned(),
                secret: Some("s3cret".to_owned()),
            }],
            proxy: Some(ProxyUrl("http://user:pass@proxy:3128".to_owned())),
        };
        let json = serde_json::to_string(&push).unwrap();
        assert_eq!(
            json,
            r#"{"hash":"h","policy":{"paceMs":500},"webhooks":[{"url":"https://x/y?key=k1","secret":"s3cret"}],"proxy":"http://user:pass@proxy:3128"}"#
        );
        assert_eq!(serde_json::from_str::<ConfigPush>(&json).unwrap(), push);
        let shown = format!("{push:?}");
        for secret in ["k1", "s3cret", "pass"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let least: ConfigPush = serde_json::from_str(r#"{"hash":"h","policy":{}}"#).unwrap();
        assert_eq!(least, ConfigPush { hash: "h".to_owned(), ..ConfigPush::default() });
    }
}
