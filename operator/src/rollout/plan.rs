//! From a snapshot of the fleet to the sessions whose turn it is. Pure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Change, Health, Pod, Session, Settings};
use crate::observe::SessionKey;

/// A turn that is not taken after this time passes on.
const TAKEN_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// Which sessions may be restarted now, and why the others may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whose turn it is.
    pub go: HashMap<SessionKey, Grant>,
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
    /// Somebody who deletes the pod (`updateStrategy: OnDelete`).
    Somebody,
}

/// How a session that had its turn came through it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trial {
    /// It has not had its turn.
    Untried,
    /// It is back.
    Passed,
    /// It may yet come back.
    Pending,
    /// It was broken before: no evidence.
    Excused,
    /// It is not back.
    Failed(String),
}

/// Decides. Who was told to go by the `last` plan and is not seen going yet still takes its room, for a while.
pub fn plan(sessions: &[Session], settings: Settings, last: &Plan, now: Timestamp) -> Plan {
    let mut sessions: Vec<&Session> = sessions.iter().collect();
    sessions.sort_by(|a, b| a.key.cmp(&b.key));
    let judge = Judge::new(&sessions, settings.progress_deadline, now);
    let restarting = sessions.iter().filter(|session| judge.is_restarting(session)).count();
    let mut room = Room::new(&sessions, settings, restarting);
    let phase = judge.phase(&sessions, settings, &room);
    let mut plan = Plan { phase, restarting, ..Plan::default() };
    let refused: HashSet<&str> =
        sessions.iter().filter(|session| session.refused).map(|s| s.key.namespace.as_str()).collect();

    let mut asking = Vec::new();
    for session in sessions {
        let Some(pod) = waiting_pod(session) else { continue };
        let granted = last.go.get(&session.key).filter(|grant| grant.pod_uid == pod.uid);
        let (idle, fresh) = granted.map_or((false, false), |g| (g.is_idle(now), !g.is_idle(now)));
        if let Some(waiting) = barrier(session, pod, &plan.phase, &refused) {
            plan.waiting.insert(session.key.clone(), waiting);
        } else if let Some(grant) = granted.filter(|_| fresh) {
            room.take(&session.health);
            plan.go.insert(session.key.clone(), grant.clone());
        } else {
            asking.push((idle, session.health != Health::Up, session, pod));
        }
    }
    // Who is up goes first: the broken ones take what is left, and cost nobody anything.
    asking.sort_by_key(|(idle, broken, ..)| (*idle, *broken));
    for (.., session, pod) in asking {
        if room.has(&session.health) {
            room.take(&session.health);
            plan.go.insert(session.key.clone(), Grant { pod_uid: pod.uid.clone(), since: now });
        } else {
            plan.waiting.insert(session.key.clone(), Waiting::Turn);
        }
    }
    plan
}

impl Grant {
    /// Whether the turn was not taken in time: others may have it.
    fn is_idle(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) > TAKEN_WITHIN
    }
}

/// The pod that a session would have replaced.
fn waiting_pod(session: &Session) -> Option<&Pod> {
    session.pod.as_ref().filter(|pod| pod.change != Change::None && !pod.ending)
}

/// Whether the operator is to bring the fleet's revision to it.
fn lacks_revision(session: &Session) -> bool {
    session.automatic && session.pod.as_ref().is_some_and(|pod| pod.change == Change::Fleet)
}

/// What keeps a session from going whatever room there is.
fn barrier(session: &Session, pod: &Pod, phase: &Phase, held: &HashSet<&str>) -> Option<Waiting> {
    if !session.automatic {
        return Some(Waiting::Somebody);
    }
    if held.contains(session.key.namespace.as_str()) {
        return Some(Waiting::Refused);
    }
    match (pod.change, phase) {
        (Change::Fleet, Phase::Stopped(_)) => Some(Waiting::Stopped),
        (Change::Fleet, Phase::Canary(canary)) if *canary != session.key => Some(Waiting::Turn),
        (Change::Fleet | Change::Own | Change::None, _) => None,
    }
}

/// How many may still go.
struct Room {
    /// Sessions that are up and may be taken down.
    up: usize,
    /// Sessions that may be restarting, whatever their health.
    restarts: usize,
}

