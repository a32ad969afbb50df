//! What is told of a look beside the status: Events for people, a line in the log. No secret, code, number or text.

use crds::conditions::{self, reason};
use crds::status::WhatsAppSessionStatus;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use tracing::info;

use crate::context::Context;
use crate::decide::{Ending, Step};
use crate::deferral::passes;
use crate::events::Told;
use crate::observe::Observed;
use crate::status::Outcome;

/// Tells what was done. A claim that is made with its pod is told of in one Event.
pub fn steps(context: &Context, seen: &Observed, outcome: &Outcome) {
    let both = [Step::CreateClaim, Step::CreatePod].iter().all(|step| outcome.done.contains(step));
    for step in &outcome.done {
        let (reason, words) = match (step, words(step)) {
            (Step::CreateClaim, _) if both => continue,
            (Step::CreatePod, _) if both => ("PodCreated", "The pod and the claim for its volume were made."),
            (_, Some(words)) => words,
            (_, None) => continue,
        };
        info!(namespace = seen.session.metadata.namespace, session = seen.name(), reason, "{words}");
        let told = Told { warning: false, reason: reason.to_owned(), words: words.to_owned() };
        context.events.tell(told, about(&seen.session.metadata));
    }
}

/// Tells that the summary has changed.
pub fn change(context: &Context, seen: &Observed, status: &WhatsAppSessionStatus) {
    let ready = |status: &WhatsAppSessionStatus| -> Option<Condition> {
        status.conditions.iter().find(|condition| condition.type_ == conditions::READY).cloned()
    };
    let Some(now) = ready(status) else { return };
    let before = seen.status().and_then(ready);
    if before.is_some_and(|before| before.reason == now.reason && before.status == now.status) {
        return;
    }
    info!(
        namespace = seen.session.metadata.namespace,
        session = seen.name(),
        ready = now.status,
        reason = now.reason,
        "{}",
        now.message
    );
    let known = [reason::SUSPENDED, reason::AWAITING_PAIRING, reason::PAUSED, reason::ROLLOUT_PENDING];
    let on_its_way = passes(&now.reason) || [reason::SUSPENDING, reason::DELETING].contains(&&*now.reason);
    let warning = now.status != "True" && !on_its_way && !known.contains(&&*now.reason);
    if warning || now.status == "True" || known.contains(&&*now.reason) {
        let reason = if now.reason == reason::AS_EXPECTED { "Ready".to_owned() } else { now.reason };
        context.events.tell(Told { warning, reason, words: now.message }, about(&seen.session.metadata));
    }
}

/// Tells that a resource cannot be read.
pub fn unreadable(context: &Context, meta: &ObjectMeta, why: &str) {
    let words = format!("The resource cannot be read and is left alone: {why}");
    context.events.tell(Told { warning: true, reason: reason::INVALID_SPEC.to_owned(), words }, about(meta));
}

/// Tells that a deleted resource which cannot be read goes without what it was kept for.
pub fn not_unlinked(context: &Context, meta: &ObjectMeta, why: &str) {
    let words = format!(
        "The resource is deleted and cannot be read: its device was not unlinked. Remove it on the phone, under linked devices. {why}"
    );
    context.events.tell(Told { warning: true, reason: "NotUnlinked".to_owned(), words }, about(meta));
}

fn about(meta: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some("warest.io/v1alpha1".to_owned()),
        kind: Some("WhatsAppSession".to_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        ..ObjectReference::default()
    }
}

const fn words(step: &Step) -> Option<(&'static str, &'static str)> {
    Some(match step {
        Step::CreateClaim => ("ClaimCreated", "The claim was made."),
        Step::TakeClaim { .. } => {
            ("ClaimTaken", "The claim has the labels and the owner that it should have.")
        }
        Step::GrowClaim { .. } => ("ClaimGrown", "A larger volume was asked for."),
        Step::DeleteClaim { .. } => ("VolumeReset", "The claim is thrown away, as volumeResetToken asks."),
        Step::CreatePod => ("PodCreated", "The pod was made."),
        Step::DeletePod { why, .. } => match why {
            Ending::Ended => ("PodDeleted", "The pod had ended and was deleted; a new one is made."),
            Ending::Suspended => ("SuspendedPod", "The pod is ended, as the session is suspended."),
            Ending::Outdated => ("PodReplaced", "The pod is ended: its template is not today's."),
            Ending::VolumeReset => ("PodDeleted", "The pod is ended, as its volume is thrown away."),
            Ending::DuplicateVolume => {
                ("PodDeleted", "The pod is ended, as another session uses the same volume.")
            }
        },
        Step::ForceDeletePod { .. } => (
            "PodForgotten",
            "The pod was deleted without waiting for its lost node: it had ended, or spec.onNodeLoss says so.",
        ),
        Step::PushConfig => ("ConfigPushed", "The session has its configuration."),
        Step::AskPairingCode => ("PairingCodeAsked", "A pairing code was asked for: the gateway shows it."),
        Step::LogOut => ("DeviceUnlinked", "The device was removed from the account."),
        Step::AddFinalizer
        | Step::RemoveFinalizer
        | Step::CreateSecret
        | Step::ApplySecret
        | Step::CreateNetworkPolicy
        | Step::ApplyNetworkPolicy
        | Step::LabelPod { .. } => return None,
    })
}
