//! The values of Secrets that a session's spec names, and the configuration that they become part of. Pure.
//!
//! Nothing of it may be logged or shown: `Debug` tells names only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crds::WhatsAppSessionSpec;
use crds::spec::SecretKey;
use crds::token::{self, TokenKey};
use session_api::{ConfigPush, ProxyUrl, SessionPolicy, Webhook};

/// The data of the Secrets that a spec names; none for one that is not there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct References(pub BTreeMap<String, Option<BTreeMap<String, Vec<u8>>>>);

impl fmt::Debug for References {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a Secret's value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is no such Secret.
    #[error("the Secret {name} that {field} names is not there: make it, with the key {key}")]
    NoSecret {
        /// Which field names it.
        field: String,
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    },
    /// It has no such key.
    #[error("the Secret {name} that {field} names has no key {key}")]
    NoKey {
        /// Which field names it.
        field: String,
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    },
    /// The value is not what it should be.
    #[error("the value {key} of the Secret {name} that {field} names {rule}")]
    Unusable {
        /// Which field names it.
        field: String,
        /// The Secret.
        name: String,
        /// The key.
        key: String,
        /// What it must be.
        rule: &'static str,
    },
}

/// Names of the Secrets that a spec names.
pub fn named(spec: &WhatsAppSessionSpec) -> BTreeSet<&str> {
    let webhooks = spec.webhooks.iter().filter_map(|webhook| webhook.secret_ref.as_ref());
    let proxy = spec.proxy.iter().map(|proxy| &proxy.secret_ref);
    webhooks.chain(proxy).map(|reference| reference.name.as_str()).collect()
}

/// The configuration that a session shall have. Its hash is keyed: from what is shown of it, no secret can be guessed.
///
/// # Errors
/// The first Secret's value that cannot be used.
pub fn push(
    spec: &WhatsAppSessionSpec,
    references: &References,
    key: &TokenKey,
) -> Result<ConfigPush, ReferenceError> {
    let millis = |value: Option<i64>| value.and_then(|ms| u64::try_from(ms).ok());
    let mut push = ConfigPush {
        hash: String::new(),
        policy: SessionPolicy {
            cooldown_ms: millis(spec.policy.cooldown_ms),
            pace_ms: millis(spec.policy.pace_ms),
            jitter_ms: millis(spec.policy.jitter_ms),
            auto_reply: spec.policy.auto_reply,
        },
        webhooks: webhooks(spec, references)?,
        proxy: proxy(spec, references)?,
    };
    let json = serde_json::to_string(&push).unwrap_or_default();
    push.hash = token::derive(key, &format!("config:{json}"));
    push.hash.truncate(16);
    Ok(push)
}

fn webhooks(spec: &WhatsAppSessionSpec, references: &References) -> Result<Vec<Webhook>, ReferenceError> {
    let secret = |place: usize, reference: &SecretKey| {
        let field = format!("spec.webhooks[{place}].secretRef");
        let secret = value(references, &field, reference)?;
        let fits = !secret.is_empty() && secret.len() <= 1_024;
        fits.then_some(secret).ok_or_else(|| unusable(&field, reference, "must have 1 to 1024 bytes"))
    };
    let webhook = |(place, webhook): (usize, &crds::spec::Webhook)| {
        let secret = webhook.secret_ref.as_ref().map(|reference| secret(place, reference)).transpose()?;
        Ok(Webhook { url: webhook.url.clone(), secret })
    };
    spec.webhooks.iter().enumerate().map(webhook).collect()
}

