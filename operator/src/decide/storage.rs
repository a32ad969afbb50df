//! How it stands with a session's volume, and what is to be done about it.

use std::time::Duration;

use crds::spec::RetentionPolicy;

use super::{Standing, Step};
use crate::observe::{ClaimPhase, ClaimSeen, Observed, SessionKey};
use crate::quantity;

/// How it stands with the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// It is there, and is the one that the session has had.
    Ready,
    /// It is made when a pod wants it, or soon.
    Pending,
    /// There is no claim yet.
    Missing,
    /// The claim is being deleted.
    Terminating,
    /// The volume that the session has had is not there.
    Lost(Loss),
    /// It is being thrown away, as was asked.
    Resetting,
    /// A claim of that name is not this session's. Whose it is, for people.
    NameConflict(String),
    /// The claim that the spec names is not there.
    NotFound,
    /// An older session uses the same claim and folder, or another one's pod still does.
    Duplicate(SessionKey),
}

/// How a volume was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The claim is gone.
    Gone,
    /// The claim is another one than before.
    Another,
    /// The claim has lost its volume.
    Unbound,
    /// The volume was opened fewer times than is known.
    Older,
}

impl Storage {
    /// Whether a pod may be started on it.
    pub const fn may_start(&self) -> bool {
        matches!(self, Self::Ready | Self::Pending | Self::Missing)
    }
}

/// When it has to be looked again: nobody tells of a claim that is not ours or has lost its labels, nor of another session's
/// pod.
pub(super) fn again(seen: &Observed, storage: &Storage) -> Option<Duration> {
    let own = seen.session.spec.storage.existing_claim.is_none();
    let untold = own && seen.claim.as_ref().is_some_and(|claim| !claim.labelled);
    let silent = match storage {
        Storage::NotFound | Storage::Duplicate(_) => true,
        Storage::Terminating | Storage::Resetting | Storage::NameConflict(_) | Storage::Lost(_) => untold,
        Storage::Ready | Storage::Pending | Storage::Missing => false,
    };
    silent.then_some(Duration::from_secs(15))
}

/// Judges the volume.
pub(super) fn judge(seen: &Observed) -> Storage {
    if resetting(seen) {
        return match &seen.claim {
            Some(claim) => conflict(seen, claim).map_or(Storage::Resetting, Storage::NameConflict),
            None => Storage::Resetting,
        };
    }
    if let Some(other) = &seen.same_volume {
        return Storage::Duplicate(other.clone());
    }
    let bound_to = known(seen).filter(|_| seen.was_paired());
    let own = seen.session.spec.storage.existing_claim.is_none();
    let Some(claim) = &seen.claim else {
        return match (own, bound_to) {
            (false, _) => Storage::NotFound,
            (true, Some(_)) => Storage::Lost(Loss::Gone),
            (true, None) => Storage::Missing,
        };
    };
    let foreign = if own { conflict(seen, claim) } else { None };
    match (foreign, claim.phase) {
        _ if claim.deleting => Storage::Terminating,
        (Some(whose), _) => Storage::NameConflict(whose),
        _ if bound_to.is_some_and(|uid| uid != claim.uid) => Storage::Lost(Loss::Another),
        _ if is_older(seen) => Storage::Lost(Loss::Older),
        (None, ClaimPhase::Lost) => Storage::Lost(Loss::Unbound),
        (None, ClaimPhase::Pending) => Storage::Pending,
        (None, ClaimPhase::Bound) => Storage::Ready,
    }
}

/// Whether the volume is to be thrown away: another token than the one that was carried out last. The first token of a
/// session asks for nothing, as there is nothing to be thrown away.
fn resetting(seen: &Observed) -> bool {
    let wanted = seen.session.spec.volume_reset_token.as_ref();
    let done =
        seen.status().and_then(|status| status.storage.as_ref()).map(|storage| storage.reset_token.as_ref());
    wanted.is_some() && done.is_some_and(|done| done != wanted)
}

