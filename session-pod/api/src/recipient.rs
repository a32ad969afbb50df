//! Who a message goes to: a phone number or a JID, in every form that people write them. Pure; asks nobody whether it exists.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A WhatsApp address: `<number>@s.whatsapp.net`, `<id>@g.us` or `<id>@lid`, without a device.
///
/// Reads a number with or without `+`, spaces, dashes, dots and brackets (5 to 15 digits, as in E.164), and a JID; `@c.us` is an alias of `@s.whatsapp.net`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recipient {
    user: String,
    server: Server,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Server {
    Phone,
    Group,
    Lid,
}

impl Server {
    const fn name(self) -> &'static str {
        match self {
            Self::Phone => "s.whatsapp.net",
            Self::Group => "g.us",
            Self::Lid => "lid",
        }
    }
}

/// The text is no recipient. It does not repeat the text: it may be a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRecipient;

impl fmt::Display for InvalidRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a recipient: use an international number such as 6281234567890, or a JID ending in \
             @s.whatsapp.net, @g.us or @lid",
        )
    }
}

impl std::error::Error for InvalidRecipient {}

impl Recipient {
    /// The part before the `@`: a number, a group id or a LID.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether it is a group.
    pub fn is_group(&self) -> bool {
        self.server == Server::Group
    }

    /// Whether it is a phone number (not a group, not a LID).
    pub fn is_phone(&self) -> bool {
        self.server == Server::Phone
    }
}

impl FromStr for Recipient {
    type Err = InvalidRecipient;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (user, server) = match text.split_once('@') {
            None => (phone_digits(text)?, Server::Phone),
            Some((user, "s.whatsapp.net" | "c.us")) => (phone_digits(user)?, Server::Phone),
            Some((user, "g.us")) => (group_id(user)?, Server::Group),
            Some((user, "lid")) => (digits(user, 1..=20)?, Server::Lid),
            Some(_) => return Err(InvalidRecipient),
        };
        Ok(Self { user, server })
    }
}

fn phone_digits(text: &str) -> Result<String, InvalidRecipient> {
    let bare = text.strip_prefix('+').unwrap_or(text);
    let kept: String = bare.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
    digits(&kept, 5..=15)
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Result<String, InvalidRecipient> {
    let fits = length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err(InvalidRecipient) }
}

/// `120363…` or, in old groups, `<creator>-<time>`.
fn group_id(text: &str) -> Result<String, InvalidRecipient> {
    let (first, second) = text.split_once('-').unwrap_or((text, "0"));
    digits(first, 5..=25)?;
    digits(second, 1..=15)?;
    Ok(text.to_owned())
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.server.name())
    }
}

impl TryFrom<String> for Recipient {
    type Error = InvalidRecipient;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let read = text.parse::<Recipient>().ok().map(|r| r.to_string());
        assert_eq!(read.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn numbers_and_jids() {
        check("6281234567890", Some("6281234567890@s.whatsapp.net"));
        check("+62 812-3456-7890", Some("6281234567890@s.whatsapp.net"));
        check(" (62) 812.3456.7890 ", Some("6281234567890@s.whatsapp.net"));
        check("6281234567890@c.us", Some("6281234567890@s.whatsapp.net"));
        check("6281234567890@s.whatsapp.net", Some("6281234567890@s.whatsapp.net"));
        check("120363025246125486@g.us", Some("120363025246125486@g.us"));
        check("6281234567890-1600000000@g.us", Some("6281234567890-1600000000@g.us"));
        check("900001@lid", Some("900001@lid"));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "@",
            "hello",
            "1234",
            "1234567890123456",
            "++628123456789",
            "628123456789:3@s.whatsapp.net",
            "628123456789@example.com",
            "628123456789@g.us@g.us",
            "status@broadcast",
            "1@newsletter",
            "abc@lid",
            "62812345678９",
        ] {
            check(bad, None);
        }
    }
}
