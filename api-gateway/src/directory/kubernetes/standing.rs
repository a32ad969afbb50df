//! Where a session stands: from its resource and from the pods that it controls.
//!
//! Comes in: [`SessionFacts`], [`PodFacts`], the token of its process. Goes out: a [`Runtime`]. Pure. A pod is routed to
//! only when it is, beyond doubt, the one that is meant.

use crds::conditions::reason;
use crds::names;
use session_api::Reason;

use super::facts::{Hindrance, PodFacts, SessionFacts};
use crate::directory::{PodEndpoint, Runtime};

/// What nobody but a person ends.
const FOR_PEOPLE: [&str; 14] = [
    reason::INVALID_SPEC,
    reason::SECRET_NOT_FOUND,
    reason::REFUSED,
    reason::FORBIDDEN,
    reason::NAMESPACE_TERMINATING,
    reason::POD_NAME_CONFLICT,
    reason::MULTIPLE_PODS,
    reason::IMAGE_PULL_FAILED,
    reason::CONTAINER_NOT_CREATED,
    reason::CRASH_LOOP,
    reason::VOLUME_LOST,
    reason::CLAIM_NAME_CONFLICT,
    reason::CLAIM_NOT_FOUND,
    reason::DUPLICATE_VOLUME,
];

/// Where a session stands. `pods` are those that it controls; without `token` none can be called.
pub fn runtime(session: &SessionFacts, pods: &[&PodFacts], token: Option<&str>) -> Runtime {
    if let Some(since) = session.deleting {
        return Runtime::Stopping { since };
    }
    let live: Vec<_> = pods.iter().filter(|pod| !pod.finished).copied().collect();
    if session.suspended {
        return match session.rests_since {
            Some(since) if live.is_empty() => Runtime::Stopped { since },
            rests => Runtime::Stopping { since: rests.unwrap_or(session.created) },
        };
    }
    match live[..] {
        [] => without_pod(session, session.created),
        [pod] => with_pod(session, pod, token),
        [..] => Runtime::Failed {
            since: live.iter().map(|pod| pod.created).max().unwrap_or_default(),
            reason: several(live.len()),
        },
    }
}

/// With one live pod.
fn with_pod(session: &SessionFacts, pod: &PodFacts, token: Option<&str>) -> Runtime {
    let right = pod.place == (session.namespace.clone(), names::pod(session.name.as_str()));
    // The operator sees pods that do not carry our labels, too.
    let doubted =
        session.hindrance.as_ref().is_some_and(|hindrance| hindrance.reason == reason::MULTIPLE_PODS);
    match (&pod.running, token) {
        (Some((address, since)), Some(token)) if right && !doubted && !pod.terminating => Runtime::Running {
            since: *since,
            pod: PodEndpoint { address: address.clone(), uid: session.uid.clone(), token: token.to_owned() },
        },
        (Some(_), None) => Runtime::Starting { since: pod.created, reason: Some(no_key()) },
        (Some(_) | None, _) => without_pod(session, pod.created),
    }
}

/// Without a pod that can be called.
fn without_pod(session: &SessionFacts, since: u64) -> Runtime {
    match &session.hindrance {
        Some(hindrance) if FOR_PEOPLE.contains(&hindrance.reason.as_str()) => {
            Runtime::Failed { since: hindrance.since, reason: public(hindrance) }
        }
        Some(hindrance) => Runtime::Starting { since: hindrance.since, reason: Some(public(hindrance)) },
        None => Runtime::Starting { since, reason: None },
    }
}

/// A hindrance in the words of the public API: `PodNameConflict` is `pod_name_conflict`.
fn public(hindrance: &Hindrance) -> Reason {
    Reason { code: snake(&hindrance.reason), message: hindrance.message.clone() }
}

fn snake(camel: &str) -> String {
    let mut words = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn several(count: usize) -> Reason {
    let message = format!(
        "{count} pods claim to be this session, and none of them is asked: delete the one that should not be there"
    );
    Reason { code: snake(reason::MULTIPLE_PODS), message }
}

fn no_key() -> Reason {
    let message = format!(
        "the key that pods are called with (Secret {}) has not been read: is the operator installed?",
        names::CLUSTER_KEY_SECRET
    );
    Reason { code: "cluster_key_missing".to_owned(), message }
}

#[cfg(test)]
mod tests;
