//! Who calls: the admin keys and the user keys, known by their digests only.
//!
//! Comes in: the keys of the configuration or of a file, then whatever a caller presents. Goes out: a [`Caller`], or nothing.
//! Keys are neither kept nor shown, and comparing takes the same time whichever key it is.

pub mod file;
pub mod ring;
pub mod secret;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Longest key that is looked at, in bytes; anything longer is unknown.
pub const MAX_KEY_BYTES: usize = 512;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees every session.
    Admin,
    /// Sees the sessions it owns.
    User,
}

/// Whoever presented a known key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's name: as the keys' file says, or `admin`, or `user-` and the first 8 hex digits of the key's SHA-256.
    /// Sessions keep it as their owner.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// Labels of sessions that it may see beside those it owns.
    pub sees: Option<Arc<BTreeMap<String, String>>>,
}

impl Caller {
    /// Whether it may see a session of this owner and with these labels.
    pub fn may_see(&self, owner: &str, labels: &BTreeMap<String, String>) -> bool {
        let matches = |wanted: &BTreeMap<String, String>| {
            wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        self.role == Role::Admin || *self.name == *owner || self.sees.as_deref().is_some_and(matches)
    }
}

/// A set of keys that cannot be told apart or used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A key is empty or too long.
    #[error("an API key is 1 to {MAX_KEY_BYTES} visible ASCII characters; {0} is not")]
    Unusable(String),
    /// Two keys have the same name: they are equal, or their digests begin alike.
    #[error("two API keys are both called {0}: remove the duplicate, or replace one of them")]
    SameName(String),
    /// The admin key is also a user key.
    #[error("ADMIN_API_KEY is also listed in USER_API_KEYS: a key has one role")]
    AdminAmongUsers,
}

/// What is remembered of a key that was presented: enough to know it again, and not the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this key.
    pub fn of(presented: &str) -> Self {
        Self(digest(presented))
    }
}

#[derive(PartialEq)]
struct Key {
    digest: [u8; 32],
    caller: Caller,
}

/// All known keys.
#[derive(Default, PartialEq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// The admin key and the user keys.
    pub fn new(admin: &str, users: &[String]) -> Result<Self, KeysError> {
        let mut keys = vec![Key::new(admin, Role::Admin, "ADMIN_API_KEY")?];
        for user in users {
            let key = Key::new(user, Role::User, "one of USER_API_KEYS")?;
            if key.digest == keys[0].digest {
                return Err(KeysError::AdminAmongUsers);
            }
            if keys.iter().any(|known| known.caller.name == key.caller.name) {
                return Err(KeysError::SameName(key.caller.name.to_string()));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// Who presents this key. Every known digest is compared, whether or not one fits.
    pub fn authenticate(&self, presented: &str) -> Option<Caller> {
        if presented.len() > MAX_KEY_BYTES {
            return None;
        }
        let digest = digest(presented);
        let fold = |found, key: &Key| {
            if bool::from(key.digest.ct_eq(&digest)) { Some(key.caller.clone()) } else { found }
        };
        self.0.iter().fold(None, fold)
    }

    /// Whether this key is still known, and its holder may still do the same.
    pub fn holds(&self, presented: &Fingerprint, caller: &Caller) -> bool {
        self.0.iter().any(|key| key.digest == presented.0 && key.caller == *caller)
    }
}

impl Key {
    fn new(key: &str, role: Role, what: &str) -> Result<Self, KeysError> {
        if !is_usable(key) {
            return Err(KeysError::Unusable(what.to_owned()));
        }
        let digest = digest(key);
        let name = match role {
            Role::Admin => "admin".to_owned(),
            Role::User => format!("user-{}", hex::encode(&digest[..4])),
        };
        Ok(Self { digest, caller: Caller { name: name.into(), role, sees: None } })
    }
}

/// Whether a text can be sent as a key in a header.
fn is_usable(key: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new("secret-admin", &["user-key-1".to_owned(), "user-key-2".to_owned()]).unwrap()
    }

    #[test]
    fn each_key_is_somebody() {
        let admin = keys().authenticate("secret-admin").unwrap();
        assert_eq!((&*admin.name, admin.role), ("admin", Role::Admin));
        let user = keys().authenticate("user-key-2").unwrap();
        // printf user-key-2 | sha256sum
        assert_eq!((&*user.name, user.role), ("user-03bf1b2f", Role::User));
    }

    #[test]
    fn anything_else_is_nobody() {
        for unknown in ["", "secret-admi", "secret-admin ", "user-key-3", &"x".repeat(10_000)] {
            assert_eq!(keys().authenticate(unknown), None);
        }
    }

    #[test]
    fn users_see_their_own_sessions_only() {
        let (admin, user) =
            (keys().authenticate("secret-admin").unwrap(), keys().authenticate("user-key-1").unwrap());
        let none = BTreeMap::new();
        assert!(admin.may_see("user-00000000", &none) && user.may_see(&user.name, &none));
        assert!(!user.may_see("admin", &none) && !user.may_see("user-00000000", &none));
    }

    #[test]
    fn keys_that_cannot_be_told_apart_are_refused() {
        let users = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        assert_eq!(Keys::new("a", &users(&["a"])).err(), Some(KeysError::AdminAmongUsers));
        assert!(matches!(Keys::new("a", &users(&["b", "b"])), Err(KeysError::SameName(_))));
        assert!(matches!(Keys::new("", &[]), Err(KeysError::Unusable(_))));
        assert!(matches!(Keys::new("a b", &[]), Err(KeysError::Unusable(_))));
    }
}
