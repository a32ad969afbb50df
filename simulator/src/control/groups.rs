//! `/groups`: making groups, listing them, renaming them and changing who is in them, as people do on their phones.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::{Json, Path};
use crate::address::group_jid;
use crate::world::World;
use crate::world::groups::{Group, GroupError, MAX_MEMBERS, MemberChange};

/// `POST /groups`. The creator is in the group whether it is among the members or not.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    subject: String,
    /// Numbers.
    members: Vec<String>,
    /// A number; the first member when absent.
    creator: Option<String>,
}

/// `PATCH /groups/{id}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    subject: String,
    by: Option<String>,
}

/// `POST /groups/{id}/members`. Who removes itself leaves.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeMembers {
    action: MemberChange,
    /// Numbers.
    members: Vec<String>,
    /// Who does it: a number; the group's creator or first admin when absent.
    by: Option<String>,
}

pub(super) async fn create(
    State(app): State<App>,
    Json(new): Json<NewGroup>,
) -> Result<Json<Value>, ApiError> {
    let creator = new.creator.as_ref().or_else(|| new.members.first()).ok_or(GroupError::Size)?;
    let group = app.hub.turn(|world, turn| -> Result<Value, GroupError> {
        let id = world.create_group(turn, creator, &new.subject, &new.members)?;
        world.run_phones(turn);
        Ok(describe(world, world.group(&id)?))
    })?;
    Ok(Json(group))
}

pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let items = app.hub.look(|world| world.groups().map(|group| describe(world, group)).collect::<Vec<_>>());
    Json(json!({ "items": items }))
}

pub(super) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let group = app.hub.look(|world| world.group(&id).map(|group| describe(world, group)))?;
    Ok(Json(group))
}

pub(super) async fn rename(
    State(app): State<App>,
    Path(id): Path<String>,
    Json(rename): Json<Rename>,
) -> Result<Json<Value>, ApiError> {
    let group = app.hub.turn(|world, turn| -> Result<Value, GroupError> {
        let by = actor(world.group(&id)?, rename.by)?;
        world.rename_group(turn, (&id, &by), &rename.subject)?;
        world.run_phones(turn);
        Ok(describe(world, world.group(&id)?))
    })?;
    Ok(Json(group))
}

pub(super) async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    Json(mut change): Json<ChangeMembers>,
) -> Result<Json<Value>, ApiError> {
    if change.members.is_empty() || change.members.len() > MAX_MEMBERS {
        return Err(ApiError::bad_request(format!("members has 1 to {MAX_MEMBERS} numbers")));
    }
    change.members.sort_unstable();
    change.members.dedup();
    let group = app.hub.turn(|world, turn| -> Result<Value, GroupError> {
        let group = world.group(&id)?;
        let left = json!({ "id": group_jid(&group.id).to_string(), "subject": group.subject, "members": [] });
        let by = actor(group, change.by)?;
        world.change_all_members(turn, (&id, &by), change.action, &change.members)?;
        world.run_phones(turn);
        // The last member took the group along.
        Ok(world.group(&id).map_or(left, |group| describe(world, group)))
    })?;
    Ok(Json(group))
}

fn actor(group: &Group, by: Option<String>) -> Result<String, GroupError> {
    by.or_else(|| group.first_admin().map(str::to_owned)).ok_or(GroupError::Size)
}

fn describe(world: &World, group: &Group) -> Value {
    let members: Vec<Value> = group
        .members
        .iter()
        .map(|(number, member)| {
            let lid = world.account(number).map(|account| account.phone.lid()).ok();
            json!({ "number": number, "lid": lid, "admin": member.role.admin() })
        })
        .collect();
    json!({ "id": group_jid(&group.id).to_string(), "subject": group.subject, "members": members })
}
