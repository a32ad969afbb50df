//! The writes to a session's pod.

use std::time::Instant;

use crds::conditions::reason;
use crds::names;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Patch;
use serde_json::json;

use super::objects::still_asks;
use super::{Work, gone, merged, only, posted, wrote};
use crate::build;
use crate::call::{CallError, call};
use crate::departures::whole_second;
use crate::gate::{Expected, Kind};
use crate::observe::PodSeen;

fn pods(work: Work<'_>) -> Api<Pod> {
    Api::namespaced(work.context.world.client.clone(), work.key.namespace())
}

pub(super) async fn create(work: Work<'_>) -> Result<(), CallError> {
    let Some(desired) = work.desired else { return Ok(()) };
    still_asks(work).await?;
    let epoch = work.seen.status().and_then(|status| status.writer_epoch);
    let pod = build::pod::made_at(build::pod::with_writer_epoch(desired.pod.clone(), epoch), whole_second());
    let api = pods(work);
    let made = match call(api.create(&posted(), &pod)).await {
        Err(CallError::Exists) => {
            let there = call(api.get(work.key.name())).await?;
            let seen = PodSeen::of(&there);
            if !seen.is_of(work.seen.uid()) {
                let message = format!(
                    "A pod {} exists that is not this session's. It is left alone: delete it, or give this session another name.",
                    seen.name
                );
                return Err(CallError::Refused { reason: reason::POD_NAME_CONFLICT, message });
            }
            if !seen.labelled {
                // The watch does not show it without its labels: it would be made again at every look.
                remember(work, &seen);
                return label(work, &seen.uid, &seen.version).await;
            }
            there
        }
        answer => answer?,
    };
    remember(work, &PodSeen::of(&made));
    wrote(work, Kind::Pod, made.metadata.resource_version.as_deref());
    Ok(())
}

/// There is a pod now, which the watch may never show if it goes at once; and all those before it were judged to have ended.
fn remember(work: Work<'_>, made: &PodSeen) {
    let departures = &work.context.world.departures;
    departures.ended(work.seen.departed.iter().map(|departed| departed.uid.as_str()));
    departures.made(work.key.beside(&made.name), made);
}

pub(super) async fn label(work: Work<'_>, uid: &str, version: &str) -> Result<(), CallError> {
    let labels = build::labels(work.key.name(), work.seen.uid());
    let change = json!({"metadata": {"uid": uid, "resourceVersion": version, "labels": labels}});
    let changed = call(pods(work).patch(work.key.name(), &merged(), &Patch::Merge(change))).await?;
    wrote(work, Kind::Pod, changed.metadata.resource_version.as_deref());
    Ok(())
}

/// Deletes this pod and no other one. With a resource version: at once, and only if nothing has changed since.
pub(super) async fn delete(work: Work<'_>, uid: &str, at_once: Option<&String>) -> Result<(), CallError> {
    still_asks(work).await?;
    let name = names::pod(work.key.name());
    gone(call(pods(work).delete(&name, &only(uid, at_once))).await)?;
    let expected = Expected::Deleted { name, uid: uid.to_owned() };
    work.context.world.gate.expect(work.key, Kind::Pod, expected, Instant::now());
    Ok(())
}
