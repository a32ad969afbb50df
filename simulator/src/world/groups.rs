//! Groups: who is in them, who may change them, and who hears of it. A change in, notifications out. `groups/wire.rs` says
//! how a group looks in a stanza.
//!
//! Every group addresses its members by LID, as WhatsApp's do today. Source: whatsapp-rust `iq/groups.rs`,
//! `stanza/groups.rs`; whatsmeow `group.go`.

use std::collections::BTreeMap;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use wacore_binary::Node;

use super::account::AccountError;
use super::{Turn, World};
use crate::address::DeviceId;

pub(crate) mod wire;

/// The longest subject, in characters.
pub const MAX_SUBJECT: usize = 100;
/// The most members of a group, as WhatsApp has it.
pub const MAX_MEMBERS: usize = 1024;

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

/// What became of each account that a change named: its number, or why nothing happened to it.
pub(crate) type Outcomes = Vec<Result<String, (String, GroupError)>>;

impl World {
    /// All groups, by id.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The group with this id, which may be given as a JID.
    pub fn group(&self, id: &str) -> Result<&Group, GroupError> {
        let user = id.strip_suffix("@g.us").unwrap_or(id);
        self.groups.get(user).ok_or_else(|| GroupError::NoGroup(id.chars().take(64).collect()))
    }

    /// The group, for one of its members.
    pub(crate) fn group_of(&self, id: &str, number: &str) -> Result<&Group, GroupError> {
        let group = self.group(id)?;
        group.member(number)?;
        Ok(group)
    }

    /// Every device of every member.
    pub(crate) fn group_devices(&self, group: &Group) -> Vec<DeviceId> {
        group.members.keys().flat_map(|number| self.devices_of(number)).collect()
    }

    /// Makes a group. The creator is in it whether it is named among the members or not. Returns the group's id.
    pub fn create_group(
        &mut self,
        turn: &mut Turn<'_>,
        creator: &str,
        subject: &str,
        members: &[String],
    ) -> Result<String, GroupError> {
        let subject = valid_subject(subject)?;
        let now = turn.now_secs();
        let mut all =
            BTreeMap::from([(creator.to_owned(), Member { role: Role::SuperAdmin, joined_at: now })]);
        for number in members {
            all.entry(number.clone()).or_insert(Member { role: Role::Member, joined_at: now });
        }
        if all.len() > MAX_MEMBERS {
            return Err(GroupError::Size);
        }
        for number in all.keys() {
            self.account(number)?;
        }
        let id = format!("120363{}", turn.rng.random_range(100_000_000_000_u64..1_000_000_000_000));
        let group = Group {
            id: id.clone(),
            subject,
            subject_by: creator.to_owned(),
            subject_at: now,
            creator: creator.to_owned(),
            created_at: now,
            members: all,
            version: 1,
        };
        let news = wire::created(self, &group, true);
        let everybody: Vec<String> = group.members.keys().cloned().collect();
        self.groups.insert(id.clone(), group);
        self.tell_members(turn, (&id, creator), &everybody, &news);
        Ok(id)
    }

    /// Changes members as far as it is allowed, each for itself.
    pub(crate) fn change_members(
        &mut self,
        turn: &mut Turn<'_>,
        (id, by): (&str, &str),
        change: MemberChange,
        numbers: &[String],
    ) -> Result<Outcomes, GroupError> {
        self.group(id)?.must_be_admin(by)?;
        let mut done: Vec<String> = Vec::new();
        let mut outcomes = Outcomes::new();
        for number in numbers {
            let allowed = self.group(id)?.allows(change, number).and_then(|()| {
                self.account(number)?;
                Ok(())
            });
            if let Err(error) = allowed {
                outcomes.push(Err((number.clone(), error)));
                continue;
            }
            if let Some(group) = self.groups.get_mut(id) {
                group.apply(change, number, turn.now_secs());
            }
            done.push(number.clone());
            outcomes.push(Ok(number.clone()));
        }
        self.tell_change(turn, (id, by), change, &done);
        Ok(outcomes)
    }

