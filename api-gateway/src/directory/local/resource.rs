//! A session as a `WhatsAppSession` resource in YAML, the same shape as in a cluster, and what must survive its deletion.
//!
//! Comes in: the text of a file. Goes out: a [`Resource`], or why the file is none. Pure. What it does not know in a file
//! it keeps: fields for a cluster stay in the manifest when the gateway writes it.

use std::collections::BTreeMap;

use crds::names::OWNER;
use crds::spec::{OperatingMode, RetentionPolicy};
use serde::{Deserialize, Serialize};
use serde_norway::Value;

use crate::directory::{NewSession, Webhook};
use crate::session_name::SessionName;

/// `apiVersion` of every resource.
pub const API_VERSION: &str = "warest.io/v1alpha1";
/// `kind` of every resource.
pub const KIND: &str = "WhatsAppSession";

type Rest = BTreeMap<String, Value>;

/// A session's resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// Its name and identity.
    pub metadata: Metadata,
    /// What it shall be.
    #[serde(default)]
    pub spec: Spec,
    /// Whatever else stands in the file.
    #[serde(flatten)]
    pub rest: Rest,
}

/// Name and identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The session's id.
    pub name: SessionName,
    /// Its identity. A manifest written by hand has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<String>,
    /// Among them [`OWNER`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What the session shall be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whether it runs.
    #[serde(default)]
    pub operating_mode: OperatingMode,
    /// Where its events shall be posted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookSpec>,
    /// How it behaves.
    #[serde(default, skip_serializing_if = "Policy::is_default")]
    pub policy: Policy,
    /// What happens to its volume when it is deleted.
    #[serde(default)]
    pub retention_policy: RetentionPolicy,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookSpec {
    /// Where.
    pub url: String,
    /// Key of the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub rest: Rest,
}

/// How a session behaves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Answer `ping` with `pong`. Unset: as the gateway's configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_reply: Option<bool>,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Policy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is kept beside a volume, so that a session that is made again is the same one, and its owner's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The session's UID.
    pub uid: String,
    /// Name of the key that made it.
    pub owner: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

/// Why a file is no session.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAResource {
    /// Not readable as YAML of this shape.
    #[error("it cannot be read as a {KIND}: {0}")]
    Unreadable(String),
    /// Something else.
    #[error("it is a {kind} of {api_version}, not a {KIND} of {API_VERSION}")]
    Foreign {
        /// Its `kind`.
        kind: String,
        /// Its `apiVersion`.
        api_version: String,
    },
    /// The file's name is not the session's.
    #[error("it describes the session {0}, so it must be called {0}.yaml")]
    Misnamed(SessionName),
}

