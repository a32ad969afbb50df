//! `/phones`: making phones, listing them with their devices, unlinking a device.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::{Json, Path};
use crate::address::DeviceId;
use crate::world::World;
use crate::world::account::Account;

/// The longest name of a phone.
const MAX_NAME: usize = 100;

/// `POST /phones`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPhone {
    number: Option<String>,
    name: Option<String>,
}

pub(super) async fn create(
    State(app): State<App>,
    Json(new): Json<NewPhone>,
) -> Result<Json<Value>, ApiError> {
    if new.name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME) {
        return Err(ApiError::bad_request(format!("a name has at most {MAX_NAME} characters")));
    }
    let phone = app.hub.turn(|world, turn| {
        let number = world.create_phone(new.number.as_deref(), new.name.as_deref(), turn.rng)?;
        world.account(&number).map(describe)
    })?;
    Ok(Json(phone))
}

pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let items = app.hub.look(|world| {
        world
            .accounts()
            .map(|account| {
                let mut phone = describe(account);
                phone["devices"] = devices(world, account);
                phone
            })
            .collect::<Vec<_>>()
    });
    Json(json!({ "items": items }))
}

pub(super) async fn unlink(
    State(app): State<App>,
    Path((number, device)): Path<(String, u16)>,
) -> Result<Json<Value>, ApiError> {
    let id = DeviceId::new(number, device);
    app.hub.turn(|world, turn| world.unlink(turn, &id))?;
    Ok(Json(json!({ "ok": true })))
}

fn describe(account: &Account) -> Value {
    let phone = &account.phone;
    json!({ "number": phone.number(), "lid": phone.lid(), "name": phone.name() })
}

fn devices(world: &World, account: &Account) -> Value {
    account
        .devices
        .iter()
        .map(|(id, device)| {
            json!({
                "id": id,
                "name": device.name,
                "platform": device.platform,
                "online": world.is_online(&DeviceId::new(account.phone.number(), *id)),
                "queued": device.queue.len(),
                "preKeys": device.keys.as_ref().map_or(0, crate::world::keys::KeyStore::count),
            })
        })
        .collect()
}
