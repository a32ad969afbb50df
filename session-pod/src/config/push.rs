//! The rules of a [`ConfigPush`], and the file that a process may be given to start with. Text in, a checked value out.
//!
//! It holds secrets: what is wrong with it is told by the field's name, never by its value.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use session_api::config::MAX_WEBHOOKS;
use session_api::{ConfigPush, Webhook};
use url::Url;

use super::proxy;
use crate::session::{MAX_COOLDOWN_MS, MAX_PACE_MS};

/// Largest file, bytes. Everything that the rules allow fits.
const MAX_FILE: u64 = 256 * 1024;
/// Longest hash, bytes.
const MAX_HASH: usize = 128;
/// Longest URL, bytes.
const MAX_URL: usize = 4_096;
/// Longest key of a signature, bytes.
const MAX_SECRET: usize = 1_024;

/// The rule that a configuration breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub(crate) struct Broken {
    /// Which field.
    pub field: String,
    /// What it must be.
    pub rule: String,
}

/// Why a file is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It cannot be read.
    #[error("cannot read the configuration from {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("{path} is larger than {MAX_FILE} bytes: it is no configuration of a session")]
    Large {
        /// Which file.
        path: PathBuf,
    },
    /// It is no JSON, or of another shape.
    #[error("{path} is no configuration of a session: {what}")]
    Shape {
        /// Which file.
        path: PathBuf,
        /// Where it departs from the shape.
        what: String,
    },
    /// A value breaks a rule.
    #[error("{path} cannot be used: {broken}")]
    Rule {
        /// Which file.
        path: PathBuf,
        /// Which rule.
        broken: Broken,
    },
}

/// Reads and checks the file.
///
/// # Errors
/// It cannot be read, or is no configuration.
pub(crate) fn read(path: &Path) -> Result<ConfigPush, FileError> {
    let owned = || path.to_owned();
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text))
        .map_err(|source| FileError::Read { path: owned(), source })?;
    if text.len() as u64 > MAX_FILE {
        return Err(FileError::Large { path: owned() });
    }
    let push = parse(&text).map_err(|what| FileError::Shape { path: owned(), what })?;
    check(&push).map_err(|broken| FileError::Rule { path: owned(), broken })?;
    Ok(push)
}

/// Reads JSON. The error names the place only: serde repeats the value that it did not expect.
fn parse(text: &[u8]) -> Result<ConfigPush, String> {
    // serde would take a list for an object, its items in the order of the fields.
    if text.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Err("it must be a JSON object".to_owned());
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let push: ConfigPush = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        let (line, column) = (inner.line(), inner.column());
        if !inner.is_data() {
            return format!("it is not JSON (line {line}, column {column})");
        }
        let missing = inner.to_string();
        match missing.split('`').nth(1).filter(|_| missing.starts_with("missing field")) {
            Some(field) => format!("{path}: the field {field} is missing"),
            None => {
                format!("{path} has another type or form than it must have (line {line}, column {column})")
            }
        }
    })?;
    json.end().map_err(|_| "something follows the JSON object".to_owned())?;
    Ok(push)
}

/// The rules of a configuration, pushed or from the file.
///
/// # Errors
/// The first rule that is broken.
pub(crate) fn check(push: &ConfigPush) -> Result<(), Broken> {
    rule(fits(&push.hash, MAX_HASH), "hash", || format!("must be 1 to {MAX_HASH} bytes"))?;
    let policy = &push.policy;
    for (field, value, most) in [
        ("policy.paceMs", policy.pace_ms, MAX_PACE_MS),
        ("policy.jitterMs", policy.jitter_ms, MAX_PACE_MS),
        ("policy.cooldownMs", policy.cooldown_ms, MAX_COOLDOWN_MS),
    ] {
        rule(value.is_none_or(|ms| ms <= most), field, || format!("must be at most {most}"))?;
    }
    rule(push.webhooks.len() <= MAX_WEBHOOKS, "webhooks", || {
        format!("must be at most {MAX_WEBHOOKS}, these are {}", push.webhooks.len())
    })?;
    for (place, webhook) in push.webhooks.iter().enumerate() {
        check_webhook(place, webhook)?;
    }
    let usable = push.proxy.as_ref().is_none_or(|url| fits(&url.0, MAX_URL) && proxy(&url.0).is_ok());
    rule(usable, "proxy", || "must be http://host:port, https://host:port or socks5://host:port".to_owned())
}