impl Resource {
    /// A new session's resource.
    pub fn new(new: &NewSession, identity: &Identity) -> Self {
        let metadata = Metadata {
            name: new.id.clone(),
            uid: Some(identity.uid.clone()),
            creation_timestamp: Some(identity.created_at.clone()),
            annotations: BTreeMap::from([(OWNER.to_owned(), identity.owner.clone())]),
            rest: Rest::new(),
        };
        let mut resource = Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata,
            spec: Spec::default(),
            rest: Rest::new(),
        };
        resource.take(new);
        resource
    }

    /// Reads the file `<stem>.yaml`.
    pub fn parse(stem: &str, text: &str) -> Result<Self, NotAResource> {
        let unreadable = |error: serde_norway::Error| NotAResource::Unreadable(error.to_string());
        let value: Value = serde_norway::from_str(text).map_err(unreadable)?;
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or("(nothing)").to_owned();
        let (api_version, kind) = (field("apiVersion"), field("kind"));
        if api_version != API_VERSION || kind != KIND {
            return Err(NotAResource::Foreign { kind, api_version });
        }
        let resource: Self = serde_norway::from_value(value).map_err(unreadable)?;
        if resource.metadata.name.as_str() == stem {
            Ok(resource)
        } else {
            Err(NotAResource::Misnamed(resource.metadata.name))
        }
    }

    /// Takes over what a request to make the session gives, and lets it run.
    pub fn take(&mut self, new: &NewSession) {
        self.spec.operating_mode = OperatingMode::Running;
        if let Some(label) = &new.label {
            self.spec.display_name = Some(label.clone());
        }
        if let Some(Webhook { url, secret }) = &new.webhook {
            self.spec.webhooks =
                vec![WebhookSpec { url: url.clone(), secret: secret.clone(), rest: Rest::new() }];
        }
    }

    /// Name of the key that owns it; a manifest that names none is the admin's.
    pub fn owner(&self) -> &str {
        self.metadata.annotations.get(OWNER).map_or("admin", String::as_str)
    }

    /// Where its events shall be posted.
    pub fn webhook(&self) -> Option<Webhook> {
        let first = self.spec.webhooks.first()?;
        Some(Webhook { url: first.url.clone(), secret: first.secret.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDMADE: &str = "
apiVersion: warest.io/v1alpha1
kind: WhatsAppSession
metadata:
  name: toko-1
  labels: {team: sales}
spec:
  displayName: Toko
  operatingMode: Suspended
  storage: {size: 1Gi}
  policy: {autoReply: true, paceMs: 500}
";

    fn new_session() -> NewSession {
        NewSession {
            id: "shop".parse().unwrap(),
            owner: "user-1".to_owned(),
            any_owner: false,
            label: Some("Shop".to_owned()),
            webhook: Some(Webhook { url: "http://x/y".to_owned(), secret: Some("s".to_owned()) }),
        }
    }

    #[test]
    fn a_new_session_is_a_resource() {
        let identity = Identity {
            uid: "u-1".to_owned(),
            owner: "user-1".to_owned(),
            created_at: "2026-11-22T16:50:00Z".to_owned(),
        };
        let text = serde_norway::to_string(&Resource::new(&new_session(), &identity)).unwrap();
        assert_eq!(
            text,
            "apiVersion: warest.io/v1alpha1\nkind: WhatsAppSession\nmetadata:\n  name: shop\n  uid: u-1\n  \
             creationTimestamp: 2026-11-22T16:50:00Z\n  annotations:\n    warest.io/owner: user-1\nspec:\n  \
             displayName: Shop\n  operatingMode: Running\n  webhooks:\n  - url: http://x/y\n    secret: s\n  \
             retentionPolicy: Retain\n"
        );
        let read = Resource::parse("shop", &text).unwrap();
        assert_eq!((read.owner(), read.webhook()), ("user-1", new_session().webhook));
    }

    #[test]
    fn what_a_manifest_says_beyond_us_is_kept() {
        let mut read = Resource::parse("toko-1", HANDMADE).unwrap();
        assert_eq!((read.owner(), read.spec.operating_mode), ("admin", OperatingMode::Suspended));
        read.take(&NewSession { label: None, webhook: None, ..new_session() });
        let written = serde_norway::to_string(&read).unwrap();
        for kept in ["team: sales", "size: 1Gi", "paceMs: 500", "autoReply: true", "displayName: Toko"] {
            assert!(written.contains(kept), "{kept} in {written}");
        }
        assert!(written.contains("operatingMode: Running"));
    }

    #[test]
    fn anything_else_is_told_apart() {
        assert!(matches!(Resource::parse("x", "{"), Err(NotAResource::Unreadable(_))));
        assert!(matches!(Resource::parse("x", ""), Err(NotAResource::Foreign { .. })));
        assert!(matches!(
            Resource::parse("x", "apiVersion: v1\nkind: Secret"),
            Err(NotAResource::Foreign { .. })
        ));
        assert!(matches!(Resource::parse("toko-2", HANDMADE), Err(NotAResource::Misnamed(_))));
        let mode = HANDMADE.replace("Suspended", "Paused");
        assert!(
            matches!(Resource::parse("toko-1", &mode), Err(NotAResource::Unreadable(why)) if why.contains("Paused"))
        );
        let name = HANDMADE.replace("toko-1", "Toko_1");
        assert!(matches!(Resource::parse("Toko_1", &name), Err(NotAResource::Unreadable(_))));
    }
}
