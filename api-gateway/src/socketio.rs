//! Socket.IO: whoever may see a session can join its room and hears what happens in it.
//!
//! Comes in: connections with a key, and what the monitor tells. Goes out: events. A room is a session's UID, not its name:
//! a session that somebody else makes later under the same name is another room.

mod speak;

use std::sync::Arc;

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use session_api::ErrorBody;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SocketIo, SocketIoBuilder};
use tokio::sync::mpsc;

use crate::app::AppState;
use crate::error::ApiError;
use crate::extract::API_KEY;
use crate::keys::ring::KeyRing;
use crate::keys::{Caller, Fingerprint};
use crate::monitor::Told;

/// Largest packet of a client, in bytes.
const MAX_PACKET: u64 = 100_000;
/// How many packets may wait for one client; it misses more, and finds them in the session's log. The messages that waited
/// for a session that was away come in one burst.
const MAX_WAITING: usize = 1024;
/// Most rooms that one client may be in.
const MAX_ROOMS: usize = 1000;

/// `auth` of the handshake.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Auth {
    api_key: Option<String>,
}

/// What `join` and `leave` carry.
#[derive(Debug, Deserialize)]
struct Room {
    room: String,
}

/// No valid key: the client gets `connect_error` with this message.
#[derive(Debug, thiserror::Error)]
#[error("unauthorized")]
struct Unauthorized;

/// The layer that answers `/socket.io`, and the handle that emits.
pub fn layer(state: &AppState) -> (SocketIoLayer, SocketIo) {
    let packet = usize::try_from(MAX_PACKET).unwrap_or(usize::MAX);
    let (layer, io) = SocketIoBuilder::new()
        .max_payload(MAX_PACKET)
        .max_buffer_size(MAX_WAITING)
        .ws_max_message_size(packet)
        .ws_max_frame_size(packet)
        .build_layer();
    let (admit_state, state) = (state.clone(), state.clone());
    let admit = async move |socket: SocketRef, TryData(auth): TryData<Auth>| {
        presented(&admit_state.keys, &socket.req_parts().headers, auth.unwrap_or_default())
            .map(drop)
            .ok_or(Unauthorized)
    };
    let connect = async move |socket: SocketRef, TryData(auth): TryData<Auth>| {
        let auth = auth.unwrap_or_default();
        if let Some(presented) = presented(&state.keys, &socket.req_parts().headers, auth) {
            welcome(&socket, state, presented);
        }
    };
    io.ns("/", connect.with(admit));
    (layer, io)
}

/// Who holds a connection, and by which key.
#[derive(Clone)]
struct Presented {
    key: Fingerprint,
    caller: Arc<Caller>,
}

fn presented(keys: &KeyRing, headers: &HeaderMap, auth: Auth) -> Option<Presented> {
    let header = || headers.get(API_KEY).and_then(|key| key.to_str().ok()).map(str::to_owned);
    let key = auth.api_key.or_else(header)?;
    let caller = Arc::new(keys.authenticate(&key).ok()??);
    Some(Presented { key: Fingerprint::of(&key), caller })
}

/// Lets a client join and leave rooms.
fn welcome(socket: &SocketRef, state: AppState, presented: Presented) {
    let caller = Arc::clone(&presented.caller);
    socket.extensions.insert(presented);
    state.metrics.socket(true);
    let metrics = Arc::clone(&state.metrics);
    socket.on_disconnect(async move || metrics.socket(false));
    let (join_state, join_caller) = (state.clone(), Arc::clone(&caller));
    socket.on("join", async move |socket: SocketRef, TryData(room): TryData<Room>, ack: AckSender| {
        let joined = named(room).and_then(|room| join(&socket, &join_state, &join_caller, &room));
        acknowledge(ack, joined.as_ref().map(|session| session.id.as_str()));
        if let Ok(session) = joined {
            speak::present(&socket, &join_state, &session).await;
        }
    });
    socket.on("leave", async move |socket: SocketRef, TryData(room): TryData<Room>, ack: AckSender| {
        let left = named(room).and_then(|room| state.session(&caller, &room));
        if let Ok(session) = &left {
            socket.leave(session.uid.clone());
        }
        acknowledge(ack, left.as_ref().map(|session| session.id.as_str()));
    });
}

/// The room that a client names.
fn named<E>(room: Result<Room, E>) -> Result<String, ApiError> {
    let problem = || "a session id is needed".to_owned();
    room.map(|Room { room }| room)
        .map_err(|_| ApiError::InvalidBody { field: "room".to_owned(), problem: problem() })
}

fn join(
    socket: &SocketRef,
    state: &AppState,
    caller: &Caller,
    room: &str,
) -> Result<crate::directory::SessionRecord, ApiError> {
    let session = state.session(caller, room)?;
    if socket.rooms().len() >= MAX_ROOMS {
        let problem = format!("a client may be in {MAX_ROOMS} rooms");
        return Err(ApiError::InvalidBody { field: "room".to_owned(), problem });
    }
    socket.join(session.uid.clone());
    Ok(session)
}

/// `{ok: true, room}`, or the error envelope.
fn acknowledge(ack: AckSender, outcome: Result<&str, &ApiError>) {
    let answer =
        outcome.map_or_else(|error| envelope(&error.body()), |room| json!({"ok": true, "room": room}));
    if let Err(error) = ack.send(&answer) {
        tracing::debug!(%error, "a client is gone before its acknowledgement");
    }
}

fn envelope(body: &ErrorBody) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}

/// Closes the connections of keys that hold no longer. Ends when the server is closed.
pub async fn revoke(io: SocketIo, keys: KeyRing) {
    let mut changes = keys.changes();
    while changes.changed().await.is_ok() {
        let Some(everybody) = io.of("/") else { return };
        for socket in everybody.sockets() {
            let presented = socket.extensions.get::<Presented>();
            if presented.is_none_or(|one| !keys.holds(&one.key, &one.caller)) {
                let _gone = socket.disconnect();
            }
        }
    }
}

/// Tells the rooms what the monitor tells. Ends with the monitor, or when the server is closed.
pub async fn speak(io: SocketIo, mut told: mpsc::Receiver<Told>) {
    while let Some(told) = told.recv().await {
        for (event, data) in speak::words(&told) {
            // There is no namespace any more once the server is closed.
            let Some(everybody) = io.of("/") else { return };
            if let Err(error) = everybody.to(told.uid.clone()).emit(event, &data).await {
                tracing::debug!(session = %told.id, %error, "a listener did not take an event");
            }
        }
    }
}
