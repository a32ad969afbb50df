//! Files: sending one from a phone, looking at one that a phone got, deleting all.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt;
use serde::Deserialize;
use serde_json::{Value, json};
use waproto::whatsapp as wa;

use super::App;
use super::error::ApiError;
use super::extract::{Json, Path};
use crate::hub::now_ms;
use crate::phone::{MediaKind, NewMedia, SealedMedia, seal_media};
use crate::world::media::{MAX_FILE, MediaError, MediaStore, token};

/// The longest caption, file name or MIME type, in characters.
const MAX_WORDS: usize = 4096;

/// `media` of `POST /phones/{number}/messages`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewFile {
    kind: MediaKind,
    mime_type: String,
    base64: String,
    caption: Option<String>,
    file_name: Option<String>,
}

/// Encrypts a file as the phone does and uploads it: the message that carries it.
pub(super) async fn upload(app: &App, number: &str, new: NewFile) -> Result<wa::Message, ApiError> {
    let NewFile { kind, mime_type, base64, caption, file_name } = new;
    let words = [Some(&mime_type), caption.as_ref(), file_name.as_ref()];
    if mime_type.is_empty() || words.iter().flatten().any(|text| text.chars().count() > MAX_WORDS) {
        let text =
            format!("`mimeType` has 1 to {MAX_WORDS} characters, `caption` and `fileName` up to as many");
        return Err(ApiError::bad_request(text));
    }
    if caption.is_some() && !kind.takes_caption() {
        return Err(ApiError::bad_request("this kind of media takes no `caption`"));
    }
    if file_name.is_some() && kind != MediaKind::Document {
        return Err(ApiError::bad_request("only a document has a `fileName`"));
    }
    let sealed = tokio::task::spawn_blocking(move || seal(kind, &base64));
    let sealed = sealed.await.map_err(|error| MediaError::Keep(error.to_string()))??;
    let name = token(&sealed.file);
    let file: Arc<[u8]> = sealed.file.as_slice().into();
    app.hub.turn(|world, _| world.admit_phones_upload(number))?;
    app.shelf.keep(&name, file).await?;
    let direct_path = MediaStore::direct_path(kind.path(), &name);
    let url = app.hub.look(|world| world.media.url(&direct_path));
    let about = NewMedia { kind, mime_type, caption, file_name };
    Ok(sealed.message(about, &direct_path, &url, now_ms() / 1000))
}

fn seal(kind: MediaKind, base64: &str) -> Result<SealedMedia, ApiError> {
    let plain = STANDARD
        .decode(base64)
        .map_err(|error| ApiError::bad_request(format!("`base64` of the media is no base64: {error}")))?;
    if plain.is_empty() {
        return Err(ApiError::bad_request("`base64` of the media is empty"));
    }
    if plain.len() > MAX_FILE {
        return Err(MediaError::TooLarge.into());
    }
    seal_media(kind, &plain, rand::rng().random())
        .ok_or_else(|| ApiError::bad_request("the media cannot be encrypted"))
}

/// `GET /phones/{number}/media/{seq}`: the decrypted bytes of an inbox entry's file.
pub(super) async fn show(
    State(app): State<App>,
    Path((number, seq)): Path<(String, u64)>,
) -> Result<Response, ApiError> {
    let found = app.hub.look(|world| -> Result<_, ApiError> {
        let phone = &world.account(&number)?.phone;
        let nothing = || ApiError::not_found("the phone has no message with a file under this `seq`");
        let attachment = phone.attachment(seq).ok_or_else(nothing)?;
        let path = attachment.path().ok_or_else(nothing)?;
        let file = world.media.get(path.rsplit('/').next().unwrap_or_default())?;
        Ok((attachment.clone(), file))
    });
    let (attachment, file) = found?;
    let mime_type = HeaderValue::from_str(attachment.mime_type())
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let plain = tokio::task::spawn_blocking(move || attachment.open(&file))
        .await
        .map_err(|error| ApiError::conflict(error.to_string()))?
        .map_err(|error| ApiError::conflict(error.to_string()))?;
    // Whatever the sender says that it is, it must not run as a part of the page.
    let headers = [
        (CONTENT_TYPE, mime_type),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
    ];
    Ok((headers, plain).into_response())
}

/// `DELETE /media`: the media server forgets every file; who asks for one is told that it is gone.
pub(super) async fn clear(State(app): State<App>) -> Json<Value> {
    let removed = app.shelf.clear().await;
    Json(json!({ "ok": true, "removed": removed }))
}
