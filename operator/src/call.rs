//! One call to the API server: it ends in time, and what went wrong is sorted by what can be done about it.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crds::conditions::reason;
use kube::core::Status;

/// The longest that an answer is waited for.
const WITHIN: Duration = Duration::from_secs(15);

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// No answer in time. The call may have been carried out all the same.
    #[error("the API server did not answer in {} s", WITHIN.as_secs())]
    Late,
    /// There is no such object.
    #[error("it is not there")]
    NotFound,
    /// An object of that name exists.
    #[error("an object of that name exists")]
    Exists,
    /// The object is not the one that was meant, or has changed since.
    #[error("it has changed in the meantime: {0}")]
    Stale(String),
    /// The API server will not do it, and would not a moment later either.
    #[error("{message}")]
    Refused {
        /// Reason of the condition.
        reason: &'static str,
        /// What it says.
        message: String,
    },
    /// Something went wrong that may go right the next time.
    #[error("{}", words(.0))]
    Passing(#[source] Arc<kube::Error>),
}

impl CallError {
    /// What the API server says to a call that may go right the next time, for people; none if it is no such failure.
    pub fn server_words(&self) -> Option<String> {
        match self {
            Self::Late => Some(self.to_string()),
            Self::Passing(error) => Some(if let kube::Error::Api(status) = error.as_ref() {
                status.message.clone()
            } else {
                words(error)
            }),
            Self::NotFound | Self::Exists | Self::Stale(_) | Self::Refused { .. } => None,
        }
    }

    /// One word for a metric.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Late => "timeout",
            Self::NotFound => "not_found",
            Self::Exists => "exists",
            Self::Stale(_) => "conflict",
            Self::Refused { .. } => "refused",
            Self::Passing(_) => "api",
        }
    }
}

/// What went wrong, with its causes: the client's own words leave out why there is no connection.
pub fn words(error: &dyn Error) -> String {
    let (mut told, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let words = error.to_string();
        if !told.contains(&words) {
            told = format!("{told}: {words}");
        }
        cause = error.source();
    }
    told
}

/// Makes a call.
///
/// # Errors
/// It failed, or there was no answer in time.
pub async fn call<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(WITHIN, call).await {
        Err(_) => Err(CallError::Late),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(sort(*status)),
        Ok(Err(error)) => Err(CallError::Passing(Arc::new(error))),
    }
}

/// The same for an object that need not be there.
///
/// # Errors
/// It failed, or there was no answer in time.
pub async fn maybe<T>(future: impl Future<Output = Result<T, kube::Error>>) -> Result<Option<T>, CallError> {
    match call(future).await {
        Ok(answer) => Ok(Some(answer)),
        Err(CallError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

fn sort(status: Status) -> CallError {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let ending = causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating");
    match status.code {
        400..500 if is_denied(&status.message) => {
            CallError::Refused { reason: reason::REFUSED, message: status.message }
        }
        404 => CallError::NotFound,
        409 if status.is_already_exists() => CallError::Exists,
        409 => CallError::Stale(status.message),
        403 if ending => {
            CallError::Refused { reason: reason::NAMESPACE_TERMINATING, message: status.message }
        }
        403 => CallError::Refused { reason: forbidden(&status.message), message: status.message },
        422 => CallError::Refused { reason: reason::INVALID_SPEC, message: status.message },
        _ => CallError::Passing(Arc::new(kube::Error::Api(Box::new(status)))),
    }
}

/// A cluster's own policy says no, with any status that it likes: a `ValidatingAdmissionPolicy`'s usual one is that of an object
/// that is invalid. What is really so is told as `… is invalid: …`.
fn is_denied(message: &str) -> bool {
    // Somebody's own words, quoted in what is invalid, are not the policy's.
    let said = message.split_once(" is forbidden: ValidatingAdmissionPolicy '");
    let by_policy = said.is_some_and(|(object, _)| !object.contains(" is invalid: "));
    by_policy || (message.starts_with("admission webhook \"") && message.contains(" denied the request"))
}

/// RBAC says `User "…" cannot create resource …`; quota, `PodSecurity` and policies say something else.
fn forbidden(message: &str) -> &'static str {
    if message.contains("User \"") && message.contains(" cannot ") {
        reason::FORBIDDEN
    } else {
        reason::REFUSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(code: u16, reason: &str, message: &str) -> CallError {
        sort(Status { code, reason: reason.to_owned(), message: message.to_owned(), ..Status::default() })
    }

    #[test]
    fn the_cause_of_a_failure_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect)")]
        struct Connect(#[source] std::io::Error);
        let untrusted = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        let error = kube::Error::Service(Box::new(Connect(untrusted)));
        let told = CallError::Passing(Arc::new(error));
        let wanted = "ServiceError: client error (Connect): invalid peer certificate: UnknownIssuer";
        assert_eq!((told.to_string(), told.server_words()), (wanted.to_owned(), Some(wanted.to_owned())));
    }

    #[test]
    fn refusals_are_told_from_what_passes() {
        let reason_of = |message: &str| {
            let CallError::Refused { reason, .. } = sorted(403, "Forbidden", message) else {
                panic!("{message}")
            };
            reason
        };
        let quota = r#"pods "toko" is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2"#;
        let rbac = r#"pods is forbidden: User "system:serviceaccount:w:o" cannot create resource "pods" in API group "" in the namespace "a""#;
        assert_eq!(reason_of(quota), reason::REFUSED);
        assert_eq!(reason_of(rbac), reason::FORBIDDEN);
        let policy = r#"pods "toko" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: User "x" cannot have it"#;
        let hook = r#"admission webhook "x.example" denied the request: no"#;
        for (code, said) in
            [(422, policy), (403, policy), (401, policy), (413, policy), (422, hook), (400, hook)]
        {
            let answer = sorted(code, "Invalid", said);
            assert!(matches!(answer, CallError::Refused { reason: reason::REFUSED, .. }), "{code} {said}");
        }
        let invalid = r#"Pod "toko" is invalid: spec.nodeName: Invalid value: "x is forbidden: ValidatingAdmissionPolicy 'p' denied request:""#;
        let answer = sorted(422, "Invalid", invalid);
        assert!(matches!(answer, CallError::Refused { reason: reason::INVALID_SPEC, .. }));
        assert!(matches!(sorted(409, "AlreadyExists", ""), CallError::Exists));
        assert!(matches!(sorted(409, "Conflict", ""), CallError::Stale(_)));
        assert!(matches!(sorted(503, "ServiceUnavailable", ""), CallError::Passing(_)));
        let webhook = r#"Internal error occurred: failed calling webhook "x": no endpoints"#;
        assert_eq!(sorted(500, "InternalError", webhook).server_words().as_deref(), Some(webhook));
        assert_eq!(sorted(409, "Conflict", "").server_words(), None);
    }
}
