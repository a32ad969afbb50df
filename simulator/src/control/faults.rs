//! `/faults`: setting, listing and clearing what goes wrong. `close` and `stream_error` strike at once.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use super::extract::Json;
use crate::faults::{Aim, Conflict, Fault, FaultKind, LoginRefusal, Transfer, check};

/// How media is refused unless the fault says.
const UNAVAILABLE: u16 = 503;

/// `POST /faults`: the kind, whom it strikes, how often, and the kind's figures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFault {
    kind: Kind,
    number: Option<String>,
    device: Option<u16>,
    count: Option<u32>,
    ms: Option<u64>,
    code: Option<u16>,
    reason: Option<u16>,
    expire: Option<u32>,
    conflict: Option<Conflict>,
    transfer: Option<Transfer>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    DropAck,
    DelayAck,
    Nack,
    Close,
    StreamError,
    Latency,
    RefuseLogin,
    RefuseMedia,
    Passkey,
}

impl TryFrom<NewFault> for Fault {
    type Error = ApiError;

    fn try_from(new: NewFault) -> Result<Self, ApiError> {
        let needs = |name: &str| ApiError::bad_request(format!("this kind of fault needs `{name}`"));
        let ms = || new.ms.ok_or_else(|| needs("ms"));
        let kind = match new.kind {
            Kind::DropAck => FaultKind::DropAck,
            Kind::DelayAck => FaultKind::DelayAck { ms: ms()? },
            Kind::Nack => FaultKind::Nack { code: new.code.ok_or_else(|| needs("code"))? },
            Kind::Close => FaultKind::Close,
            Kind::StreamError => FaultKind::StreamError { code: new.code, conflict: new.conflict },
            Kind::Latency => FaultKind::Latency { ms: ms()? },
            Kind::RefuseLogin => FaultKind::RefuseLogin(LoginRefusal {
                reason: new.reason.ok_or_else(|| needs("reason"))?,
                code: new.code,
                expire: new.expire,
            }),
            Kind::RefuseMedia => {
                FaultKind::RefuseMedia { code: new.code.unwrap_or(UNAVAILABLE), transfer: new.transfer }
            }
            Kind::Passkey => FaultKind::Passkey,
        };
        let aim = Aim { number: new.number, device: new.device, count: new.count };
        let fault = Self { kind, aim };
        check(&fault)?;
        Ok(fault)
    }
}

pub(super) async fn set(State(app): State<App>, Json(new): Json<NewFault>) -> Result<Json<Value>, ApiError> {
    let fault = Fault::try_from(new)?;
    let struck = app.hub.turn(|world, turn| world.set_fault(turn, fault))?;
    Ok(Json(json!({ "ok": true, "struck": struck })))
}

pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let items = app.hub.look(|world| world.faults.all().to_vec());
    Json(json!({ "items": items }))
}

pub(super) async fn clear(State(app): State<App>) -> Json<Value> {
    app.hub.turn(|world, _| world.faults.clear());
    Json(json!({ "ok": true }))
}
