//! Whether the process of a pod that is gone from the API server has ended, when nobody saw that. Pure.
//!
//! Proof is a kubelet's word that the pod has ended (then it is not asked here), a node that is gone or declared out of service,
//! or time: a node that still looks well long after the deletion was not dead when it came, so its kubelet has heard of it.

use std::time::Duration;

use crds::spec::OnNodeLoss;
use k8s_openapi::jiff::Timestamp;

use super::{Rules, Standing};
use crate::observe::{NodeSeen, Observed};

/// What keeps a pod from being made in place of one that is gone, if anything does.
pub(super) fn lacking(seen: &Observed, rules: &Rules) -> Option<Standing> {
    let departed = seen.departed.as_ref()?;
    let node = departed.node.clone();
    match seen.node {
        NodeSeen::Gone | NodeSeen::OutOfService => None,
        NodeSeen::NotReady { since } => {
            let lost = Standing::NodeLost { node: node?, since: Some(since), gone: true };
            (!is_given_up(seen, since, rules)).then_some(lost)
        }
        NodeSeen::Ready | NodeSeen::Unknown => {
            let since = departed.noticed.since;
            left(seen, rules).map(|_| Standing::Vanished { node, since, wait: rules.node_grace })
        }
    }
}

/// How long until time alone is proof. None: it is.
pub(super) fn left(seen: &Observed, rules: &Rules) -> Option<Duration> {
    let noticed = seen.departed.as_ref()?.noticed;
    Duration::try_from(rules.node_grace - noticed.lasted).ok().filter(|left| !left.is_zero())
}

/// Whether the resource says that a node which has been away since then does not come back.
pub(super) fn is_given_up(seen: &Observed, since: Timestamp, rules: &Rules) -> bool {
    let recreate = seen.session.spec.on_node_loss == OnNodeLoss::Recreate;
    recreate && seen.now.duration_since(since) >= rules.node_loss
}
