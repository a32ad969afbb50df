//! `StorageReady`: how it stands with the volume, and what to do about it.

use crds::conditions::reason;
use crds::spec::AccessMode;

use super::{Facts, Finding};
use crate::build::claim;
use crate::decide::{Loss, Step, Storage};
use crate::observe::Observed;

/// The condition.
pub(super) fn find(facts: &Facts<'_>) -> Finding {
    let seen = facts.seen;
    let name = claim::name(seen.name(), &seen.session.spec);
    let problem = facts.outcome.problem.as_ref();
    if let Some(problem) =
        problem.filter(|problem| matches!(problem.step, Step::CreateClaim | Step::TakeClaim { .. }))
    {
        return Finding::no(problem.reason, problem.message.clone());
    }
    match &facts.decision.storage {
        Storage::Ready => ready(facts),
        Storage::Pending => Finding::no(reason::STORAGE_PENDING, pending(seen, &name)),
        Storage::Missing => Finding::no(reason::STORAGE_PENDING, format!("The claim {name} is being made.")),
        Storage::Terminating => Finding::no(
            reason::STORAGE_TERMINATING,
            format!(
                "The claim {name} is being deleted: its volume, with the credentials, goes when the pod ends. Keep the pod running while you save what you need."
            ),
        ),
        Storage::Lost(loss) => Finding::no(reason::VOLUME_LOST, lost(*loss, seen, &name)),
        Storage::Resetting => Finding::no(
            reason::VOLUME_RESETTING,
            format!("The volume of the claim {name} is being thrown away, as volumeResetToken asks."),
        ),
        Storage::NameConflict(whose) => Finding::no(
            reason::CLAIM_NAME_CONFLICT,
            format!(
                "A claim {name} exists that belongs to {whose}. It is left alone: delete or rename it, or give this session another name."
            ),
        ),
        Storage::NotFound => Finding::no(
            reason::CLAIM_NOT_FOUND,
            format!("The claim {name} that spec.storage.existingClaim names is not there: make it."),
        ),
        Storage::Duplicate(other) => Finding::no(
            reason::DUPLICATE_VOLUME,
            format!(
                "Session {} uses the same claim and folder ({name}), or its pod has not ended yet. Two processes damage the credentials: delete one of the two.",
                other.name()
            ),
        ),
    }
}

fn ready(facts: &Facts<'_>) -> Finding {
    let resize = facts.seen.claim.as_ref().and_then(|claim| claim.resize_error.clone());
    let problem = facts.outcome.problem.as_ref();
    let refused = problem
        .filter(|problem| matches!(problem.step, Step::GrowClaim { .. }))
        .map(|problem| problem.message.clone());
    match refused.or(resize) {
        Some(words) => {
            Finding::yes(reason::RESIZE_FAILED, format!("The volume is there, but cannot grow: {words}"))
        }
        None => Finding::yes(reason::AS_EXPECTED, "The volume is there."),
    }
}

fn pending(seen: &Observed, name: &str) -> String {
    let claim = seen.claim.as_ref();
    let class = claim.and_then(|claim| claim.class.as_deref()).map_or_else(
        || "it names no storage class, and the cluster may have no default one".to_owned(),
        |class| format!("storage class {class}"),
    );
    let mut words = format!("The claim {name} has no volume yet ({class}).");
    if let Some(warning) = seen.warnings.iter().find(|warning| warning.reason == "ProvisioningFailed") {
        words = format!("{words} The provisioner says: {}", warning.message);
    }
    let once = seen.session.spec.storage.access_mode == AccessMode::ReadWriteOncePod;
    if once && seen.session.spec.storage.existing_claim.is_none() {
        words.push_str(" If its driver does not know ReadWriteOncePod, make the session anew with spec.storage.accessMode ReadWriteOnce.");
    }
    words
}

fn lost(loss: Loss, seen: &Observed, name: &str) -> String {
    let what = match loss {
        Loss::Gone => format!("The claim {name}, with the volume that this session was linked on, is gone."),
        Loss::Another => {
            format!("The claim {name} is another one than the one that this session was linked on.")
        }
        Loss::Unbound => format!("The claim {name} has lost its volume."),
        Loss::Older => format!(
            "The volume of the claim {name} is older than the one that this session has had (a backup, or another volume)."
        ),
    };
    let how = if seen.session.spec.storage.existing_claim.is_some() {
        "Bring it back, or delete this session and make it anew to link a phone again."
    } else {
        "Bring it back, or set spec.volumeResetToken to another value to start with an empty volume and link a phone again."
    };
    format!("{what} {how}")
}
