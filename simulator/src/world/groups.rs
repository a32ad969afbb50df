//! Groups: who is in them and who may change them. Values only; `groups/changing.rs` changes them in the world,
//! `groups/wire.rs` says how a group looks in a stanza.
//!
//! Every group addresses its members by LID, as WhatsApp's do today. Source: whatsapp-rust `iq/groups.rs`,
//! `stanza/groups.rs`; whatsmeow `group.go`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::AccountError;

mod changing;
pub(crate) mod wire;

/// The longest subject, in characters.
pub const MAX_SUBJECT: usize = 100;
/// The most members of a group, as WhatsApp has it.
pub const MAX_MEMBERS: usize = 1024;
/// The most groups of a server.
const MAX_GROUPS: usize = 10_000;

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// The user part of its JID: digits.
    pub id: String,
    /// Its name.
    pub subject: String,
    /// The number of whoever named it.
    pub subject_by: String,
    /// Unix seconds.
    pub subject_at: u64,
    /// The number of whoever made it.
    pub creator: String,
    /// Unix seconds.
    pub created_at: u64,
    /// By number.
    pub members: BTreeMap<String, Member>,
    /// Counts the changes of the list of members.
    pub(crate) version: u64,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it may do.
    pub role: Role,
    /// Unix seconds.
    pub joined_at: u64,
}

/// What a member may do. Later ones may do more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Write.
    Member,
    /// Change the group, too.
    Admin,
    /// The creator, whom nobody else removes or demotes.
    SuperAdmin,
}

impl Role {
    /// Attribute `type` of `<participant>`; plain members have none.
    pub fn admin(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

/// What happens to members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberChange {
    /// They come in.
    Add,
    /// They are sent away, or one leaves.
    Remove,
    /// They become admins.
    Promote,
    /// They are admins no more.
    Demote,
}

impl MemberChange {
    /// The tag of its stanzas.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Promote => "promote",
            Self::Demote => "demote",
        }
    }

    /// The change with this tag.
    pub fn of(tag: &str) -> Option<Self> {
        [Self::Add, Self::Remove, Self::Promote, Self::Demote]
            .into_iter()
            .find(|change| change.as_str() == tag)
    }
}

/// Why a group was not made, changed or written to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// No such phone.
    #[error(transparent)]
    FindPhone(#[from] AccountError),
    /// No such group.
    #[error("there is no group `{0}`; make it with POST /groups")]
    NoGroup(String),
    /// The subject is empty or too long.
    #[error("a subject has 1 to {MAX_SUBJECT} characters")]
    Subject,
    /// Nobody, or too many.
    #[error("a group has 1 to {MAX_MEMBERS} members")]
    Size,
    /// The server has no room for more.
    #[error("there are {MAX_GROUPS} groups already")]
    TooMany,
    /// Whoever wants to write or change is outside.
    #[error("{0} is no member of the group")]
    NotMember(String),
    /// Only admins may.
    #[error("{0} is no admin of the group")]
    NotAdmin(String),
    /// The member is in already.
    #[error("{0} is in the group already")]
    AlreadyMember(String),
    /// Only the creator itself may leave.
    #[error("{0} made the group: nobody removes or demotes it, it may only leave")]
    Creator(String),
}

impl GroupError {
    /// WhatsApp's code for it.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::FindPhone(_) | Self::NoGroup(_) => 404,
            Self::Subject | Self::Size => 406,
            Self::TooMany => 429,
            Self::NotMember(_) | Self::NotAdmin(_) => 403,
            Self::AlreadyMember(_) => 409,
            Self::Creator(_) => 405,
        }
    }
}

impl Group {
    /// Whether the account is in it.
    pub fn has(&self, number: &str) -> bool {
        self.members.contains_key(number)
    }

    /// The member, or who says that it is none.
    fn member(&self, number: &str) -> Result<&Member, GroupError> {
        self.members.get(number).ok_or_else(|| GroupError::NotMember(number.to_owned()))
    }

    fn must_be_admin(&self, number: &str) -> Result<(), GroupError> {
        let admin = self.member(number)?.role > Role::Member;
        if admin { Ok(()) } else { Err(GroupError::NotAdmin(number.to_owned())) }
    }

    /// The admin who acts when nobody is named: the creator if it is still there, otherwise the first admin.
    pub fn first_admin(&self) -> Option<&str> {
        let admins = self.members.iter().filter(|(_, member)| member.role > Role::Member);
        admins.max_by_key(|(_, member)| member.role).map(|(number, _)| number.as_str())
    }

    /// Whether this change may happen to this account.
    fn allows(&self, change: MemberChange, number: &str) -> Result<(), GroupError> {
        match (change, self.member(number)) {
            (MemberChange::Add, Ok(_)) => Err(GroupError::AlreadyMember(number.to_owned())),
            (MemberChange::Add, Err(_)) if self.members.len() >= MAX_MEMBERS => Err(GroupError::Size),
            (MemberChange::Add, Err(_)) => Ok(()),
            (_, Err(error)) => Err(error),
            (MemberChange::Remove | MemberChange::Demote, Ok(member)) if member.role == Role::SuperAdmin => {
                Err(GroupError::Creator(number.to_owned()))
            }
            (MemberChange::Remove | MemberChange::Promote | MemberChange::Demote, Ok(_)) => Ok(()),
        }
    }

    fn apply(&mut self, change: MemberChange, number: &str, now_secs: u64) {
        match (change, self.members.get_mut(number)) {
            (MemberChange::Add, None) => {
                let member = Member { role: Role::Member, joined_at: now_secs };
                self.members.insert(number.to_owned(), member);
            }
            (MemberChange::Remove, Some(_)) => {
                self.members.remove(number);
            }
            (MemberChange::Promote, Some(member)) => member.role = member.role.max(Role::Admin),
            (MemberChange::Demote, Some(member)) => member.role = Role::Member,
            (MemberChange::Add, Some(_)) | (_, None) => {}
        }
        self.version += 1;
    }
}

#[cfg(test)]
mod tests;
