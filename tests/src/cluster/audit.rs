//! The API server's audit log, read.
//!
//! Comes in: its lines (`audit.k8s.io/v1`). Goes out: one [`AuditEntry`] per finished request or opened watch.

use serde::Deserialize;

/// One request to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// For example `system:serviceaccount:default:operator`.
    pub user: String,
    /// What the client says of itself.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Plural, empty for a request that concerns no resource.
    pub resource: String,
    /// For example `status`, else empty.
    pub subresource: String,
    /// Empty for cluster-wide requests.
    pub namespace: String,
    /// Empty for lists and for names that the server makes.
    pub name: String,
    /// HTTP status.
    pub code: u16,
    /// Path and query.
    pub uri: String,
    /// When the server got it, RFC 3339.
    pub received: String,
    /// Whether this is the opening of a watch (its end is an entry of its own, with the same `id`).
    pub opened: bool,
    /// Same for all entries of a request.
    pub id: String,
}

impl AuditEntry {
    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    request_received_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: u16,
}

/// Reads whole lines; a last line that is still being written is left out.
pub(super) fn parse(log: &str) -> Vec<AuditEntry> {
    log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()).map(entry).collect()
}

fn entry(line: Line) -> AuditEntry {
    let object = line.object_ref.unwrap_or_default();
    AuditEntry {
        user: line.user.username,
        user_agent: line.user_agent,
        verb: line.verb,
        group: object.api_group,
        resource: object.resource,
        subresource: object.subresource,
        namespace: object.namespace,
        name: object.name,
        code: line.response_status.map_or(0, |status| status.code),
        uri: line.request_uri,
        received: line.request_received_timestamp,
        opened: line.stage == "ResponseStarted",
        id: line.audit_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_an_entry_and_half_a_line_does_not() {
        let log = r#"{"kind":"Event","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/x/pods/p/status","verb":"patch","user":{"username":"u"},"userAgent":"me","objectRef":{"resource":"pods","subresource":"status","namespace":"x","name":"p"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-01-01T00:00:00Z"}
{"kind":"Event","auditID":"b""#;
        let all = parse(log);
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].verb.as_str(), all[0].subresource.as_str(), all[0].code),
            ("patch", "status", 200)
        );
        assert!(all[0].writes() && !all[0].opened && all[0].group.is_empty());
    }
}
