//! What shall be: the objects of a session, from its resource and the operator's configuration. Pure.

use std::collections::BTreeMap;

use crds::names;

/// Labels of everything that belongs to a session.
pub fn labels(session: &str, session_uid: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", names::APP),
        ("app.kubernetes.io/instance", session),
        ("app.kubernetes.io/managed-by", names::MANAGED_BY),
        (names::SESSION, session),
        (names::SESSION_UID, session_uid),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
