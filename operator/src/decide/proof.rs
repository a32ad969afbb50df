//! Whether the processes of pods that are gone from the API server have ended, when nobody saw that. Pure.
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

/// What keeps a pod from being made in place of those that are gone, if anything does: the strictest.
pub(super) fn lacking(seen: &Observed, rules: &Rules) -> Option<Standing> {
    let doubts = seen.departed.iter().filter_map(|departed| doubt(seen, departed, rules));
    doubts.reduce(|strictest, doubt| if left(&doubt) > left(&strictest) { doubt } else { strictest })
}

/// Those pods that are gone whose processes have ended by now. What happens later to their nodes does not bring them back.
/// A node that is given up is no proof: that is for the session to say, and it may say something else tomorrow.
pub fn proven<'s>(seen: &'s Observed, rules: &Rules) -> impl Iterator<Item = &'s str> {
    let over = |departed: &&Departed| match departed.state {
        NodeSeen::Gone | NodeSeen::OutOfService => true,
        NodeSeen::NotReady { .. } => false,
        NodeSeen::Ready(_) | NodeSeen::Unknown => wait(seen, departed, rules).is_none(),
    };
    seen.departed.iter().filter(move |departed| over(departed)).map(|departed| departed.uid.as_str())
}

/// The longest that is waited for a pod whose node looks well, when nobody saw it end: with this grace period of its own.
pub fn departure_wait(grace: SignedDuration, rules: &Rules) -> SignedDuration {
    if rules.node_grace.is_zero() {
        return SignedDuration::ZERO;
    }
    rules.node_grace.saturating_add(to_end(grace))
}

/// The longest that a kubelet takes to end a pod that it should not have.
const fn to_end(grace: SignedDuration) -> SignedDuration {
    grace.saturating_add(FOUND_WITHIN)
}

/// Why a pod that is gone may still run, if it may.
fn doubt(seen: &Observed, departed: &Departed, rules: &Rules) -> Option<Standing> {
    let node = departed.node.clone();
    match departed.state {
        NodeSeen::Gone | NodeSeen::OutOfService => None,
        NodeSeen::NotReady { since, .. } => {
            let lost = Standing::NodeLost { node: node?, since: Some(since), gone: true };
            (!is_given_up(seen, departed.state, rules)).then_some(lost)
        }
        NodeSeen::Ready(_) | NodeSeen::Unknown => {
            wait(seen, departed, rules).map(|wait| Standing::Vanished { node, wait })
        }
    }
}

/// How long is left until it goes on by itself, as far as is known.
const fn left(doubt: &Standing) -> SignedDuration {
    if let Standing::Vanished { wait, .. } = doubt { wait.left } else { SignedDuration::MAX }
}

/// The longer one of the two waits, if any is left. Without a node grace period a departure is not waited for.
fn wait(seen: &Observed, departed: &Departed, rules: &Rules) -> Option<Wait> {
    let grace = grace(seen, departed);
    let departure = after(After::Departure, departed.noticed, departure_wait(grace, rules));
    let back = returned(seen, departed).map(|back| after(After::Return, back, to_end(grace)));
    std::iter::once(departure)
        .chain(back)
        .filter(|wait| wait.left > SignedDuration::ZERO)
        .max_by_key(|wait| wait.left)
}

fn after(after: After, lasting: Lasting, wait: SignedDuration) -> Wait {
    Wait { after, since: lasting.since, wait, left: wait.saturating_sub(lasting.lasted) }
}

/// How long the node has been back, if it was away: the operator has seen that, or its predecessor has told so.
fn returned(seen: &Observed, departed: &Departed) -> Option<Lasting> {
    let NodeSeen::Ready(answering) = departed.state else { return None };
    (answering.returned || told_since(seen).is_some()).then_some(answering.lasting)
}

/// The grace period of the pod that is gone; what the session asks for, if that is not known.
fn grace(seen: &Observed, departed: &Departed) -> SignedDuration {
    SignedDuration::from_secs(departed.grace.unwrap_or(seen.session.spec.termination_grace_period_seconds))
}

/// Whether the resource says that a node which is away does not come back: it has been so for long, by the operator's own clock.
pub(super) fn is_given_up(seen: &Observed, node: NodeSeen, rules: &Rules) -> bool {
    let recreate = seen.session.spec.on_node_loss == OnNodeLoss::Recreate;
    let long = match node {
        NodeSeen::NotReady { lasted, .. } => lasted >= rules.node_loss,
        NodeSeen::Gone | NodeSeen::OutOfService => {
            told_since(seen).is_some_and(|since| seen.now.duration_since(since) >= rules.node_loss)
        }
        NodeSeen::Unknown | NodeSeen::Ready(_) => false,
    };
    recreate && long
}
