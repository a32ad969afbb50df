//! The name of a session: a DNS label, because it is the name of a Kubernetes object (and of a file in local mode).
//!
//! Comes in: text from a path, a body or a file. Goes out: a [`SessionName`], or the rule that the text breaks. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name, as in RFC 1123.
pub const MAX_LENGTH: usize = 63;

/// 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionName(String);

/// The text is no session name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a session id is a DNS label: 1 to 63 lower-case letters, digits and hyphens, beginning and ending with a letter \
     or digit (for example my-session-1)"
)]
pub struct InvalidSessionName;

impl SessionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name for a session whose maker gave none: `s-` and ten letters or digits out of `random`.
    pub fn generated(random: [u8; 10]) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let tail = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        Self("s-".chars().chain(tail).collect())
    }
}

impl FromStr for SessionName {
    type Err = InvalidSessionName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let fits = (1..=MAX_LENGTH).contains(&text.len());
        let ends = !text.starts_with('-') && !text.ends_with('-');
        if inner && fits && ends { Ok(Self(text.to_owned())) } else { Err(InvalidSessionName) }
    }
}

impl TryFrom<String> for SessionName {
    type Error = InvalidSessionName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SessionName> for String {
    fn from(name: SessionName) -> Self {
        name.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dns_labels_are_names() {
        for good in ["a", "7", "my-session-1", "asdasd22", &"x".repeat(63)] {
            assert!(good.parse::<SessionName>().is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "..", "a/b", "ä", "a b", "a\n", &"x".repeat(64)] {
            assert_eq!(bad.parse::<SessionName>(), Err(InvalidSessionName), "{bad:?}");
        }
    }

    #[test]
    fn generated_names_are_names() {
        let name = SessionName::generated([0, 31, 32, 255, 7, 8, 9, 10, 11, 12]);
        assert_eq!(name.as_str().parse::<SessionName>(), Ok(name.clone()));
        assert_eq!(name.as_str(), "s-a9a9hijkmn");
    }
}