impl Room {
    fn new(sessions: &[&Session], settings: Settings, restarting: usize) -> Self {
        let budget = settings.budget.of(sessions.len());
        let down = sessions.iter().filter(|s| matches!(s.health, Health::Down { .. })).count();
        Self { up: budget.saturating_sub(down), restarts: budget.saturating_sub(restarting) }
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

/// Judges sessions at one moment.
struct Judge {
    deadline: Duration,
    now: Timestamp,
    /// When the first pod of the present revision was made.
    begun: Option<Timestamp>,
}

impl Judge {
    fn new(sessions: &[&Session], deadline: Duration, now: Timestamp) -> Self {
        let current = sessions.iter().filter_map(|s| s.pod.as_ref()).filter(|pod| pod.current);
        Self { deadline, now, begun: current.map(|pod| pod.created).min() }
    }

    fn phase(&self, sessions: &[&Session], settings: Settings, room: &Room) -> Phase {
        if !sessions.iter().any(|session| lacks_revision(session)) {
            return Phase::Done;
        }
        let canary = self.canary(sessions);
        let culprits: Vec<_> = sessions.iter().filter_map(|session| self.culprit(session)).collect();
        let canary_failed = canary.is_some_and(|canary| culprits.iter().any(|c| c.key == canary.key));
        if culprits.len() >= settings.max_failures.max(1) || canary_failed {
            return Phase::Stopped(Stop { culprits });
        }
        match canary {
            Some(canary) if self.trial(canary) != Trial::Passed => {
                let stuck = canary.health == Health::Up && room.up == 0;
                let instead = if stuck { self.volunteer(sessions) } else { None };
                Phase::Canary(instead.unwrap_or(canary).key.clone())
            }
            Some(_) | None => Phase::Rolling,
        }
    }

    /// The session that goes first: the one that is labelled so, else the first in order that works, or did until just now.
    fn canary<'s>(&self, sessions: &[&'s Session]) -> Option<&'s Session> {
        let fit = |session: &Session| match (self.trial(session), &session.health) {
            (Trial::Pending | Trial::Failed(_), _) | (_, Health::Up) => true,
            (_, Health::Down { since, .. }) => since.is_some_and(|since| !self.is_over(since)),
            (_, Health::Idle { .. }) => false,
        };
        // A fleet in which nothing works: whoever has not had its turn, or has just had it.
        let spare = |session: &Session| match self.trial(session) {
            Trial::Excused => session.pod.as_ref().is_some_and(|pod| !self.is_over(pod.created)),
            Trial::Untried | Trial::Passed | Trial::Pending | Trial::Failed(_) => true,
        };
        let automatic = sessions.iter().copied().filter(|session| session.automatic);
        let first = |rule: &dyn Fn(&Session) -> bool| automatic.clone().find(|session| rule(session));
        first(&|session| session.canary).or_else(|| first(&fit)).or_else(|| first(&spare))
    }

    /// A broken session that lacks the revision: when there is no room to take the canary down, it may be the very thing that
    /// mends what is in the way.
    fn volunteer<'s>(&self, sessions: &[&'s Session]) -> Option<&'s Session> {
        let broken =
            |session: &&Session| lacks_revision(session) && matches!(session.health, Health::Down { .. });
        let going = |session: &&Session| broken(session) && self.is_restarting(session);
        let mut all = sessions.iter().copied();
        all.clone().find(going).or_else(|| all.find(broken))
    }

    fn culprit(&self, session: &Session) -> Option<Culprit> {
        match self.trial(session) {
            Trial::Failed(why) => Some(Culprit { key: session.key.clone(), why }),
            Trial::Untried | Trial::Passed | Trial::Pending | Trial::Excused => None,
        }
    }

    fn trial(&self, session: &Session) -> Trial {
        let Some(pod) = &session.pod else { return self.trial_without_pod(&session.health) };
        if pod.ending || !pod.current {
            return Trial::Untried;
        }
        let excused = !pod.replaced_working && !session.canary;
        match &session.health {
            Health::Up | Health::Idle { failing: None } => Trial::Passed,
            Health::Idle { .. } | Health::Down { .. } if excused => Trial::Excused,
            Health::Idle { failing: Some(why) } | Health::Down { failing: Some(why), .. } => {
                Trial::Failed(why.clone())
            }
            Health::Down { since, failing: None } => {
                let fell = since.map_or(pod.created, |since| since.max(pod.created));
                if self.is_over(fell) { Trial::Failed(self.overdue("is not back")) } else { Trial::Pending }
            }
        }
    }

    /// A session that lost its pod since the rollout began, and got no new one.
    fn trial_without_pod(&self, health: &Health) -> Trial {
        let Health::Down { since: Some(since), .. } = health else { return Trial::Untried };
        if self.begun.is_some_and(|begun| begun <= *since) && self.is_over(*since) {
            Trial::Failed(self.overdue("has no pod"))
        } else {
            Trial::Untried
        }
    }

    /// Whether a session is on its way down or up.
    fn is_restarting(&self, session: &Session) -> bool {
        match (&session.pod, &session.health) {
            (None, Health::Down { since, .. }) => since.is_none_or(|since| !self.is_over(since)),
            (None, Health::Up | Health::Idle { .. }) => true,
            (Some(pod), _) if pod.ending => true,
            (Some(pod), Health::Down { .. }) => !self.is_over(pod.created),
            (Some(_), Health::Up | Health::Idle { .. }) => false,
        }
    }

    fn is_over(&self, since: Timestamp) -> bool {
        let waited = self.now.duration_since(since);
        Duration::try_from(waited).is_ok_and(|waited| waited > self.deadline)
    }

    fn overdue(&self, what: &str) -> String {
        format!("{what} after {} s", self.deadline.as_secs())
    }
}
