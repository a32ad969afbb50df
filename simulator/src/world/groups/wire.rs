//! How a group looks in stanzas: the whole of it, what changed, and the notification around either. The world in, nodes out.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Group, MemberChange};
use crate::address::{Namespace, group_jid};
use crate::world::{Turn, World};

/// The addressing mode of every group here.
pub(crate) const ADDRESSING_MODE: &str = "lid";

/// `<group>`: everything about it, with or without its members.
pub(crate) fn whole(world: &World, group: &Group, with_members: bool) -> Node {
    let lid = |number: &str| world.user_jid(number, Namespace::Lid);
    let pn = |number: &str| world.user_jid(number, Namespace::Pn);
    let node = NodeBuilder::new("group")
        .attr("id", group.id.as_str())
        .attr("subject", group.subject.as_str())
        .attr("s_t", group.subject_at)
        .attr("s_o", lid(&group.subject_by))
        .attr("s_o_pn", pn(&group.subject_by))
        .attr("creation", group.created_at)
        .attr("creator", lid(&group.creator))
        .attr("creator_pn", pn(&group.creator))
        .attr("addressing_mode", ADDRESSING_MODE)
        .attr("p_v_id", group.version)
        .attr("a_v_id", "1")
        .attr("size", group.members.len());
    if !with_members {
        return node.build();
    }
    let members = group.members.iter().map(|(number, member)| {
        let node = participant(world, number);
        match member.role.admin() {
            Some(admin) => node.attr("type", admin).build(),
            None => node.build(),
        }
    });
    node.children(members.collect::<Vec<_>>()).build()
}

/// `<participant>` by LID, with the number behind it.
pub(crate) fn participant(world: &World, number: &str) -> NodeBuilder {
    NodeBuilder::new("participant")
        .attr("jid", world.user_jid(number, Namespace::Lid))
        .attr("phone_number", world.user_jid(number, Namespace::Pn))
}

/// `<create>`: the group is new, or new to whoever is told.
pub(super) fn created(world: &World, group: &Group, new: bool) -> Node {
    let create = NodeBuilder::new("create");
    let create = if new { create.attr("type", "new") } else { create };
    create.children([whole(world, group, true)]).build()
}

/// `<add>`, `<remove>`, `<promote>` or `<demote>`.
pub(super) fn changed(world: &World, group: &Group, change: MemberChange, numbers: &[String]) -> Node {
    let members = numbers.iter().map(|number| participant(world, number).build());
    NodeBuilder::new(change.as_str())
        .attr("prev_v_id", group.version.saturating_sub(u64::try_from(numbers.len()).unwrap_or(1)))
        .attr("v_id", group.version)
        .children(members.collect::<Vec<_>>())
        .build()
}

/// `<subject>`: the group's new name.
pub(super) fn renamed(world: &World, id: &str) -> Node {
    let subject = NodeBuilder::new("subject");
    let Some(group) = world.groups.get(id) else {
        return subject.build();
    };
    subject
        .attr("subject", group.subject.as_str())
        .attr("s_t", group.subject_at)
        .attr("s_o", world.user_jid(&group.subject_by, Namespace::Lid))
        .attr("s_o_pn", world.user_jid(&group.subject_by, Namespace::Pn))
        .build()
}

/// The notification about a group, with whoever did it.
pub(super) fn notification(world: &mut World, turn: &Turn<'_>, (id, by): (&str, &str), news: Node) -> Node {
    let name = world.accounts.get(by).map(|account| account.phone.name().to_owned()).unwrap_or_default();
    NodeBuilder::new("notification")
        .attr("from", group_jid(id))
        .attr("type", "w:gp2")
        .attr("id", world.next_id())
        .attr("t", turn.now_secs())
        .attr("participant", world.user_jid(by, Namespace::Lid))
        .attr("participant_pn", world.user_jid(by, Namespace::Pn))
        .attr("addressing_mode", ADDRESSING_MODE)
        .attr("notify", name)
        .children([news])
        .build()
}
