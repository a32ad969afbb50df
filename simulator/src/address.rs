//! Who is who: accounts, devices and their JIDs. Values only.
//!
//! An account has two user parts, its phone number (`@s.whatsapp.net`) and its LID (`@lid`); a device is an account
//! and a number, 0 being the phone. JIDs in stanzas are always typed: whatsmeow drops the string form silently.

use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Server};

/// A device of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId {
    /// The account's phone number, digits only.
    pub number: String,
    /// 0 is the phone, linked devices follow.
    pub device: u16,
}

impl DeviceId {
    /// Device `device` of the account `number`.
    pub fn new(number: impl Into<String>, device: u16) -> Self {
        Self { number: number.into(), device }
    }

    /// Whether this is the account's phone.
    pub fn is_phone(&self) -> bool {
        self.device == 0
    }
}

/// Which of an account's two names a JID uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespace {
    /// Phone numbers, `@s.whatsapp.net`.
    Pn,
    /// Hidden identities, `@lid`.
    Lid,
}

impl Namespace {
    /// The namespace of a user's JID; groups, newsletters and the rest have none.
    pub fn of(jid: &Jid) -> Option<Self> {
        if jid.server == Server::Pn && !jid.user.is_empty() {
            Some(Self::Pn)
        } else if jid.server == Server::Lid {
            Some(Self::Lid)
        } else {
            None
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Pn => Self::Lid,
            Self::Lid => Self::Pn,
        }
    }

    /// `first` suffixed with this namespace's name: `sender` → `sender_lid`.
    pub fn attribute(self, first: &str) -> String {
        match self {
            Self::Pn => format!("{first}_pn"),
            Self::Lid => format!("{first}_lid"),
        }
    }
}

/// The server itself, `@s.whatsapp.net` with an empty user.
pub fn server() -> Jid {
    Jid::new("", Server::Pn)
}

/// Every group's server, `@g.us` with an empty user: whom clients ask about groups in general.
pub fn group_server() -> Jid {
    Jid::new("", Server::Group)
}

/// A group's JID.
pub fn group_jid(id: &str) -> Jid {
    Jid::group(id)
}
