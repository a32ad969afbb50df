//! `<iq xmlns="w:g2">`: making groups, looking at them, changing who is in them, leaving. To `@g.us` for groups in general,
//! otherwise to the group. What is not allowed is answered with WhatsApp's code: 403 not in it or no admin, 404 no such
//! group or account, 405 the creator, 406 a bad subject, 409 in it already,
//! 429 too many groups.
//!
//! Source: whatsapp-rust `iq/groups.rs`, whatsmeow `group.go`, Baileys `groups.js`.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use crate::address::DeviceId;
use crate::world::groups::{GroupError, MAX_MEMBERS, MemberChange, wire};
use crate::world::{Turn, World};
use crate::xml;

/// Answers, and tells the members what changed. Nothing for what is not known.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, iq: &Node) -> Option<Node> {
    let to = xml::jid(iq, "to").filter(|jid| jid.server == Server::Group)?;
    let child = xml::children(iq).first()?;
    let kind = xml::text(iq, "type").unwrap_or_default();
    let outcome = match (kind.as_ref(), child.tag.as_ref(), to.user.as_str()) {
        ("get", "participating", "") => Ok(vec![participating(world, from, child)]),
        ("set", "create", "") => create(world, turn, from, child),
        ("set", "leave", "") => Ok(vec![leave(world, turn, from, child)]),
        ("get", "query", id) => {
            world.group_of(id, &from.number).map(|group| vec![wire::whole(world, group, true)])
        }
        ("set", "subject", id) => {
            let subject =
                xml::bytes(child).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
            world.rename_group(turn, (id, &from.number), &subject).map(|()| Vec::new())
        }
        ("set", tag, id) => change(world, turn, (id, &from.number), MemberChange::of(tag)?, child),
        _ => return None,
    };
    let mut answer = match outcome {
        Ok(content) => xml::result(iq, content),
        Err(error) => xml::error(iq, error.code(), reason(error.code())),
    };
    answer.attrs.insert("from", to);
    Some(answer)
}

fn reason(code: u16) -> &'static str {
    match code {
        403 => "forbidden",
        404 => "item-not-found",
        405 => "not-allowed",
        409 => "conflict",
        429 => "rate-overlimit",
        _ => "not-acceptable",
    }
}

fn participating(world: &World, from: &DeviceId, asked: &Node) -> Node {
    let with_members = asked.get_optional_child("participants").is_some();
    let own = world.groups().filter(|group| group.has(&from.number));
    let groups: Vec<Node> = own.map(|group| wire::whole(world, group, with_members)).collect();
    NodeBuilder::new("groups").children(groups).build()
}

fn create(
    world: &mut World,
    turn: &mut Turn<'_>,
    from: &DeviceId,
    create: &Node,
) -> Result<Vec<Node>, GroupError> {
    let subject = xml::text(create, "subject").unwrap_or_default().into_owned();
    let members: Vec<String> = participants(world, create).into_iter().filter_map(Result::ok).collect();
    let id = world.create_group(turn, &from.number, &subject, &members)?;
    Ok(vec![wire::whole(world, world.group(&id)?, true)])
}

fn leave(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, leave: &Node) -> Node {
    let left: Vec<Jid> =
        leave.get_children_by_tag("group").filter_map(|group| xml::jid(group, "id")).collect();
    let mut groups = Vec::new();
    for jid in left.iter().take(MAX_MEMBERS) {
        let node = NodeBuilder::new("group").attr("id", jid);
        groups.push(match world.leave_group(turn, &jid.user, &from.number) {
            Ok(()) => node.build(),
            Err(error) => node.attr("error", error.code()).build(),
        });
    }
    NodeBuilder::new("leave").children(groups).build()
}

/// The accounts in `<participant>`s; a JID that is nobody's stays one.
fn participants(world: &World, node: &Node) -> Vec<Result<String, Jid>> {
    node.get_children_by_tag("participant")
        .take(MAX_MEMBERS)
        .filter_map(|participant| xml::jid(participant, "jid"))
        .map(|jid| world.resolve(&jid).map(|(id, _)| id.number).ok_or(jid))
        .collect()
}

fn change(
    world: &mut World,
    turn: &mut Turn<'_>,
    (id, by): (&str, &str),
    change: MemberChange,
    asked: &Node,
) -> Result<Vec<Node>, GroupError> {
    let (known, unknown): (Vec<_>, Vec<_>) = participants(world, asked).into_iter().partition(Result::is_ok);
    let known: Vec<String> = known.into_iter().filter_map(Result::ok).collect();
    let outcomes = world.change_members(turn, (id, by), change, &known)?;
    let known = outcomes.into_iter().map(|outcome| match outcome {
        Ok(number) => wire::participant(world, &number).build(),
        Err((number, error)) => {
            // The group is there and `by` is its admin: who is missing is the account.
            let code = if matches!(error, GroupError::NotMember(_)) { 404 } else { error.code() };
            wire::participant(world, &number).attr("error", code).build()
        }
    });
    let unknown = unknown
        .into_iter()
        .filter_map(Result::err)
        .map(|jid| NodeBuilder::new("participant").attr("jid", jid).attr("error", 404_u16).build());
    let participants: Vec<Node> = known.chain(unknown).collect();
    Ok(vec![NodeBuilder::new(change.as_str()).children(participants).build()])
}
