//! From a snapshot of the fleet to the sessions whose turn it is. Pure.

use std::collections::{HashMap, HashSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::judge::{Judge, Late};
use super::{Change, Health, Pod, Session, Settings};
use crate::observe::SessionKey;

/// A turn that is not taken after this time passes on …
const TAKEN_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// … and does not come again before that.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(600);

/// Which sessions may be restarted now, and why the others may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whose turn it is.
    pub go: HashMap<SessionKey, Grant>,
    /// Who did not take the turn: something else keeps them from going.
    pub missed: HashMap<SessionKey, Grant>,
    /// Pods whose sessions did not take a turn in this rollout: they are canaries only when nobody else is left.
    pub passed_over: HashMap<SessionKey, String>,
    /// Who waits, and what for.
    pub waiting: HashMap<SessionKey, Waiting>,
    /// Where the fleet's rollout stands.
    pub phase: Phase,
    /// How many sessions are on their way down or up, for whatever reason.
    pub restarting: usize,
}

/// A session's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The pod that may be replaced.
    pub pod_uid: String,
    /// Since when.
    pub since: Timestamp,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// No session lacks the fleet's revision.
    #[default]
    Done,
    /// This session goes first; the others wait until it is back.
    Canary(SessionKey),
    /// The others follow under the budget.
    Rolling,
    /// Nobody goes.
    Stopped(Stop),
}

/// Why a rollout has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Sessions that had their turn and are not back, in order.
    pub culprits: Vec<Culprit>,
}

/// A session that had its turn and is not back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Which.
    pub key: SessionKey,
    /// What is wrong with it.
    pub why: String,
}

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// Its turn: the canary goes first, or as many as may are away.
    Turn,
    /// The API server refuses a pod in its namespace: it would not come back.
    Refused,
    /// The fleet's rollout has stopped.
    Stopped,
    /// Somebody who deletes the pod (`updateStrategy: OnDelete`) or takes up the session (it has ended for good).
    Somebody,
}

/// Decides. Who was told to go by the `last` plan and is not seen going yet still takes its room, for a while.
pub fn plan(sessions: &[Session], settings: Settings, last: &Plan, now: Timestamp) -> Plan {
    let mut sessions: Vec<&Session> = sessions.iter().collect();
    sessions.sort_by(|a, b| a.key.cmp(&b.key));
    let missed = last.missed_turns(&sessions, now);
    let passed_over = last.passed_over(&sessions, &missed);
    let late =
        Late { missed: missed.keys().cloned().collect(), passed_over: passed_over.keys().cloned().collect() };
    let judge = Judge::new(&sessions, settings.progress_deadline, late, now);
    let restarting = sessions.iter().filter(|session| judge.is_restarting(session)).count();
    let mut room = Room::new(&sessions, settings, &judge, restarting);
    let phase = judge.phase(&sessions, settings, &room);
    let mut plan = Plan { missed, passed_over, phase, restarting, ..Plan::default() };
    let refused: HashSet<&str> =
        sessions.iter().filter(|session| session.refused).map(|s| s.key.namespace()).collect();

    let mut asking = Vec::new();
    for session in sessions {
        let Some(pod) = waiting_pod(session) else { continue };
        if let Some(waiting) = barrier(session, pod, &plan.phase, &refused) {
            plan.waiting.insert(session.key.clone(), waiting);
            continue;
        }
        let given = last.grant(session, pod).filter(|grant| now.duration_since(grant.since) <= TAKEN_WITHIN);
        if let Some(grant) = given {
            room.take(&session.health);
            plan.go.insert(session.key.clone(), grant.clone());
        } else if plan.missed.contains_key(&session.key) {
            plan.waiting.insert(session.key.clone(), Waiting::Turn);
        } else {
            asking.push((session, pod));
        }
    }
    // Who is up goes first: the broken ones take what is left, and cost nobody anything.
    asking.sort_by_key(|(session, _)| session.health != Health::Up);
    for (session, pod) in asking {
        if room.has(&session.health) {
            room.take(&session.health);
            plan.go.insert(session.key.clone(), Grant { pod_uid: pod.uid.clone(), since: now });
        } else {
            plan.waiting.insert(session.key.clone(), Waiting::Turn);
        }
    }
    plan
}