fn proxy(spec: &WhatsAppSessionSpec, references: &References) -> Result<Option<ProxyUrl>, ReferenceError> {
    let Some(proxy) = &spec.proxy else { return Ok(None) };
    let field = "spec.proxy.secretRef";
    let url = value(references, field, &proxy.secret_ref)?;
    let known = ["http://", "https://", "socks5://", "socks5h://"].iter().any(|scheme| {
        url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    if known && url.len() <= 4_096 && !url.contains(char::is_whitespace) {
        return Ok(Some(ProxyUrl(url)));
    }
    Err(unusable(
        field,
        &proxy.secret_ref,
        "must be http://host:port, https://host:port or socks5://host:port",
    ))
}

/// A value as text, without the line break that editors and `--from-file` leave at its end.
fn value(references: &References, field: &str, wanted: &SecretKey) -> Result<String, ReferenceError> {
    let (field_, name, key) = (|| field.to_owned(), || wanted.name.clone(), || wanted.key.clone());
    let data = references.0.get(&wanted.name).and_then(Option::as_ref);
    let data = data.ok_or_else(|| ReferenceError::NoSecret { field: field_(), name: name(), key: key() })?;
    let bytes = data.get(&wanted.key);
    let bytes = bytes.ok_or_else(|| ReferenceError::NoKey { field: field_(), name: name(), key: key() })?;
    let text = std::str::from_utf8(bytes).map_err(|_| unusable(field, wanted, "must be text in UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn unusable(field: &str, wanted: &SecretKey, rule: &'static str) -> ReferenceError {
    ReferenceError::Unusable {
        field: field.to_owned(),
        name: wanted.name.clone(),
        key: wanted.key.clone(),
        rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> WhatsAppSessionSpec {
        serde_json::from_value(serde_json::from_str(yaml).unwrap()).unwrap()
    }

    fn references(name: &str, key: &str, value: &str) -> References {
        let data = BTreeMap::from([(key.to_owned(), value.as_bytes().to_vec())]);
        References(BTreeMap::from([(name.to_owned(), Some(data))]))
    }

    const SIGNED: &str =
        r#"{"webhooks":[{"url":"https://x/y","secretRef":{"name":"hook","key":"k"}}],"policy":{"paceMs":5}}"#;

    #[test]
    fn values_become_part_of_the_push_and_of_its_hash() {
        let of =
            |value: &str, key: u8| push(&spec(SIGNED), &references("hook", "k", value), &[key; 32]).unwrap();
        let first = of("s3cret\n", 1);
        assert_eq!(first.webhooks[0].secret.as_deref(), Some("s3cret"));
        assert_eq!((first.policy.pace_ms, first.hash.len()), (Some(5), 16));
        assert_eq!(first, of("s3cret", 1));
        assert_ne!(first.hash, of("another", 1).hash);
        assert_ne!(first.hash, of("s3cret", 2).hash);
        assert_eq!(named(&spec(SIGNED)), BTreeSet::from(["hook"]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let why = |references: &References| push(&spec(SIGNED), references, &[1; 32]).unwrap_err();
        let none = References(BTreeMap::from([("hook".to_owned(), None)]));
        assert!(matches!(why(&none), ReferenceError::NoSecret { ref name, .. } if name == "hook"));
        assert!(
            matches!(why(&references("hook", "other", "x")), ReferenceError::NoKey { ref key, .. } if key == "k")
        );
        assert!(matches!(why(&references("hook", "k", "")), ReferenceError::Unusable { .. }));
        assert!(why(&none).to_string().contains("spec.webhooks[0].secretRef"));
    }

    #[test]
    fn a_proxy_is_a_url_of_a_known_scheme_and_is_never_shown() {
        let of = |url: &str| {
            let spec = spec(r#"{"proxy":{"secretRef":{"name":"p","key":"url"}}}"#);
            push(&spec, &references("p", "url", url), &[1; 32])
        };
        assert!(of("socks5://u:pass@host:1080\n").unwrap().proxy.is_some());
        assert!(of("http://").is_err());
        for bad in ["ftp://hidden", "http:///hidden", "hidden:3128", "http://hidden b"] {
            let why = of(bad).unwrap_err().to_string();
            assert!(!why.contains("hidden"), "{why}");
        }
    }
}
