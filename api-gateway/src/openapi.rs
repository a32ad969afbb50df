//! The document that describes the API: its head, what all operations share, its text.
//!
//! Comes in: what the handlers say of themselves. Goes out: OpenAPI. A copy is kept in `openapi.json` beside the manifest.

use serde::Serialize;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref,
    ResponseBuilder, ServerBuilder,
};
use utoipa::{PartialSchema as _, ToSchema};

const ABOUT: &str = "WhatsApp sessions over REST and Socket.IO.\n\n\
Every `/api` call carries `X-API-Key`. The admin key sees every session, a user key those that it made; a session of \
another key answers 404. Every error is `{\"ok\": false, \"error\": \"<one sentence>\", \"code\": \"<snake_case>\", …}`.\n\n\
**Socket.IO** on the same port, path `/socket.io`: connect with `auth: {apiKey}` (or the header `X-API-Key`), emit \
`join {room: <session id>}` (acknowledged `{ok: true, room}`, or `{ok: false, error, code}`) and `leave`. The server emits \
`qr {sessionId, qr, expiresAt}`, `ready {sessionId, me}`, `closed {sessionId, status, reason}`, `status`, \
`pairing_code`, `message` and `message_status`; on joining, the present state at once. Messages while nobody listened \
are in `GET /api/sessions/{id}/events`.\n\n\
**In a cluster** sessions are `WhatsAppSession` resources, and a call that changes one may also answer 409 `refused_by_cluster` (a \
quota, a policy or a rule of the resource, in its own words), 409 `session_being_deleted`, 503 `cluster_unavailable` (the API \
server does not answer; nothing was changed, or the same call again is harmless), 504 `still_under_way` (it is stored and will \
be done, and was not done within the wait; the error says what stands in its way) or 500 `gateway_forbidden` (the gateway's role \
is too small). Until the gateway knows all sessions and keys it answers 503 `not_ready`.";

const TAGS: [(&str, &str); 6] = [
    ("Sessions", "One WhatsApp account each"),
    ("Messages", "What sessions send"),
    ("Admin", "Settings, for the admin key alone"),
    ("Health", "For probes, dashboards and people"),
    ("Tools", "Odds and ends"),
    ("Pages", "For browsers"),
];

/// Every error answer. Some codes have further fields, as their description says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorAnswer {
    /// Always false.
    #[schema(example = false)]
    pub ok: bool,
    /// One sentence a person can act on.
    #[schema(example = "Session not found")]
    pub error: String,
    /// Stable name of the error.
    #[schema(example = "session_not_found")]
    pub code: String,
    /// Path of the field that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The session that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The session's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Try again after so many milliseconds; the header `Retry-After` says it in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// A picture's bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Picture(pub Vec<u8>);

/// The document without its paths.
pub fn head() -> OpenApi {
    let license = LicenseBuilder::new().name("MIT").build();
    let info = InfoBuilder::new()
        .title("WARest")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
    let components = ComponentsBuilder::new()
        .security_scheme("apiKey", key)
        .schema("ErrorAnswer", ErrorAnswer::schema())
        .build();
    let tag = |(name, about): (&str, &str)| TagBuilder::new().name(name).description(Some(about)).build();
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(TAGS.map(tag)))
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .components(Some(components))
        .security(Some([SecurityRequirement::new("apiKey", Vec::<String>::new())]))
        .build()
}

/// Adds what all operations under `/api` share: the answer to a missing or unknown key.
pub fn finish(mut document: OpenApi) -> OpenApi {
    let unauthorized = ResponseBuilder::new()
        .description("`unauthorized`: the key is missing or not known")
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorAnswer"))).build(),
        )
        .build();
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten().filter(|_| path.starts_with("/api/")) {
            add(operation, "401", unauthorized.clone());
        }
    }
    document
}

fn add(operation: &mut Operation, status: &str, response: utoipa::openapi::Response) {
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
}

/// The document as JSON.
pub fn text(document: &OpenApi) -> String {
    document.to_pretty_json().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document is kept beside the manifest, so that a change of the API is seen. `UPDATE=1 cargo test` rewrites it.
    #[test]
    fn the_document_is_the_one_that_is_kept() {
        let (_, document) = crate::routes::all().split_for_parts();
        let text = text(&finish(document)) + "\n";
        let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        if update() {
            std::fs::write(&kept, &text).unwrap();
        }
        let known = std::fs::read_to_string(&kept).unwrap_or_default();
        assert!(
            known == text,
            "the API changed: run UPDATE=1 cargo test -p api-gateway openapi, and look at the difference"
        );
    }

    #[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
    fn update() -> bool {
        std::env::var("UPDATE").is_ok_and(|value| value == "1")
    }

    #[test]
    fn every_api_operation_has_an_answer_for_strangers_and_an_explanation() {
        let (_, document) = crate::routes::all().split_for_parts();
        let document = finish(document);
        assert!(document.paths.paths.len() > 15);
        for (path, item) in &document.paths.paths {
            for operation in [&item.get, &item.post, &item.put, &item.delete].into_iter().flatten() {
                assert!(operation.summary.is_some(), "{path} has no summary");
                let known = operation.responses.responses.contains_key("401");
                assert!(known || !path.starts_with("/api/"), "{path} has no 401");
            }
        }
    }
}
