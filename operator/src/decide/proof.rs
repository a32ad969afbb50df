//! Whether the process of a pod that is gone from the API server has ended, when nobody saw that. Pure.
//!
//! Proof is a kubelet's word that the pod has ended (then it is not asked here), a node that is gone or declared out of service,
//! or time: a node that still looks well long after the deletion was not dead when it came, so its kubelet has heard of it. A
//! node that comes back hears of it only then. Either way the kubelet gives the process the pod's own grace period, even if the
//! pod was deleted by force.

use crds::spec::OnNodeLoss;
use k8s_openapi::jiff::SignedDuration;

use super::pod::told_since;
use super::{After, Rules, Standing, Wait};
use crate::observe::{Departed, Lasting, NodeSeen, Observed};

/// For a kubelet to find a pod that it should not have, beside the pod's grace period.
const FOUND_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// What keeps a pod from being made in place of one that is gone, if anything does.
pub(super) fn lacking(seen: &Observed, rules: &Rules) -> Option<Standing> {
    let departed = seen.departed.as_ref()?;
    let node = departed.node.clone();
    match seen.node {
        NodeSeen::Gone | NodeSeen::OutOfService => None,
        NodeSeen::NotReady { since, .. } => {
            let lost = Standing::NodeLost { node: node?, since: Some(since), gone: true };
            (!is_given_up(seen, rules)).then_some(lost)
        }
        NodeSeen::Ready(_) | NodeSeen::Unknown => {
            wait(seen, departed, rules).map(|wait| Standing::Vanished { node, wait })
        }
    }
}

/// The longer one of the two waits, if any is left. Without a node grace period a departure is not waited for.
fn wait(seen: &Observed, departed: &Departed, rules: &Rules) -> Option<Wait> {
    let ending = grace(seen, departed) + FOUND_WITHIN;
    let unnoticed = (!rules.node_grace.is_zero()).then_some(rules.node_grace);
    let departure = unnoticed.map(|grace| after(After::Departure, departed.noticed, grace + ending));
    let back = returned(seen).map(|back| after(After::Return, back, ending));
    departure
        .into_iter()
        .chain(back)
        .filter(|wait| wait.left > SignedDuration::ZERO)
        .max_by_key(|wait| wait.left)
}

fn after(after: After, lasting: Lasting, wait: SignedDuration) -> Wait {
    Wait { after, since: lasting.since, wait, left: wait - lasting.lasted }
}

/// How long the node has been back, if it was away: the operator has seen that, or its predecessor has told so.
fn returned(seen: &Observed) -> Option<Lasting> {
    let NodeSeen::Ready(answering) = seen.node else { return None };
    (answering.returned || told_since(seen).is_some()).then_some(answering.lasting)
}

/// The grace period of the pod that is gone; what the session asks for, if that is not known.
fn grace(seen: &Observed, departed: &Departed) -> SignedDuration {
    SignedDuration::from_secs(departed.grace.unwrap_or(seen.session.spec.termination_grace_period_seconds))
}

/// Whether the resource says that a node which is away does not come back: it has been so for long, by the operator's own clock.
pub(super) fn is_given_up(seen: &Observed, rules: &Rules) -> bool {
    let recreate = seen.session.spec.on_node_loss == OnNodeLoss::Recreate;
    let long = match seen.node {
        NodeSeen::NotReady { lasted, .. } => lasted >= rules.node_loss,
        NodeSeen::Gone | NodeSeen::OutOfService => {
            told_since(seen).is_some_and(|since| seen.now.duration_since(since) >= rules.node_loss)
        }
        NodeSeen::Unknown | NodeSeen::Ready(_) => false,
    };
    recreate && long
}