impl Plan {
    /// The last turn of a session's pod, taken or not.
    fn grant(&self, session: &Session, pod: &Pod) -> Option<&Grant> {
        let given = self.go.get(&session.key).or_else(|| self.missed.get(&session.key));
        given.filter(|grant| grant.pod_uid == pod.uid)
    }

    /// Who did not take a turn so far, as long as the pod is the same.
    fn passed_over(
        &self,
        sessions: &[&Session],
        missed: &HashMap<SessionKey, Grant>,
    ) -> HashMap<SessionKey, String> {
        let late = |session: &&Session| {
            let pod = waiting_pod(session)?;
            let before = self.passed_over.get(&session.key).is_some_and(|uid| *uid == pod.uid);
            (before || missed.contains_key(&session.key)).then(|| (session.key.clone(), pod.uid.clone()))
        };
        sessions.iter().filter_map(late).collect()
    }

    /// Turns that were not taken and do not come again yet.
    fn missed_turns(&self, sessions: &[&Session], now: Timestamp) -> HashMap<SessionKey, Grant> {
        let missed = |session: &&Session| {
            let grant = self.grant(session, waiting_pod(session)?)?;
            let age = now.duration_since(grant.since);
            (age > TAKEN_WITHIN && age <= AGAIN_AFTER).then(|| (session.key.clone(), grant.clone()))
        };
        sessions.iter().filter_map(missed).collect()
    }
}

/// The pod that a session would have replaced.
fn waiting_pod(session: &Session) -> Option<&Pod> {
    session.pod.as_ref().filter(|pod| !matches!(pod.change, Change::None | Change::Unknown) && !pod.ending)
}

/// What keeps a session from going whatever room there is.
fn barrier(session: &Session, pod: &Pod, phase: &Phase, held: &HashSet<&str>) -> Option<Waiting> {
    if !session.automatic {
        return Some(Waiting::Somebody);
    }
    if held.contains(session.key.namespace()) {
        return Some(Waiting::Refused);
    }
    match (pod.change, phase) {
        (Change::Fleet, Phase::Stopped(_)) => Some(Waiting::Stopped),
        (Change::Fleet, Phase::Canary(canary)) if *canary != session.key => Some(Waiting::Turn),
        (Change::Fleet | Change::Own | Change::None | Change::Unknown, _) => None,
    }
}

/// How many may still go.
pub(super) struct Room {
    /// Sessions that are up and may be taken down.
    pub(super) up: usize,
    /// Sessions that may be restarting, whatever their health.
    restarts: usize,
}

impl Room {
    fn new(sessions: &[&Session], settings: Settings, judge: &Judge, restarting: usize) -> Self {
        let budget = settings.budget.of(sessions.len());
        let down = sessions.iter().filter(|session| judge.is_away(session));
        let (long, fresh): (Vec<&Session>, Vec<&Session>) =
            down.partition(|session| judge.is_long_away(session));
        // Those that have been away for long leave one place at least: nobody may ever come to mend them.
        let taken = fresh.len() + long.len().min(budget.saturating_sub(1));
        Self { up: budget.saturating_sub(taken), restarts: budget.saturating_sub(restarting) }
    }

    fn has(&self, health: &Health) -> bool {
        self.restarts > 0 && (*health != Health::Up || self.up > 0)
    }

    fn take(&mut self, health: &Health) {
        self.restarts = self.restarts.saturating_sub(1);
        if *health == Health::Up {
            self.up = self.up.saturating_sub(1);
        }
    }
}
