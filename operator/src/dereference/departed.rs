//! Pods that seem to be gone: whether they are, and how it stands with the nodes of those whose processes may still run.
//!
//! Comes in: a session without a pod, as the caches show it. Goes out: its pod after all, who else is on its volume, or the pods
//! that departed. It remembers which of these have ended; what follows from all that is [`crate::decide`]'s to say.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use super::{DereferenceError, holder, listen, look_at_node, looking_at};
use crate::build::claim;
use crate::call::maybe;
use crate::context::Context;
use crate::decide;
use crate::observe::{Observed, PodSeen, SessionKey};

/// The watch does not show a pod without our labels, nor one that was made a moment ago: each that seems to be gone is looked
/// for by its name.
pub(super) async fn look(
    context: &Context,
    key: &SessionKey,
    seen: &mut Observed,
) -> Result<(), DereferenceError> {
    let departures = &context.world.departures;
    let volume = claim::place(key.name(), &seen.session.spec);
    if let Some(told) = seen.status().and_then(|status| status.pod.as_ref()) {
        departures.told(key, told, &volume);
    }
    let api: Api<Pod> = Api::namespaced(context.world.client.clone(), key.namespace());
    let mut there = Vec::new();
    for name in departures.suspects(key, &volume) {
        let pod = maybe(api.get(&name)).await.map_err(looking_at("a pod that seems to be gone"))?;
        there.extend(pod.as_ref().map(PodSeen::of));
    }
    let gone = departures.looked_for(&there, key, &volume);
    for pod in there {
        if pod.name == key.name() {
            seen.pods.retain(|shown| shown.name != pod.name);
            seen.pods.push(pod);
        } else if seen.same_volume.is_none() && pod.holds(&volume) {
            seen.same_volume = Some(holder(key, &pod));
        }
    }
    if seen.own_pods().next().is_some() {
        listen(context, key, seen);
        return Ok(());
    }
    seen.departed = gone;
    for departed in &mut seen.departed {
        if let Some(node) = &departed.node {
            departed.state = look_at_node(context, node).await?;
        }
    }
    departures.ended(decide::proven(seen, &context.rules));
    Ok(())
}
