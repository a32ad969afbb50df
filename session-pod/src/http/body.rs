//! Reads a JSON body or a query; what is wrong with it is answered with the path of the field.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use session_api::InvalidRecipient;

use super::ApiError;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let reading = Bytes::from_request(request, state);
        let bytes = tokio::time::timeout(PATIENCE, reading).await.map_err(|_| too_slow())?;
        let bytes = bytes.map_err(|rejection| unread(&rejection))?;
        read(&bytes).map(Self)
    }
}

fn too_slow() -> ApiError {
    let message = format!("the body did not arrive within {} seconds", PATIENCE.as_secs());
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
}

fn unread(rejection: &BytesRejection) -> ApiError {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            format!("the body is larger than {} bytes", super::MAX_BODY),
        )
        .with("maxBytes", super::MAX_BODY),
        BytesRejection::FailedToBufferBody(_) | _ => {
            ApiError::new(StatusCode::BAD_REQUEST, "unreadable_body", "the body could not be read to its end")
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde would take a list for an object, its items in the order of the fields.
    if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_body", "the body must be an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, error.inner())
    })?;
    json.end().map_err(|error| refused(".", &error))?;
    Ok(value)
}

fn refused(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    // serde_json appends " at line … column …", which says nothing to somebody who sent one line.
    let what = text.split(" at line ").next().unwrap_or_default();
    match error.classify() {
        serde_json::error::Category::Data => {
            let code = if text.starts_with(&InvalidRecipient.to_string()) {
                "invalid_recipient"
            } else {
                "invalid_body"
            };
            ApiError::new(StatusCode::BAD_REQUEST, code, format!("{path}: {what}")).with("field", path)
        }
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => {
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the body is not JSON: {text}"))
        }
    }
}

/// A query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(value) =
            Query::from_request_parts(parts, state).await.map_err(|rejection: QueryRejection| {
                ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", rejection.body_text())
            })?;
        Ok(Self(value))
    }
}