/// Whether the claim is the one that was made for the reset that is asked for.
pub(crate) fn is_fresh(seen: &Observed, claim: &ClaimSeen) -> bool {
    claim.reset_token.is_some()
        && claim.reset_token == seen.session.spec.volume_reset_token
        && !claim.deleting
}

/// The claim that the session has had.
fn known(seen: &Observed) -> Option<&str> {
    seen.status().and_then(|status| status.storage.as_ref()?.claim_uid.as_deref())
}

/// Whether the claim may be there though no watch shows it, as somebody has taken its labels away: one of its own was there, and
/// it is looked for by its name before it counts as gone.
pub fn may_be_unseen(seen: &Observed) -> bool {
    let own = seen.session.spec.storage.existing_claim.is_none();
    own && seen.claim.is_none() && known(seen).is_some() && seen.deleted().is_none()
}

/// Whose claim it is, if it is not this session's nor free to be taken up. Labels can be taken away: a claim that this session
/// owns, or that its status names, is its own whatever they say.
pub(crate) fn conflict(seen: &Observed, claim: &ClaimSeen) -> Option<String> {
    match &claim.owner {
        Some(owner) if owner.uid != seen.uid() => {
            return Some(format!("{} {} (UID {})", owner.kind, owner.name, owner.uid));
        }
        Some(_) => return None,
        None if known(seen) == Some(&claim.uid) => return None,
        None => {}
    }
    match claim.session.as_deref() {
        Some(session) if session == seen.name() => None,
        Some(session) => Some(format!("session {session}")),
        None => Some("somebody else".to_owned()),
    }
}

/// Whether the session itself says, or shows, that its store is an older one.
fn is_older(seen: &Observed) -> bool {
    let known =
        seen.status().and_then(|status| status.writer_epoch).and_then(|epoch| u64::try_from(epoch).ok());
    seen.said().is_some_and(|said| {
        let fewer = said.writer_epoch > 0 && known.is_some_and(|known| said.writer_epoch < known);
        fewer || said.reason.as_ref().is_some_and(|reason| reason.code == "volume_lost")
    })
}

/// What is to be done about the claim before the pod is thought of.
pub(super) fn steps(seen: &Observed, storage: &Storage, pod: &Standing) -> Option<Step> {
    match (storage, &seen.claim) {
        (Storage::Resetting, _) if !seen.pods.is_empty() || pod.may_run_unseen() => None,
        (Storage::Missing | Storage::Resetting, None) => Some(Step::CreateClaim),
        // Nobody would tell that it is gone.
        (Storage::Resetting, Some(claim)) if !claim.labelled && !claim.deleting => Some(taken(claim)),
        (Storage::Resetting, Some(claim)) => {
            let old = !claim.deleting && !is_fresh(seen, claim);
            old.then(|| Step::DeleteClaim { uid: claim.uid.clone() })
        }
        (Storage::Ready | Storage::Pending, Some(claim)) => take(seen, claim),
        _ => None,
    }
}

fn take(seen: &Observed, claim: &ClaimSeen) -> Option<Step> {
    let spec = &seen.session.spec;
    let owned = claim.owner.is_some();
    let settled = claim.labelled
        && claim.session.as_deref() == Some(seen.name())
        && claim.session_uid.as_deref() == Some(seen.uid())
        && owned == (spec.retention_policy == RetentionPolicy::Delete);
    let ours = spec.storage.existing_claim.is_none();
    (ours && !settled).then(|| taken(claim))
}

pub(super) fn taken(claim: &ClaimSeen) -> Step {
    Step::TakeClaim { uid: claim.uid.clone(), version: claim.version.clone() }
}

/// Asks for a larger volume, last of all: that it is refused keeps nothing from running.
pub(super) fn growth(seen: &Observed, storage: &Storage) -> Option<Step> {
    let claim = seen.claim.as_ref()?;
    let spec = &seen.session.spec.storage;
    let wanted = quantity::parse(&spec.size)?;
    let grows = wanted > quantity::parse(claim.requested.as_deref()?)?;
    let ready = *storage == Storage::Ready && spec.existing_claim.is_none();
    (grows && ready).then(|| Step::GrowClaim { uid: claim.uid.clone() })
}
