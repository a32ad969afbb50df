//! Ready: the summary. Its reason is that of the first thing that stands in the way of messages.

use std::borrow::Cow;

use crds::conditions::reason;
use crds::spec::OperatingMode;

use super::{Facts, Finding, connection, pod};
use crate::decide::{Standing, Storage};
use crate::observe::{Container, Observed};

/// The other conditions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    /// `PodReady`.
    pub pod: &'a Finding,
    /// `StorageReady`.
    pub storage: &'a Finding,
    /// Connected.
    pub connected: &'a Finding,
    /// Suspended.
    pub suspended: &'a Finding,
}

/// The condition.
pub(super) fn find(facts: &Facts<'_>, parts: &Parts<'_>) -> Finding {
    match obstacle(facts, parts) {
        None => remark(facts).map_or_else(
            || Finding::yes(reason::AS_EXPECTED, "Messages flow."),
            |(reason, words)| Finding::yes(reason, format!("Messages flow. {words}")),
        ),
        Some(obstacle) if facts.seen.paused() && facts.seen.deleted().is_none() => Finding {
            reason: reason::PAUSED.into(),
            message: format!(
                "The annotation {} stops the operator. {}",
                crds::names::PAUSED,
                obstacle.message
            ),
            ..obstacle
        },
        Some(obstacle) => obstacle,
    }
}

/// What stands in the way.
fn obstacle(facts: &Facts<'_>, parts: &Parts<'_>) -> Option<Finding> {
    let seen = facts.seen;
    if seen.deleted().is_some() {
        return Some(Finding::no(reason::DELETING, "The session is being deleted."));
    }
    let lost = matches!(facts.decision.pod, Standing::NodeLost { .. } | Standing::Multiple(_));
    if seen.session.spec.operating_mode == OperatingMode::Suspended && !lost {
        return Some(Finding { status: "False", ..parts.suspended.clone() });
    }
    let runs = facts.decision.pod == Standing::Present
        && seen.own_pod().is_some_and(crate::observe::PodSeen::is_ready);
    if !runs && let Some((reason, words)) = refusal(facts) {
        return Some(Finding::no(reason, words));
    }
    if blocks(seen, &facts.decision.storage, runs) {
        return Some(parts.storage.clone());
    }
    on_the_way(facts, parts)
}

/// Whether the volume is what stands in the way. One that waits for the pod's node is not: the node is.
fn blocks(seen: &Observed, storage: &Storage, runs: bool) -> bool {
    let unschedulable = seen.own_pod().and_then(|pod| pod.unschedulable.as_deref());
    let waits_for_node = unschedulable.is_some_and(|why| !why.contains("unbound"));
    match storage {
        Storage::Ready => false,
        Storage::Pending => !runs && !waits_for_node,
        Storage::Missing | Storage::Terminating => !runs,
        Storage::Lost(_)
        | Storage::Resetting
        | Storage::NameConflict(_)
        | Storage::NotFound
        | Storage::Duplicate(_) => true,
    }
}

/// What the pod and the session in it say.
fn on_the_way(facts: &Facts<'_>, parts: &Parts<'_>) -> Option<Finding> {
    let seen = facts.seen;
    if facts.decision.pod != Standing::Present {
        return Some(parts.pod.clone());
    }
    let runs = seen.own_pod().is_some_and(|pod| matches!(pod.container, Container::Running { .. }));
    let known = parts.connected.reason != reason::UNKNOWN;
    let speaks = seen.said().is_some() || (runs && seen.heard.is_none() && known);
    if !speaks && !parts.pod.is_true() {
        let starting = "The session program has started and has not been heard yet.";
        let unheard = runs && seen.heard.is_none();
        return Some(if unheard { Finding::no(reason::STARTING, starting) } else { parts.pod.clone() });
    }
    if !parts.connected.is_true() {
        return Some(Finding { status: "False", ..parts.connected.clone() });
    }
    if let Some(other) = &seen.same_account {
        let words =
            format!("The older session {other} is linked to the same account: unlink one of the two.");
        return Some(Finding::no(reason::DUPLICATE_ACCOUNT, words));
    }
    (!parts.pod.is_true()).then(|| parts.pod.clone())
}

/// What the spec, the namespace or the API server refuses.
fn refusal(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    if facts.seen.namespace_terminating {
        return Some((
            reason::NAMESPACE_TERMINATING,
            "The namespace is being deleted: nothing is made in it.".to_owned(),
        ));
    }
    let invalid = facts.invalid.map(|invalid| (invalid.reason(), format!("{invalid}.")));
    invalid
        .or_else(|| facts.outcome.problem.as_ref().map(|problem| (problem.reason, problem.message.clone())))
}

/// What is to be said though messages flow.
fn remark(facts: &Facts<'_>) -> Option<(Cow<'static, str>, String)> {
    if facts.seen.paused() {
        return Some((
            reason::PAUSED.into(),
            format!("The annotation {} stops the operator.", crds::names::PAUSED),
        ));
    }
    let refusal = refusal(facts).map(|(reason, words)| (reason.into(), words));
    let trouble = || {
        let (reason, words) = facts.seen.said().and_then(connection::trouble)?;
        Some((reason.into(), words))
    };
    let rollout = || pod::rollout(facts).map(|finding| (finding.reason, finding.message));
    refusal.or_else(trouble).or_else(rollout)
}
