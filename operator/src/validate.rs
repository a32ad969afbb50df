//! What a session asks for, checked: the builders read nothing else. Pure.
//!
//! What the API server checks itself (the resource's schema and rules) is not checked again; here is what only shows
//! together with other objects or with the operator's defaults.

use crds::token::TokenKey;
use crds::{WhatsAppSession, WhatsAppSessionSpec, conditions::reason, names};
use session_api::ConfigPush;

use crate::observe::SessionKey;
use crate::quantity;
use crate::secrets::{self, ReferenceError, References};

/// A session whose parts fit together.
#[derive(Debug, Clone)]
pub struct Valid {
    /// Where it is.
    pub key: SessionKey,
    /// Its UID.
    pub uid: String,
    /// Name of the API key that made it; none: the admin's.
    pub owner: Option<String>,
    /// What it asks for.
    pub spec: WhatsAppSessionSpec,
    /// The configuration that it shall have.
    pub push: ConfigPush,
}

/// Why a session cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A Secret's value cannot be used.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// More is set aside than may be used.
    #[error(
        "spec.resources.requests.{what} ({request}) is more than spec.resources.limits.{what} ({limit}): raise the limit"
    )]
    Resources {
        /// `cpu` or `memory`.
        what: &'static str,
        /// What is set aside.
        request: String,
        /// What may be used.
        limit: String,
    },
    /// A webhook goes nowhere.
    #[error("spec.webhooks[{place}].url must be http://… or https://… with a host")]
    Webhook {
        /// Which one.
        place: usize,
    },
}

impl Invalid {
    /// The reason of the condition that tells it.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Reference(ReferenceError::NoSecret { .. } | ReferenceError::NoKey { .. }) => {
                reason::SECRET_NOT_FOUND
            }
            Self::Reference(ReferenceError::Unusable { .. })
            | Self::Resources { .. }
            | Self::Webhook { .. } => reason::INVALID_SPEC,
        }
    }
}

/// Checks a session.
///
/// # Errors
/// The first thing that does not fit.
pub fn validate(
    session: &WhatsAppSession,
    references: &References,
    key: &TokenKey,
) -> Result<Valid, Invalid> {
    let spec = &session.spec;
    let resources = &spec.resources;
    fits("cpu", resources.requests.cpu.as_ref(), resources.limits.cpu.as_ref())?;
    fits("memory", resources.requests.memory.as_ref(), resources.limits.memory.as_ref())?;
    for (place, webhook) in spec.webhooks.iter().enumerate() {
        let uri: Option<axum::http::Uri> = webhook.url.parse().ok();
        uri.filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))
            .ok_or(Invalid::Webhook { place })?;
    }
    let meta = &session.metadata;
    Ok(Valid {
        key: SessionKey::of(session),
        uid: meta.uid.clone().unwrap_or_default(),
        owner: meta.annotations.as_ref().and_then(|all| all.get(names::OWNER).cloned()),
        spec: spec.clone(),
        push: secrets::push(spec, references, key)?,
    })
}

fn fits(what: &'static str, request: Option<&String>, limit: Option<&String>) -> Result<(), Invalid> {
    let (Some(request), Some(limit)) = (request, limit) else { return Ok(()) };
    match (quantity::parse(request), quantity::parse(limit)) {
        (Some(least), Some(most)) if least > most => {
            Err(Invalid::Resources { what, request: request.clone(), limit: limit.clone() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: &str) -> Result<Valid, Invalid> {
        let manifest = format!(
            r#"{{"apiVersion":"warest.io/v1alpha1","kind":"WhatsAppSession","metadata":{{"name":"toko","namespace":"a","uid":"u"}},"spec":{spec}}}"#
        );
        validate(&serde_json::from_str(&manifest).unwrap(), &References::default(), &[1; 32])
    }

    #[test]
    fn the_least_spec_is_valid() {
        let valid = check("{}").unwrap();
        assert_eq!((valid.key.to_string().as_str(), valid.uid.as_str()), ("a/toko", "u"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        let refused = |spec: &str| check(spec).unwrap_err();
        let memory = refused(r#"{"resources":{"requests":{"memory":"1Gi"},"limits":{"memory":"512Mi"}}}"#);
        assert_eq!(memory.reason(), reason::INVALID_SPEC);
        assert!(memory.to_string().contains("1Gi"), "{memory}");
        let secret = refused(r#"{"proxy":{"secretRef":{"name":"p","key":"url"}}}"#);
        assert_eq!(secret.reason(), reason::SECRET_NOT_FOUND);
        assert_eq!(refused(r#"{"webhooks":[{"url":"http:///nowhere"}]}"#), Invalid::Webhook { place: 0 });
    }
}
