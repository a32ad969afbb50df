//! Settings that an admin changes while the gateway runs (`/api/admin/*`), over those of the environment.
//!
//! Comes in: the environment's values, what is stored, changes. Goes out: the values that hold. Pure, but for the trait
//! [`SettingsStore`], behind which they are kept: a file in local mode, a `ConfigMap` and a Secret in a cluster.

pub mod cluster;
pub mod local;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::directory::DirectoryError;

/// Bounds of the rate limit's window, milliseconds.
pub const WINDOW_MS: RangeInclusive<u64> = 1_000..=86_400_000;
/// Bounds of the rate limit's number of requests.
pub const MAX: RangeInclusive<u64> = 1..=1_000_000;
/// Longest URL, in bytes.
const MAX_URL: usize = 2048;
/// Longest key of a signature, in bytes.
const MAX_SECRET: usize = 512;

/// The values that hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Window of the rate limit, milliseconds.
    pub window_ms: u64,
    /// Requests that a key may make in it.
    pub max: u64,
    /// Where events of sessions without a webhook of their own are posted.
    pub webhook_url: Option<String>,
    /// Key of the signature of those posts.
    pub webhook_secret: Option<String>,
}

/// Never shows the key; a URL may hold one too.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("window_ms", &self.window_ms)
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

/// What is stored, and what a change asks for: unset is left as it is, an empty text is none.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stored {
    /// See [`Settings::window_ms`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_window_ms: Option<u64>,
    /// See [`Settings::max`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_max: Option<u64>,
    /// See [`Settings::webhook_url`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_default_url: Option<String>,
    /// See [`Settings::webhook_secret`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_default_secret: Option<String>,
}

/// Never shows the key; a URL may hold one too.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = (self.rate_limit_window_ms, self.rate_limit_max);
        f.debug_struct("Stored").field("numbers", &numbers).finish_non_exhaustive()
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Unusable {
    /// Name of the stored field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

const WINDOW_FIELD: &str = "rateLimitWindowMs";
const MAX_FIELD: &str = "rateLimitMax";
const URL_FIELD: &str = "webhookDefaultUrl";
const SECRET_FIELD: &str = "webhookDefaultSecret";

impl Stored {
    /// Checks every value.
    pub fn checked(self) -> Result<Self, Unusable> {
        within(WINDOW_FIELD, self.rate_limit_window_ms, WINDOW_MS)?;
        within(MAX_FIELD, self.rate_limit_max, MAX)?;
        if let Some(url) = self.webhook_default_url.as_ref().filter(|url| !url.is_empty()) {
            let web = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
            if url.len() > MAX_URL || !url::Url::parse(url).is_ok_and(|url| web(&url)) {
                let problem = format!("an http:// or https:// URL of at most {MAX_URL} bytes is needed");
                return Err(Unusable { field: URL_FIELD, problem });
            }
        }
        if self.webhook_default_secret.as_ref().is_some_and(|secret| secret.len() > MAX_SECRET) {
            return Err(Unusable { field: SECRET_FIELD, problem: format!("at most {MAX_SECRET} bytes") });
        }
        Ok(self)
    }

    /// These values, with those of a change over them.
    #[must_use]
    pub fn with(self, change: Self) -> Self {
        Self {
            rate_limit_window_ms: change.rate_limit_window_ms.or(self.rate_limit_window_ms),
            rate_limit_max: change.rate_limit_max.or(self.rate_limit_max),
            webhook_default_url: change.webhook_default_url.or(self.webhook_default_url),
            webhook_default_secret: change.webhook_default_secret.or(self.webhook_default_secret),
        }
    }

    /// The values that hold, over those of the environment.
    pub fn over(self, environment: &Settings) -> Settings {
        let text = |stored: Option<String>, default: &Option<String>| {
            stored.or_else(|| default.clone()).filter(|text| !text.is_empty())
        };
        Settings {
            window_ms: self.rate_limit_window_ms.unwrap_or(environment.window_ms),
            max: self.rate_limit_max.unwrap_or(environment.max),
            webhook_url: text(self.webhook_default_url, &environment.webhook_url),
            webhook_secret: text(self.webhook_default_secret, &environment.webhook_secret),
        }
    }

    /// Reads the data of a `ConfigMap`. What it does not know it passes over.
    pub fn from_config(data: &BTreeMap<String, String>) -> Result<Self, Unusable> {
        let number = |field: &'static str| {
            let text = data.get(field).map(|text| text.trim());
            let parsed = text.map(str::parse).transpose();
            parsed.map_err(|_| Unusable { field, problem: "a whole number is needed".to_owned() })
        };
        let stored = Self {
            rate_limit_window_ms: number(WINDOW_FIELD)?,
            rate_limit_max: number(MAX_FIELD)?,
            webhook_default_url: data.get(URL_FIELD).cloned(),
            webhook_default_secret: None,
        };
        stored.checked()
    }

    /// Reads the data of a Secret.
    pub fn from_secret(data: &BTreeMap<String, String>) -> Result<Self, Unusable> {
        Self { webhook_default_secret: data.get(SECRET_FIELD).cloned(), ..Self::default() }.checked()
    }

    /// What of it belongs in a `ConfigMap`.
    pub fn config(&self) -> BTreeMap<&'static str, String> {
        let numbers = [(WINDOW_FIELD, self.rate_limit_window_ms), (MAX_FIELD, self.rate_limit_max)];
        let numbers = numbers.into_iter().filter_map(|(field, value)| Some((field, value?.to_string())));
        numbers.chain(self.webhook_default_url.clone().map(|url| (URL_FIELD, url))).collect()
    }

    /// What of it belongs in a Secret.
    pub fn secret(&self) -> BTreeMap<&'static str, String> {
        self.webhook_default_secret.clone().map(|secret| (SECRET_FIELD, secret)).into_iter().collect()
    }
}