    /// The same for all of them or for none.
    pub fn change_all_members(
        &mut self,
        turn: &mut Turn<'_>,
        (id, by): (&str, &str),
        change: MemberChange,
        numbers: &[String],
    ) -> Result<(), GroupError> {
        let id = self.group(id)?.id.clone();
        if change == MemberChange::Remove && numbers == [by] {
            return self.leave_group(turn, &id, by);
        }
        let group = self.group(&id)?;
        group.must_be_admin(by)?;
        for number in numbers {
            self.account(number)?;
            group.allows(change, number)?;
        }
        let added = if change == MemberChange::Add { numbers.len() } else { 0 };
        if group.members.len() + added > MAX_MEMBERS {
            return Err(GroupError::Size);
        }
        self.change_members(turn, (&id, by), change, numbers).map(drop)
    }

    /// A member leaves. Whoever is left always has an admin; a group without members is gone.
    pub(crate) fn leave_group(
        &mut self,
        turn: &mut Turn<'_>,
        id: &str,
        number: &str,
    ) -> Result<(), GroupError> {
        self.group_of(id, number)?;
        let Some(group) = self.groups.get_mut(id) else {
            return Ok(());
        };
        group.apply(MemberChange::Remove, number, turn.now_secs());
        let oldest = group.members.iter().min_by_key(|(_, member)| member.joined_at);
        let heir = oldest.map(|(number, _)| number.clone()).filter(|_| group.first_admin().is_none());
        let empty = group.members.is_empty();
        self.tell_change(turn, (id, number), MemberChange::Remove, &[number.to_owned()]);
        if let Some(heir) = heir {
            if let Some(group) = self.groups.get_mut(id) {
                group.apply(MemberChange::Promote, &heir, turn.now_secs());
            }
            self.tell_change(turn, (id, number), MemberChange::Promote, &[heir]);
        }
        if empty {
            self.groups.remove(id);
        }
        Ok(())
    }

    /// Gives a group another name. Every member may.
    pub fn rename_group(
        &mut self,
        turn: &mut Turn<'_>,
        (id, by): (&str, &str),
        subject: &str,
    ) -> Result<(), GroupError> {
        let subject = valid_subject(subject)?;
        let id = self.group_of(id, by)?.id.clone();
        let now = turn.now_secs();
        let Some(group) = self.groups.get_mut(&id) else {
            return Ok(());
        };
        group.subject = subject;
        by.clone_into(&mut group.subject_by);
        group.subject_at = now;
        let members: Vec<String> = group.members.keys().cloned().collect();
        let news = wire::renamed(self, &id);
        self.tell_members(turn, (&id, by), &members, &news);
        Ok(())
    }

    /// Tells what happened to members: those who came in get the whole group, the others (and who went) the change.
    fn tell_change(
        &mut self,
        turn: &mut Turn<'_>,
        (id, by): (&str, &str),
        change: MemberChange,
        numbers: &[String],
    ) {
        let Some(group) = self.groups.get(id).filter(|_| !numbers.is_empty()) else {
            return;
        };
        let news = wire::changed(self, group, change, numbers);
        let whole = wire::created(self, group, false);
        let came = |number: &&String| change == MemberChange::Add && numbers.contains(number);
        let newcomers: Vec<String> = group.members.keys().filter(came).cloned().collect();
        let mut others: Vec<String> = group.members.keys().filter(|number| !came(number)).cloned().collect();
        if change == MemberChange::Remove {
            others.extend_from_slice(numbers);
        }
        self.tell_members(turn, (id, by), &newcomers, &whole);
        self.tell_members(turn, (id, by), &others, &news);
    }

    fn tell_members(&mut self, turn: &mut Turn<'_>, (id, by): (&str, &str), numbers: &[String], news: &Node) {
        for number in numbers {
            for target in self.devices_of(number) {
                let notification = wire::notification(self, turn, (id, by), news.clone());
                self.deliver(turn, None, &target, notification);
            }
        }
    }
}

fn valid_subject(subject: &str) -> Result<String, GroupError> {
    let subject = subject.trim();
    let valid = (1..=MAX_SUBJECT).contains(&subject.chars().count());
    if valid { Ok(subject.to_owned()) } else { Err(GroupError::Subject) }
}

#[cfg(test)]
mod tests;
