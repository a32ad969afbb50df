//! Keys as a list in YAML, as a Secret holds them under `keys.yaml`.
//!
//! Comes in: the text. Goes out: [`Keys`], or which entry is wrong and why. Pure. No error repeats a key.
//!
//! ```yaml
//! - {name: admin, role: admin, sha256: <hex of the key's SHA-256>}
//! - {name: shop, role: user, key: <the key itself>}
//! - {name: sales, role: user, sha256: …, sessions: {matchLabels: {team: sales}}}
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_norway::Value;

use super::{Caller, Key, Keys, Role, digest, is_usable};

/// Most keys.
pub const MAX_KEYS: usize = 10_000;
/// Longest name of a key.
const MAX_NAME: usize = 63;

/// Why the text holds no keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// No YAML, or no list.
    #[error("it is no YAML list of keys: {0}")]
    NoList(String),
    /// Nobody could call.
    #[error("it holds no key of role admin")]
    NoAdmin,
    /// Too many.
    #[error("it holds more than {MAX_KEYS} keys")]
    TooMany,
    /// An entry is wrong.
    #[error("key {number} of the list{}: {problem}", name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default())]
    Entry {
        /// Which, counted from 1.
        number: usize,
        /// Its name, if it has one.
        name: Option<String>,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: Role,
    sha256: Option<String>,
    key: Option<String>,
    sessions: Option<Sessions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sessions {
    match_labels: BTreeMap<String, String>,
}

/// Reads the keys.
pub fn parse(text: &str) -> Result<Keys, FileError> {
    let list: Vec<Value> =
        serde_norway::from_str(text).map_err(|error| FileError::NoList(first_line(&error)))?;
    if list.len() > MAX_KEYS {
        return Err(FileError::TooMany);
    }
    let mut keys = Keys::default();
    for (at, value) in list.into_iter().enumerate() {
        let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
        let wrong = |problem| FileError::Entry { number: at + 1, name, problem };
        let key = read(value).and_then(|key| fits(&keys, &key).map(|()| key)).map_err(wrong)?;
        keys.0.push(key);
    }
    let admin = keys.0.iter().any(|key| key.caller.role == Role::Admin);
    admin.then_some(keys).ok_or(FileError::NoAdmin)
}

fn read(value: Value) -> Result<Key, String> {
    let entry: Entry = serde_norway::from_value(value).map_err(|error| shape(&error))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if entry.name.is_empty() || entry.name.len() > MAX_NAME || !entry.name.bytes().all(plain) {
        return Err(format!("name: 1 to {MAX_NAME} letters, digits, '-', '_' and '.' are needed"));
    }
    if entry.role == Role::User && entry.name == "admin" {
        return Err(
            "name: admin owns the sessions that name no owner; call a user's key otherwise".to_owned()
        );
    }
    let digest = match (&entry.sha256, &entry.key) {
        (Some(hex), None) => sha256(hex)?,
        (None, Some(key)) if is_usable(key) => digest(key),
        (None, Some(_)) => return Err("key: 1 to 512 visible ASCII characters are needed".to_owned()),
        (Some(_), Some(_)) | (None, None) => return Err("either sha256 or key is needed".to_owned()),
    };
    let sees = entry.sessions.map(|sessions| selector(sessions, entry.role)).transpose()?;
    Ok(Key { digest, caller: Caller { name: entry.name.into(), role: entry.role, sees } })
}

fn sha256(text: &str) -> Result<[u8; 32], String> {
    let mut digest = [0; 32];
    let decoded = hex::decode_to_slice(text.trim(), &mut digest);
    decoded
        .map(|()| digest)
        .map_err(|_| "sha256: 64 hex digits are needed (printf %s KEY | sha256sum)".to_owned())
}

fn selector(sessions: Sessions, role: Role) -> Result<Arc<BTreeMap<String, String>>, String> {
    if role == Role::Admin {
        return Err("sessions: an admin sees every session".to_owned());
    }
    if sessions.match_labels.is_empty() {
        return Err(
            "sessions.matchLabels: no label would be every session; use role admin for that".to_owned()
        );
    }
    Ok(Arc::new(sessions.match_labels))
}

/// One name may have several keys, so that a key can be replaced: then they must be alike.
fn fits(keys: &Keys, new: &Key) -> Result<(), String> {
    if keys.0.iter().any(|key| key.digest == new.digest) {
        return Err("this key is in the list already".to_owned());
    }
    if keys.0.iter().any(|key| key.caller.name == new.caller.name && key.caller != new.caller) {
        return Err("another key of this name has another role or other sessions".to_owned());
    }
    Ok(())
}

/// What serde says of an entry's shape. It may repeat a value, and a value may be a key: only names of fields are told.
fn shape(error: &serde_norway::Error) -> String {
    let told = first_line(error);
    let harmless =
        ["missing field", "unknown field", "unknown variant"].iter().any(|start| told.contains(start));
    if harmless {
        told
    } else {
        "name, role, sha256 and key are texts; sessions is {matchLabels: {label: value}}".to_owned()
    }
}

fn first_line(error: &serde_norway::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Fingerprint;

    const ADMIN: &str = "- {name: root, role: admin, key: secret-admin}\n";

    fn refused(entry: &str) -> String {
        parse(&format!("{ADMIN}{entry}")).err().expect("refused").to_string()
    }

    #[test]
    fn keys_are_read_and_known_by_their_digests() {
        let hash = hex::encode(digest("user-key-2"));
        let text = format!(
            "{ADMIN}- name: sales\n  role: user\n  sha256: {hash}\n  sessions: {{matchLabels: {{team: sales}}}}\n"
        );
        let keys = parse(&text).unwrap();
        assert_eq!(keys.authenticate("secret-admin").unwrap().role, Role::Admin);
        let sales = keys.authenticate("user-key-2").unwrap();
        let labels = |team: &str| {
            BTreeMap::from([("team".to_owned(), team.to_owned()), ("x".to_owned(), "y".to_owned())])
        };
        assert!(sales.may_see("root", &labels("sales")) && sales.may_see("sales", &BTreeMap::new()));
        assert!(!sales.may_see("root", &labels("hr")) && !sales.may_see("root", &BTreeMap::new()));
        assert!(keys.authenticate(&hash).is_none(), "a digest is no key");
    }

    #[test]
    fn a_name_may_have_two_keys_while_one_replaces_the_other() {
        let both = format!(
            "{ADMIN}- {{name: shop, role: user, key: old}}\n- {{name: shop, role: user, key: new}}\n"
        );
        let keys = parse(&both).unwrap();
        assert_eq!(keys.authenticate("old"), keys.authenticate("new"));
        assert!(keys.holds(&Fingerprint::of("old"), &keys.authenticate("old").unwrap()));
        assert!(!parse(ADMIN).unwrap().holds(&Fingerprint::of("old"), &keys.authenticate("old").unwrap()));
    }

    #[test]
    fn each_mistake_names_its_entry_and_no_key() {
        for (entry, told) in [
            ("- {name: a, role: user}", "either sha256 or key"),
            ("- {name: a, role: user, key: topsecret, sha256: x}", "either sha256 or key"),
            ("- {name: a, role: user, sha256: topsecret}", "64 hex digits"),
            ("- {name: a, role: user, key: 'top secret'}", "visible ASCII"),
            ("- {name: a, role: owner, key: topsecret}", "unknown variant `owner`"),
            ("- {name: a, role: user, kye: topsecret}", "unknown field `kye`"),
            ("- {role: user, key: topsecret}", "missing field `name`"),
            ("- {name: 'a b', role: user, key: topsecret}", "name: 1 to 63"),
            ("- {name: admin, role: user, key: topsecret}", "owns the sessions"),
            ("- {name: a, role: user, key: topsecret, sessions: {matchLabels: {}}}", "every session"),
            (
                "- {name: a, role: admin, key: topsecret, sessions: {matchLabels: {a: b}}}",
                "an admin sees every",
            ),
            ("- {name: a, role: user, key: secret-admin}", "in the list already"),
            ("- {name: root, role: user, key: topsecret}", "another role"),
            ("- {name: a, role: user, key: [topsecret]}", "are texts"),
            ("- topsecret", "are texts"),
        ] {
            let error = refused(entry);
            assert!(error.starts_with("key 2 of the list") && error.contains(told), "{entry}: {error}");
            assert!(!error.contains("topsecret"), "{error}");
        }
        assert!(matches!(parse("{a: b}"), Err(FileError::NoList(_))));
        assert!(matches!(parse("- ["), Err(FileError::NoList(_))));
        assert_eq!(parse("[]").err(), Some(FileError::NoAdmin));
        assert_eq!(parse("- {name: a, role: user, key: b}").err(), Some(FileError::NoAdmin));
    }
}
