//! The media server: files by HTTPS under the simulator's certificate, as WhatsApp's clients upload and fetch them.
//!
//! `POST /mms/{kind}/{token}?auth=` takes a file, `&resume=1` asks how much of it is there, `&file_offset=` goes on there;
//! `GET /v/{kind}/{token}` gives it. Requests in, turns of the world and files in the state directory out. What is answered
//! with 200 is on the disk. Source: whatsapp-rust `upload.rs`, `download.rs`; whatsmeow `upload.go`; Baileys
//! `messages-media.js`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::hub::Hub;
use crate::snapshot::{SnapshotError, StateDir};
use crate::world::media::{MediaError, MediaStore, read_token, token};

pub(crate) mod tls;

/// What clients upload.
const KINDS: [&str; 12] = [
    "image",
    "video",
    "audio",
    "document",
    "ptt",
    "gif",
    "sticker",
    "md-app-state",
    "md-msg-hist",
    "sticker-pack",
    "thumbnail-sticker-pack",
    "thumbnail-link",
];
/// An upload that takes longer is cut off; the client may go on with it.
const PATIENCE: Duration = Duration::from_mins(3);

/// What every handler gets.
#[derive(Clone)]
pub(crate) struct Shelf {
    hub: Arc<Hub>,
    dir: Option<StateDir>,
}

impl Shelf {
    pub(crate) fn new(hub: Arc<Hub>, dir: Option<StateDir>) -> Self {
        Self { hub, dir }
    }

    /// Keeps a file whose token was computed from it: on the disk first, if there is a state directory.
    pub(crate) async fn keep(&self, token: &str, file: Arc<[u8]>) -> Result<(), MediaError> {
        self.hub.look(|world| world.media.check_size(token, file.len()))?;
        let (name, bytes) = (token.to_owned(), Arc::clone(&file));
        self.on_disk(move |dir| dir.save_media(&name, &bytes)).await?;
        let kept = self.hub.turn(|world, _| world.media.put(token, file));
        if kept.is_err() {
            let name = token.to_owned();
            self.on_disk(move |dir| dir.remove_media(&[name])).await?;
        }
        kept
    }

    async fn on_disk(
        &self,
        act: impl FnOnce(&StateDir) -> Result<(), SnapshotError> + Send + 'static,
    ) -> Result<(), MediaError> {
        let Some(dir) = self.dir.clone() else {
            return Ok(());
        };
        let acted = tokio::task::spawn_blocking(move || act(&dir)).await;
        acted
            .map_err(|error| MediaError::Keep(error.to_string()))?
            .map_err(|error| MediaError::Keep(error.to_string()))
    }

    /// Deletes all files; returns how many there were.
    pub(crate) async fn clear(&self) -> usize {
        let tokens = self.hub.turn(|world, _| world.media.clear());
        let count = tokens.len();
        if let Err(error) = self.on_disk(move |dir| dir.remove_media(&tokens)).await {
            tracing::error!(%error, "files could not be deleted");
        }
        count
    }
}

/// The server's routes.
pub(crate) fn app(shelf: Shelf) -> Router {
    Router::new()
        .route("/mms/{kind}/{token}", post(upload))
        .route("/v/{kind}/{token}", get(download))
        // Bodies are streamed, and counted here.
        .layer(DefaultBodyLimit::disable())
        .fallback(|| async { MediaError::NotFound })
        .with_state(shelf)
}

impl IntoResponse for MediaError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Auth => StatusCode::UNAUTHORIZED,
            Self::Token | Self::Hash | Self::BrokeOff => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Full | Self::Keep(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Offset(..) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Gone => StatusCode::GONE,
            Self::Refused(code) => StatusCode::from_u16(*code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// A parameter of a query. Some clients append a second `?` to a path that has one.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split(['&', '?'])
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, v)| v)
}

async fn upload(
    State(shelf): State<Shelf>,
    Path((kind, token)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, MediaError> {
    let token = read_token(&token)?;
    if !KINDS.contains(&kind.as_str()) {
        return Err(MediaError::NotFound);
    }
    let query = query.unwrap_or_default();
    let auth = parameter(&query, "auth").unwrap_or_default();
    shelf.hub.turn(|world, _| world.admit_upload(auth))?;
    let direct_path = MediaStore::direct_path(&kind, &token);
    if parameter(&query, "resume").is_some() {
        return Ok(Json(progress(&shelf, &token, &direct_path)));
    }
    let offset = parameter(&query, "file_offset").and_then(|offset| offset.parse().ok()).unwrap_or(0);
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let first = shelf.hub.turn(|world, _| {
        world.media.check_size(&token, announced.unwrap_or(0_usize).saturating_add(offset))?;
        world.media.take_unfinished(&token, offset)
    })?;
    let file = receive(&shelf, &token, first, body).await?;
    keep(&shelf, &token, file).await?;
    let url = shelf.hub.look(|world| world.media.url(&direct_path));
    Ok(Json(json!({ "url": url, "direct_path": direct_path })))
}

fn progress(shelf: &Shelf, token: &str, direct_path: &str) -> Value {
    shelf.hub.look(|world| {
        if world.media.has(token) {
            json!({ "resume": "complete", "url": world.media.url(direct_path), "direct_path": direct_path })
        } else {
            json!({ "resume": world.media.offset(token).to_string() })
        }
    })
}

/// A file on its way. What came of an upload that broke off is kept, however it broke off.
struct Arriving<'a> {
    shelf: &'a Shelf,
    token: &'a str,
    file: Vec<u8>,
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        let file = std::mem::take(&mut self.file);
        if !file.is_empty() {
            self.shelf.hub.turn(|world, _| world.media.keep_unfinished(self.token, file));
        }
    }
}

async fn receive(shelf: &Shelf, token: &str, first: Vec<u8>, body: Body) -> Result<Vec<u8>, MediaError> {
    let mut arriving = Arriving { shelf, token, file: first };
    let mut stream = body.into_data_stream();
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match tokio::time::timeout_at(until, stream.next()).await {
            Ok(Some(Ok(chunk))) => arriving.file.extend_from_slice(&chunk),
            Ok(None) => return Ok(std::mem::take(&mut arriving.file)),
            Ok(Some(Err(_))) | Err(_) => return Err(MediaError::BrokeOff),
        }
        shelf.hub.look(|world| world.media.check_size(token, arriving.file.len()))?;
    }
}

async fn keep(shelf: &Shelf, expected: &str, file: Vec<u8>) -> Result<(), MediaError> {
    let hashed = tokio::task::spawn_blocking(move || (token(&file), Arc::<[u8]>::from(file)));
    let (found, file) = hashed.await.map_err(|error| MediaError::Keep(error.to_string()))?;
    if found != expected {
        return Err(MediaError::Hash);
    }
    shelf.keep(expected, file).await
}

async fn download(
    State(shelf): State<Shelf>,
    Path((_, token)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, MediaError> {
    let token = read_token(&token)?;
    let query = query.unwrap_or_default();
    // whatsmeow names the hash, whatsapp-rust a token; both are the file's own.
    let named = parameter(&query, "hash").or_else(|| parameter(&query, "token"));
    if named.is_some_and(|named| read_token(&named.replace("%3D", "=")) != Ok(token.clone())) {
        return Err(MediaError::Hash);
    }
    let file = shelf.hub.turn(|world, _| world.download(parameter(&query, "auth"), &token))?;
    let headers = [(CONTENT_TYPE, "application/octet-stream")];
    Ok((headers, Bytes::from_owner(file)).into_response())
}