fn check_webhook(place: usize, webhook: &Webhook) -> Result<(), Broken> {
    rule(fits(&webhook.url, MAX_URL) && is_http(&webhook.url), &format!("webhooks[{place}].url"), || {
        format!("must be http://… or https://… with a host, at most {MAX_URL} bytes")
    })?;
    let secret = webhook.secret.as_ref();
    rule(secret.is_none_or(|key| fits(key, MAX_SECRET)), &format!("webhooks[{place}].secret"), || {
        format!("must be 1 to {MAX_SECRET} bytes")
    })
}

fn fits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len())
}

fn is_http(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
    })
}

fn rule(kept: bool, field: &str, rule: impl FnOnce() -> String) -> Result<(), Broken> {
    if kept { Ok(()) } else { Err(Broken { field: field.to_owned(), rule: rule() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_api::{ProxyUrl, SessionPolicy};

    fn push(change: impl FnOnce(&mut ConfigPush)) -> ConfigPush {
        let mut push = ConfigPush { hash: "h".into(), ..ConfigPush::default() };
        change(&mut push);
        push
    }

    fn webhook(url: &str) -> Webhook {
        Webhook { url: url.into(), secret: Some("key".into()) }
    }

    #[track_caller]
    fn broken(field: &str, change: impl FnOnce(&mut ConfigPush)) {
        assert_eq!(check(&push(change)).unwrap_err().field, field);
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        broken("hash", |p| p.hash = String::new());
        broken("hash", |p| p.hash = "h".repeat(129));
        broken("policy.paceMs", |p| p.policy.pace_ms = Some(MAX_PACE_MS + 1));
        broken("policy.jitterMs", |p| p.policy.jitter_ms = Some(u64::MAX));
        broken("policy.cooldownMs", |p| p.policy.cooldown_ms = Some(MAX_COOLDOWN_MS + 1));
        broken("webhooks", |p| p.webhooks = vec![webhook("http://x"); MAX_WEBHOOKS + 1]);
        for url in ["", "x", "ftp://x/y", "http://", "/path", &format!("http://x/{}", "y".repeat(4_096))] {
            broken("webhooks[1].url", |p| p.webhooks = vec![webhook("https://x/y?z"), webhook(url)]);
        }
        for secret in ["", &"k".repeat(1_025)] {
            let hook = Webhook { secret: Some(secret.into()), ..webhook("http://x") };
            broken("webhooks[0].secret", |p| p.webhooks = vec![hook]);
        }
        for url in ["", "proxy:3128", "ftp://proxy:21", "http://"] {
            broken("proxy", |p| p.proxy = Some(ProxyUrl(url.into())));
        }
    }

    #[test]
    fn what_keeps_the_rules_is_taken() {
        let full = push(|p| {
            p.policy = SessionPolicy { pace_ms: Some(MAX_PACE_MS), ..SessionPolicy::default() };
            p.webhooks = vec![webhook("http://receiver:8080/hook"); MAX_WEBHOOKS];
            p.proxy = Some(ProxyUrl("socks5://user:pass@proxy:1080".into()));
        });
        assert_eq!(check(&full), Ok(()));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(&path, serde_json::to_vec(&full).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), full);
    }

    #[test]
    fn a_bad_file_is_told_without_its_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        assert!(matches!(read(&path), Err(FileError::Read { .. })), "absent");
        for (text, told) in [
            ("", "a JSON object"),
            ("[\"h\",{}]", "a JSON object"),
            ("{\"hash\":", "not JSON (line 1"),
            ("{} {}", "the field hash is missing"),
            ("{\"hash\":\"h\",\"policy\":{}} x", "something follows"),
            ("{\"hash\":\"h\",\"policy\":\"hunter2\"}", "policy has another type"),
            (
                "{\"hash\":\"h\",\"policy\":{},\"webhooks\":[{\"secret\":\"hunter2\"}]}",
                "the field url is missing",
            ),
            ("{\"hash\":\"h\",\"policy\":{},\"proxy\":\"hunter2\"}", "proxy must be"),
            (
                "{\"hash\":\"h\",\"policy\":{},\"webhooks\":[{\"url\":\"hunter2\"}]}",
                "webhooks[0].url must be",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("config.json"), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        std::fs::write(&path, vec![b' '; 300 * 1024]).unwrap();
        assert!(matches!(read(&path), Err(FileError::Large { .. })));
    }
}
