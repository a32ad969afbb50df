//! What handlers are given: the caller, the caller's session, a JSON body. Whatever cannot be had is an [`ApiError`].
//!
//! Comes in: a request. Goes out: checked values. It must not act on them.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query as AxumQuery, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::AppState;
use crate::directory::SessionRecord;
use crate::error::ApiError;
use crate::keys::ring::NoKeysYet;
use crate::keys::{Caller, Role};
use crate::session_name::SessionName;

/// Header with the caller's key.
pub const API_KEY: &str = "x-api-key";
/// Largest JSON body, in bytes.
pub const MAX_JSON: usize = 1024 * 1024;
/// Of a body that is too large, so much is read and thrown away, so that its sender reads the answer.
const MAX_DRAINED: usize = 32 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let key = parts.headers.get(API_KEY).ok_or(ApiError::MissingKey)?;
        let key = key.to_str().map_err(|_| ApiError::UnknownKey)?;
        let known = state.keys.authenticate(key);
        known
            .map_err(|NoKeysYet| ApiError::NotReady("the API keys are being read".to_owned()))?
            .ok_or(ApiError::UnknownKey)
    }
}

/// A caller with a key of role admin.
#[derive(Debug, Clone)]
pub struct Admin;

impl FromRequestParts<AppState> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.role == Role::Admin { Ok(Self) } else { Err(ApiError::AdminOnly) }
    }
}

/// The session of the path, which the caller may see.
#[derive(Debug, Clone)]
pub struct OwnSession(pub SessionRecord);

impl FromRequestParts<AppState> for OwnSession {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let Path(id) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_| ApiError::SessionNotFound)?;
        state.session(&caller, &id).map(Self)
    }
}

impl AppState {
    /// A session that the caller may see.
    pub fn session(&self, caller: &Caller, id: &str) -> Result<SessionRecord, ApiError> {
        let id: SessionName = id.parse().map_err(|_| ApiError::SessionNotFound)?;
        let seen = self.directory.get(&id).filter(|session| caller.may_see(&session.owner, &session.labels));
        seen.ok_or(ApiError::SessionNotFound)
    }
}

/// A JSON object as `T`. No body at all is the empty object.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let received = tokio::time::timeout(BODY_PATIENCE, receive(body, MAX_JSON)).await;
        let bytes = received.unwrap_or(Err(ApiError::BodyNotReceived("it took too long")))?;
        if !bytes.is_empty() && !is_json(&parts.headers) {
            return Err(ApiError::UnsupportedMediaType);
        }
        decode(&bytes).map(Json)
    }
}

/// A body's bytes, at most `limit`.
async fn receive(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut stream = pin!(body.into_data_stream());
    let (mut bytes, mut size) = (Vec::new(), 0);
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| ApiError::BodyNotReceived("the connection broke off"))?;
        size += piece.len();
        if size <= limit {
            bytes.extend_from_slice(&piece);
        } else if size > MAX_DRAINED {
            break;
        }
    }
    if size <= limit { Ok(bytes) } else { Err(ApiError::PayloadTooLarge { limit }) }
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads JSON first and its shape second, so that each kind of mistake has its own answer.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| ApiError::InvalidJson(error.to_string()))?;
    if !value.is_object() {
        return Err(invalid("body", "send a JSON object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, problem) = (error.path().to_string(), error.into_inner().to_string());
        match missing_field(&problem) {
            Some(field) if path == "." => invalid(field, "this field is missing"),
            Some(field) => invalid(&format!("{path}.{field}"), "this field is missing"),
            None => invalid(&path, &problem),
        }
    })
}

/// The field's name in serde's words for a missing one.
fn missing_field(problem: &str) -> Option<&str> {
    problem.strip_prefix("missing field `")?.split('`').next()
}

fn invalid(field: &str, problem: &str) -> ApiError {
    ApiError::InvalidBody { field: field.to_owned(), problem: problem.to_owned() }
}

/// The query's parameters as `T`.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = AxumQuery::<T>::from_request_parts(parts, state).await;
        query.map(|AxumQuery(query)| Self(query)).map_err(|error| {
            let told = error.body_text();
            let own = told.strip_prefix("Failed to deserialize query string: ").unwrap_or(&told);
            ApiError::InvalidQuery(own.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Sample {
        session_id: String,
        #[serde(default)]
        mentions: Vec<String>,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        id: String,
    }

    #[track_caller]
    fn refused(text: &str, code: &str, field: Option<&str>) {
        let body = decode::<Sample>(text.as_bytes()).unwrap_err().body();
        let named = body.details.get("field").and_then(Value::as_str);
        assert_eq!((body.code.as_str(), named), (code, field), "{text}: {}", body.error);
        assert!(field.is_none_or(|field| body.error.starts_with(field)), "{}", body.error);
    }

    #[test]
    fn each_mistake_is_named() {
        refused("{\"sessionId\":", "invalid_json", None);
        refused(&"[".repeat(5000), "invalid_json", None);
        refused("[]", "invalid_body", Some("body"));
        refused("null", "invalid_body", Some("body"));
        refused("", "invalid_body", Some("sessionId"));
        refused("{\"sessionId\":7}", "invalid_body", Some("sessionId"));
        refused("{\"sessionId\":\"a\",\"mentions\":[\"b\",1]}", "invalid_body", Some("mentions[1]"));
        refused("{\"sessionId\":\"a\",\"inner\":{}}", "invalid_body", Some("inner.id"));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let read: Sample = decode(b"{\"sessionId\":\"a\",\"color\":\"red\"}").unwrap();
        assert_eq!(read, Sample { session_id: "a".to_owned(), mentions: vec![], inner: None });
    }

    #[test]
    fn json_has_several_names() {
        let is =
            |value: &str| is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]));
        assert!(
            is("application/json") && is("Application/JSON; charset=utf-8") && is("application/vnd.x+json")
        );
        assert!(!is("text/plain") && !is("application/x-www-form-urlencoded") && !is_json(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        assert_eq!(receive(Body::from("12345"), 5).await.unwrap(), b"12345");
        assert_eq!(receive(Body::from("123456"), 5).await, Err(ApiError::PayloadTooLarge { limit: 5 }));
    }
}
