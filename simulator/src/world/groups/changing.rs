//! Making and changing groups in the world, and telling the members of it. A change in, notifications out.

use std::collections::BTreeMap;

use rand::RngExt;
use wacore_binary::Node;

use super::{Group, GroupError, MAX_GROUPS, MAX_MEMBERS, MAX_SUBJECT, Member, MemberChange, Role, wire};
use crate::address::DeviceId;
use crate::world::{Turn, World};

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
        if self.groups.len() >= MAX_GROUPS {
            return Err(GroupError::TooMany);
        }
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
