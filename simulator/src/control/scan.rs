//! Linking devices: a phone scans a QR code, or a person types a link code. The answer comes when the device has signed.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::{Json, Path};
use crate::world::account::AccountError;
use crate::world::pairing::Offered;
use crate::world::{Turn, World};

/// How long a device may take to sign; a link code needs some hundred thousand hashes on both sides.
const PATIENCE: Duration = Duration::from_secs(25);

/// `POST /phones/{number}/scan`.
#[derive(Debug, Deserialize)]
pub(super) struct Scan {
    qr: String,
}

/// `POST /phones/scan`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScanByAny {
    qr: String,
    number: Option<String>,
    #[serde(default)]
    by_name: bool,
}

/// `POST /phones/{number}/link-code`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkCode {
    code: String,
}

pub(super) async fn scan(
    State(app): State<App>,
    Path(number): Path<String>,
    Json(scan): Json<Scan>,
) -> Result<Json<Value>, ApiError> {
    let offered = app.hub.turn(|world, turn| world.scan(turn, &number, &scan.qr))?;
    until_linked(&app, &offered).await
}

pub(super) async fn scan_by_any(
    State(app): State<App>,
    Json(scan): Json<ScanByAny>,
) -> Result<Json<Value>, ApiError> {
    let offered = app.hub.turn(|world, turn| -> Result<Offered, ApiError> {
        // A bad code must not leave a phone behind.
        world.find_code(turn.now_ms, &scan.qr)?;
        let number = choose_phone(world, turn, &scan)?;
        Ok(world.scan(turn, &number, &scan.qr)?)
    })?;
    until_linked(&app, &offered).await
}

/// The phone that scans: the one named, the one with the device's name, or a new one.
fn choose_phone(world: &mut World, turn: &mut Turn<'_>, scan: &ScanByAny) -> Result<String, AccountError> {
    if let Some(number) = &scan.number {
        return match world.account(number) {
            Ok(_) => Ok(number.clone()),
            Err(_) => world.create_phone(Some(number), None, turn.rng),
        };
    }
    let name = scan.by_name.then(|| world.announced_name(&scan.qr)).flatten();
    let known = name.as_ref().and_then(|name| {
        let found = world.accounts().find(|account| account.phone.name() == name)?;
        Some(found.phone.number().to_owned())
    });
    match known {
        Some(number) => Ok(number),
        None => world.create_phone(None, name.as_deref(), turn.rng),
    }
}

pub(super) async fn link_code(
    State(app): State<App>,
    Path(number): Path<String>,
    Json(typed): Json<LinkCode>,
) -> Result<Json<Value>, ApiError> {
    let connection = app.hub.turn(|world, turn| world.type_link_code(turn, &number, &typed.code))?;
    let offered = app
        .hub
        .wait_for(PATIENCE, |world| world.link_code_outcome(&number, connection).transpose())
        .await
        .ok_or_else(ApiError::device_silent)?
        .map_err(ApiError::not_linked)?;
    until_linked(&app, &offered).await
}

async fn until_linked(app: &App, offered: &Offered) -> Result<Json<Value>, ApiError> {
    app.hub
        .wait_for(PATIENCE, |world| match world.device(&offered.id) {
            Some(_) => Some(Ok(())),
            None => world.offer_failure(offered).map(Err),
        })
        .await
        .ok_or_else(ApiError::device_silent)?
        .map_err(ApiError::not_linked)?;
    Ok(Json(json!({ "number": offered.id.number, "deviceId": offered.id.device })))
}