fn within(field: &'static str, value: Option<u64>, bounds: RangeInclusive<u64>) -> Result<(), Unusable> {
    if value.is_none_or(|value| bounds.contains(&value)) {
        return Ok(());
    }
    Err(Unusable { field, problem: format!("{} to {} is needed", bounds.start(), bounds.end()) })
}

/// Where the settings are kept.
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// The values that hold.
    fn current(&self) -> Settings;

    /// Stores a change that was checked. It holds on every gateway soon after.
    async fn change(&self, change: Stored) -> Result<(), DirectoryError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn environment() -> Settings {
        Settings {
            window_ms: 60_000,
            max: 120,
            webhook_url: Some("https://env/".to_owned()),
            webhook_secret: Some("env-secret".to_owned()),
        }
    }

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_stored_goes_over_the_environment() {
        assert_eq!(Stored::default().over(&environment()), environment());
        let config = Stored::from_config(&texts(&[
            ("rateLimitMax", " 7 "),
            ("webhookDefaultUrl", ""),
            ("other", "x"),
        ]));
        let held = config.unwrap().over(&environment());
        assert_eq!((held.window_ms, held.max, held.webhook_url), (60_000, 7, None), "an empty text is none");
        assert_eq!(held.webhook_secret.as_deref(), Some("env-secret"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let stored = Stored {
            rate_limit_window_ms: Some(5_000),
            rate_limit_max: Some(3),
            webhook_default_url: Some("https://x/".to_owned()),
            webhook_default_secret: Some("s".to_owned()),
        };
        let own = |data: BTreeMap<&str, String>| {
            data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
        };
        let config = Stored::from_config(&own(stored.config())).unwrap();
        assert_eq!(config.with(Stored::from_secret(&own(stored.secret())).unwrap()), stored);
        assert!(!stored.config().values().any(|value| value == "s"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (field, value) in [
            ("rateLimitWindowMs", "999"),
            ("rateLimitMax", "0"),
            ("rateLimitMax", "many"),
            ("webhookDefaultUrl", "ftp://x/"),
            ("webhookDefaultUrl", "x"),
        ] {
            assert_eq!(Stored::from_config(&texts(&[(field, value)])).unwrap_err().field, field, "{value}");
        }
        let long = texts(&[("webhookDefaultSecret", &"x".repeat(513))]);
        assert_eq!(Stored::from_secret(&long).unwrap_err().field, "webhookDefaultSecret");
    }
}
