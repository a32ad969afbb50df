//! What an error of the API server means: one of a few cases, each with a sentence that a person can act on.
//!
//! Comes in: an error of the client. Goes out: a [`Trouble`]. Pure. Its words name no address and hold no credentials.

mod invalid;

pub use invalid::Invalid;
use kube::Error;
use kube::core::Status;
use kube::runtime::watcher;

/// What stands between the gateway and the API server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No answer, or one that says "later".
    #[error("the Kubernetes API server does not answer ({0})")]
    Away(String),
    /// The kind is not served.
    #[error(
        "the API server does not know WhatsAppSessions: apply the CRDs (kubectl apply -f crds/whatsappsessions.yaml, or \
         the chart with crds.enabled=true)"
    )]
    NoSuchKind,
    /// The gateway's role does not allow it.
    #[error("the gateway's role does not allow this ({0}): install the chart's Role and RoleBinding")]
    Forbidden(String),
    /// The gateway's own credentials are not accepted.
    #[error("the API server does not accept the gateway's credentials: check its service account")]
    Unauthorized,
    /// What a watch began with is too long ago.
    #[error("the API server does not remember what a watch has seen last: everything is read anew")]
    Forgotten,
    /// The object is not there.
    #[error("there is no such object")]
    NotFound,
    /// An object of that name exists.
    #[error("an object of that name exists")]
    AlreadyExists,
    /// The object is another one than was meant, or was changed at the same moment.
    #[error("the object was changed at the same moment")]
    Conflict,
    /// A rule of the kind is broken.
    #[error("{}: {}", .0.field, .0.problem)]
    Invalid(Invalid),
    /// Quota, admission: in the API server's own words.
    #[error("{0}")]
    Refused(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

impl From<&watcher::Error> for Trouble {
    fn from(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(inner)
            | watcher::Error::WatchStartFailed(inner)
            | watcher::Error::WatchFailed(inner) => Self::of(inner),
            watcher::Error::WatchError(status) => status_trouble(status),
            watcher::Error::NoResourceVersion => Self::Away("its list has no version".to_owned()),
        }
    }
}

impl Trouble {
    fn of(error: &Error) -> Self {
        if let Error::Api(status) = error {
            return status_trouble(status);
        }
        if matches!(error, Error::Auth(_)) {
            return Self::Unauthorized;
        }
        let parsed = matches!(error, Error::SerdeError(_));
        Self::Away(if parsed { "its answer is not understood".to_owned() } else { plain(error) })
    }
}

fn status_trouble(status: &Status) -> Trouble {
    let message = || status.message.clone();
    let causes = || status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    match status.code {
        401 => Trouble::Unauthorized,
        // RBAC names the verb; quota and admission do not.
        403 if status.message.contains("\" cannot ") => Trouble::Forbidden(denied(&status.message)),
        // A patch names the UID it is meant for: this is another object of that name.
        422 if status.message.contains("metadata.uid") => Trouble::Conflict,
        // The test of a JSON patch has failed; the API server does not say which. Source: k8s.io/apiserver, `patch.go`.
        422 if status.message.contains("due to an error in our request") => Trouble::Conflict,
        422 => Invalid::read(causes()).map_or_else(|| Trouble::Refused(message()), Trouble::Invalid),
        403 | 400 | 413 => Trouble::Refused(message()),
        404 if status.details.as_ref().is_none_or(|details| details.name.is_empty()) => Trouble::NoSuchKind,
        404 => Trouble::NotFound,
        409 if status.is_already_exists() => Trouble::AlreadyExists,
        409 => Trouble::Conflict,
        410 => Trouble::Forgotten,
        code => Trouble::Away(format!("status {code}")),
    }
}

/// `User "u" cannot list resource "pods" in API group "" in the namespace "n"` → the part from `cannot`.
fn denied(message: &str) -> String {
    let from = message.find("cannot ").unwrap_or_default();
    message[from..].lines().next().unwrap_or_default().to_owned()
}

/// The innermost cause, which names no address.
fn plain(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use kube::core::response::StatusDetails;

    use super::*;

    fn status(code: u16, reason: &str, message: &str, name: &str) -> Trouble {
        let details: StatusDetails = serde_json::from_value(serde_json::json!({"name": name})).unwrap();
        Error::Api(Status::failure(message, reason).with_code(code).with_details(details).boxed()).into()
    }

    #[test]
    fn refusals_are_told_apart() {
        let rbac = "whatsappsessions.warest.io \"a\" is forbidden: User \"system:serviceaccount:x:y\" cannot patch \
                    resource \"whatsappsessions\" in API group \"warest.io\" in the namespace \"shops\"";
        let Trouble::Forbidden(what) = status(403, "Forbidden", rbac, "a") else { panic!("RBAC") };
        assert!(what.starts_with("cannot patch") && what.ends_with("\"shops\""), "{what}");
        let quota = "whatsappsessions.warest.io \"a\" is forbidden: exceeded quota: q, requested: 1, used: 1, limited: 1";
        assert_eq!(status(403, "Forbidden", quota, "a"), Trouble::Refused(quota.to_owned()));
        assert!(matches!(status(422, "Invalid", "spec.x: no", "a"), Trouble::Refused(_)));
        let rule = serde_json::json!({"name": "a", "causes": [{"field": "spec.x", "message": "Invalid value: \"v\": no"}]});
        let broken = Status::failure("long", "Invalid")
            .with_code(422)
            .with_details(serde_json::from_value(rule).unwrap());
        let Trouble::Invalid(invalid) = Error::Api(broken.boxed()).into() else { panic!("a rule") };
        assert_eq!((invalid.field.as_str(), invalid.problem.as_str()), ("spec.x", "no"));
        let another = "WhatsAppSession.warest.io \"a\" is invalid: metadata.uid: Invalid value: \"u\": field is immutable";
        assert_eq!(status(422, "Invalid", another, "a"), Trouble::Conflict);
        let failed_test = "the server rejected our request due to an error in our request";
        assert_eq!(status(422, "Invalid", failed_test, ""), Trouble::Conflict);
        assert_eq!(status(409, "AlreadyExists", "", "a"), Trouble::AlreadyExists);
        assert_eq!(status(409, "Conflict", "", "a"), Trouble::Conflict);
        assert_eq!(status(410, "Expired", "too old resource version: 1 (2)", ""), Trouble::Forgotten);
        assert_eq!(status(404, "NotFound", "", "a"), Trouble::NotFound);
        assert!(
            status(404, "NotFound", "the server could not find the requested resource", "")
                .to_string()
                .contains("apply the CRDs")
        );
        assert!(matches!(status(429, "TooManyRequests", "", ""), Trouble::Away(_)));
        assert!(matches!(status(503, "ServiceUnavailable", "", ""), Trouble::Away(_)));
    }
}
