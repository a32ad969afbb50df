//! What the gateway writes: new resources, merge patches of `spec`, the Secret of a webhook's key.
//!
//! Comes in: wishes. Goes out: JSON. Pure. A patch names the UID it is meant for, so that it never meets a session that was
//! made anew under the same name, and nothing but the fields that change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::names::{OWNER, RESTARTED_AT};
use serde_json::{Map, Value, json};

use crate::cluster::FIELD_MANAGER;
use crate::directory::{NewSession, Webhook};
use crate::session_name::SessionName;

/// Key in the Secret of a webhook.
const WEBHOOK_KEY: &str = "secret";

/// Name of the Secret with the key of a session's webhook.
pub fn webhook_secret_name(id: &SessionName) -> String {
    format!("{id}-webhook")
}

/// A resource for a new session. `owner` is its owner's key name.
pub fn resource(new: &NewSession, owner: &str, auto_reply: bool) -> Value {
    let mut spec = wanted(new);
    if auto_reply {
        spec["policy"] = json!({"autoReply": true});
    }
    let mut labels = Map::new();
    if is_label_value(owner) {
        labels.insert(OWNER.to_owned(), owner.into());
    }
    json!({
        "apiVersion": "warest.io/v1alpha1",
        "kind": "WhatsAppSession",
        "metadata": {"name": new.id, "annotations": {OWNER: owner}, "labels": labels},
        "spec": spec,
    })
}

/// Lets an existing session run, with the fields that are given.
pub fn take_up(new: &NewSession, uid: &str) -> Value {
    patch(uid, &wanted(new))
}

/// Lets a session run.
pub fn resume(uid: &str) -> Value {
    patch(uid, &json!({"operatingMode": "Running"}))
}

/// Suspends a session.
pub fn suspend(uid: &str) -> Value {
    patch(uid, &json!({"operatingMode": "Suspended"}))
}

/// Asks for a new pod. `moment` is another one than before.
pub fn restart(uid: &str, moment: &str) -> Value {
    let metadata = json!({"annotations": {RESTARTED_AT: moment}});
    patch(uid, &json!({"operatingMode": "Running", "podMetadata": metadata}))
}

/// Suspends a session and throws its volume away. `token` is another one than before.
pub fn wipe(uid: &str, token: &str) -> Value {
    patch(uid, &json!({"operatingMode": "Suspended", "volumeResetToken": token}))
}

/// The volume goes with the session.
pub fn give_up_volume(uid: &str) -> Value {
    patch(uid, &json!({"retentionPolicy": "Delete"}))
}

/// The Secret with a webhook's key, owned by the session.
pub fn webhook_secret(id: &SessionName, uid: &str, secret: &str) -> Value {
    let owner =
        json!({"apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "name": id, "uid": uid});
    let labels = json!({"app.kubernetes.io/managed-by": FIELD_MANAGER, crds::names::SESSION: id});
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": webhook_secret_name(id), "labels": labels, "ownerReferences": [owner]},
        "type": "Opaque",
        "stringData": {WEBHOOK_KEY: secret},
    })
}

/// Changes the key in the Secret that the session of this UID owns. On any other Secret the test fails, and nothing changes.
pub fn webhook_key(uid: &str, secret: &str) -> Value {
    json!([
        {"op": "test", "path": "/metadata/ownerReferences/0/uid", "value": uid},
        {"op": "add", "path": "/data", "value": {WEBHOOK_KEY: STANDARD.encode(secret)}},
    ])
}

fn patch(uid: &str, spec: &Value) -> Value {
    json!({"metadata": {"uid": uid}, "spec": spec})
}

fn wanted(new: &NewSession) -> Value {
    let mut spec = json!({"operatingMode": "Running"});
    if let Some(label) = &new.label {
        spec["displayName"] = label.as_str().into();
    }
    if let Some(Webhook { url, secret }) = &new.webhook {
        let mut webhook = json!({"url": url});
        if secret.is_some() {
            webhook["secretRef"] = json!({"name": webhook_secret_name(&new.id), "key": WEBHOOK_KEY});
        }
        spec["webhooks"] = json!([webhook]);
    }
    spec
}

/// Whether a text can be a label's value: at most 63 letters, digits, `-`, `_`, `.`, beginning and ending with a letter or digit.
fn is_label_value(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    inner && text.len() <= 63 && ends(text.as_bytes().first()) && ends(text.as_bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewSession {
        NewSession {
            id: "toko".parse().unwrap(),
            owner: "user-1".to_owned(),
            any_owner: false,
            label: Some("Toko".to_owned()),
            webhook: Some(Webhook { url: "https://x/y".to_owned(), secret: Some("s3cret".to_owned()) }),
        }
    }

    #[test]
    fn a_new_session_is_a_resource_that_the_type_reads_and_holds_no_secret() {
        let made = resource(&new(), "user-1", true);
        assert!(!made.to_string().contains("s3cret"));
        let read: crds::WhatsAppSession = serde_json::from_value(made).unwrap();
        assert_eq!(read.metadata.annotations.unwrap()[OWNER], "user-1");
        assert_eq!(read.metadata.labels.unwrap()[OWNER], "user-1");
        let reference = read.spec.webhooks[0].secret_ref.clone().unwrap();
        assert_eq!((reference.name.as_str(), reference.key.as_str()), ("toko-webhook", "secret"));
        assert_eq!(
            (read.spec.display_name.as_deref(), read.spec.policy.auto_reply),
            (Some("Toko"), Some(true))
        );
    }

    #[test]
    fn an_owner_that_is_no_label_value_is_an_annotation_only() {
        for odd in ["", "-a", "a b", "é", &"x".repeat(64)] {
            assert_eq!(resource(&new(), odd, false)["metadata"]["labels"], json!({}), "{odd:?}");
        }
    }

    #[test]
    fn patches_touch_what_changes_and_nothing_else() {
        let bare = NewSession { label: None, webhook: None, ..new() };
        assert_eq!(
            take_up(&bare, "u"),
            json!({"metadata": {"uid": "u"}, "spec": {"operatingMode": "Running"}})
        );
        assert_eq!(
            wipe("u", "t"),
            json!({"metadata": {"uid": "u"}, "spec": {"operatingMode": "Suspended", "volumeResetToken": "t"}})
        );
        assert_eq!(
            restart("u", "now")["spec"]["podMetadata"]["annotations"],
            json!({"warest.io/restartedAt": "now"})
        );
    }
}
