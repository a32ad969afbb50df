//! The rollout's plan that is in force, and the loop that makes it anew every second.
//!
//! Comes in: snapshots of the fleet. Goes out: a [`Turn`] for whoever asks, and whom to look at again. What is planned is
//! [`crate::rollout`]'s to say.
//!
//! There is one plan for all: whoever asks for a turn looks it up, so that two sessions that ask at the same time never take
//! the same room. Who was told to go keeps the turn until the pod is seen going.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::observe::{SessionKey, Turn};
use crate::rollout::{Grant, Phase, Plan, Session, Settings, Stop, Waiting, plan};

/// Time between two plans.
const EVERY: Duration = Duration::from_secs(1);

/// How many sessions a message names.
const NAMED: usize = 3;

/// The plan in force. Shared between all reconciles.
#[derive(Debug)]
pub struct Fleet {
    settings: Settings,
    revision: String,
    plan: RwLock<Arc<Plan>>,
}

impl Fleet {
    /// A fleet that nobody has looked at yet: nobody's turn. `revision` is the hash of what all pods have alike.
    pub fn new(settings: Settings, revision: String) -> Self {
        Self { settings, revision, plan: RwLock::default() }
    }

    /// The fleet's present revision.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The plan in force.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this pod of a session may be replaced now.
    pub fn turn(&self, key: &SessionKey, pod_uid: &str) -> Turn {
        turn(&self.plan(), key, pod_uid)
    }

    /// Plans anew, and says which sessions get another answer now.
    pub fn look(&self, sessions: &[Session], now: Timestamp) -> Vec<SessionKey> {
        let old = self.plan();
        let new = Arc::new(plan(sessions, self.settings, &old, now));
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        changed(&old, &new)
    }
}

/// Plans every second until it is dropped; whoever gets another answer is told so through `wake`.
pub async fn drive(
    fleet: Arc<Fleet>,
    look: impl Fn() -> Vec<Session>,
    wake: mpsc::Sender<SessionKey>,
    told: impl Fn(&Plan),
) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let was = fleet.plan();
        let woken = fleet.look(&look(), Timestamp::now());
        let is = fleet.plan();
        report(&was.phase, &is.phase);
        told(&is);
        for key in woken {
            if wake.send(key).await.is_err() {
                return;
            }
        }
    }
}

fn turn(plan: &Plan, key: &SessionKey, pod_uid: &str) -> Turn {
    if plan.go.get(key).is_some_and(|grant| grant.pod_uid == pod_uid) {
        return Turn::Now;
    }
    match (plan.waiting.get(key), &plan.phase) {
        (Some(Waiting::Stopped), Phase::Stopped(stop)) => Turn::Stopped(stop.sentence()),
        (Some(Waiting::Somebody), _) => Turn::Later(
            "A rollout does not restart it by itself: it takes the change when somebody does.".to_owned(),
        ),
        (Some(Waiting::Refused), _) => Turn::Later(
            "It waits: the API server refuses pods in this namespace, and a new one might not come back."
                .to_owned(),
        ),
        (Some(Waiting::Turn | Waiting::Stopped) | None, _) => {
            Turn::Later("It waits for its turn: only so many sessions are restarted at once.".to_owned())
        }
    }
}

impl Stop {
    /// Why the rollout has stopped, and what helps. The same as long as the same sessions are at fault.
    pub fn sentence(&self) -> String {
        let mut named: Vec<_> = self
            .culprits
            .iter()
            .take(NAMED)
            .map(|culprit| format!("{} ({})", culprit.key, culprit.why))
            .collect();
        if self.culprits.len() > NAMED {
            named.push("others".to_owned());
        }
        format!(
            "The rollout has stopped, because sessions did not come back with the new revision: {}. It goes on when they do, or with another revision.",
            named.join(", ")
        )
    }
}

/// Sessions to which the new plan says something else than the old one.
fn changed(old: &Plan, new: &Plan) -> Vec<SessionKey> {
    let told = |(key, grant): &(&SessionKey, &Grant)| old.go.get(*key) != Some(*grant);
    let gone = new.go.iter().filter(told).map(|(key, _)| key);
    let kept = |(key, waiting): &(&SessionKey, &Waiting)| {
        let before = old.waiting.get(*key).copied().unwrap_or(Waiting::Turn);
        before != **waiting || (before == Waiting::Stopped && old.phase != new.phase)
    };
    gone.chain(new.waiting.iter().filter(kept).map(|(key, _)| key)).cloned().collect()
}

fn report(was: &Phase, is: &Phase) {
    if was == is {
        return;
    }
    match is {
        Phase::Done => tracing::info!("no session lacks the fleet's revision any more"),
        Phase::Canary(canary) => tracing::info!(session = %canary, "a rollout begins: the canary goes first"),
        Phase::Rolling => tracing::info!("the canary is back: the others follow under the budget"),
        Phase::Stopped(stop) => tracing::warn!("{}", stop.sentence()),
    }
}
