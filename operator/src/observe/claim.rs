//! A claim, reduced to what is judged.

use crds::names;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::{Owner, content};

/// Annotation on a claim: the `volumeResetToken` that it was made for.
pub const RESET_TOKEN: &str = "warest.io/reset-token";

/// A claim.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimSeen {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resource version.
    pub version: String,
    /// Who controls it.
    pub owner: Option<Owner>,
    /// References to others, which control nothing.
    pub others: Vec<OwnerReference>,
    /// Name of the session that its labels say, if the operator made it.
    pub session: Option<String>,
    /// UID of the session that its labels say.
    pub session_uid: Option<String>,
    /// It has the labels that watches and people find it by; without them no watch shows it. Other tools may have others of ours
    /// to themselves (`app.kubernetes.io/instance`): nobody fights for these.
    pub labelled: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// Its phase.
    pub phase: ClaimPhase,
    /// What it asks for.
    pub requested: Option<String>,
    /// What it has.
    pub capacity: Option<String>,
    /// Its access mode.
    pub access_mode: Option<String>,
    /// Its storage class.
    pub class: Option<String>,
    /// The reset token that it was made for.
    pub reset_token: Option<String>,
    /// What went wrong with its growth.
    pub resize_error: Option<String>,
}

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimPhase {
    /// No volume yet.
    Pending,
    /// It has one.
    Bound,
    /// It had one.
    Lost,
}

impl ClaimSeen {
    /// Reads a claim.
    pub fn of(claim: &PersistentVolumeClaim) -> Self {
        let meta = &claim.metadata;
        let spec = claim.spec.clone().unwrap_or_default();
        let status = claim.status.clone().unwrap_or_default();
        let ours = content::label(meta, "app.kubernetes.io/managed-by") == Some(names::MANAGED_BY);
        let label = |key: &str| ours.then(|| content::label(meta, key)).flatten().map(ToOwned::to_owned);
        let (session, session_uid) = (label(names::SESSION), label(names::SESSION_UID));
        let storage = |amounts: &std::collections::BTreeMap<String, _>| {
            amounts
                .get("storage")
                .map(|q: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| q.0.clone())
        };
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.clone().unwrap_or_default(),
            owner: content::controller(meta),
            others: {
                let all = meta.owner_references.iter().flatten();
                all.filter(|owner| owner.controller != Some(true)).cloned().collect()
            },
            labelled: session.is_some()
                && session_uid.is_some()
                && content::label(meta, "app.kubernetes.io/name") == Some(names::APP),
            session,
            session_uid,
            deleting: meta.deletion_timestamp.is_some(),
            phase: match status.phase.as_deref() {
                Some("Bound") => ClaimPhase::Bound,
                Some("Lost") => ClaimPhase::Lost,
                _ => ClaimPhase::Pending,
            },
            requested: spec.resources.and_then(|resources| resources.requests).as_ref().and_then(storage),
            capacity: status.capacity.as_ref().and_then(storage),
            access_mode: spec.access_modes.and_then(|modes| modes.into_iter().next()),
            class: spec.storage_class_name,
            reset_token: meta.annotations.as_ref().and_then(|all| all.get(RESET_TOKEN).cloned()),
            resize_error: status.conditions.unwrap_or_default().into_iter().find_map(|condition| {
                let failed = condition.type_.ends_with("ResizeError") && condition.status == "True";
                failed.then(|| condition.message.unwrap_or(condition.type_))
            }),
        }
    }
}
