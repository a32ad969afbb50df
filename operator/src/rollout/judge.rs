//! How sessions came through their turn, which of them goes first, and whether the rollout goes on. Pure.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::plan::Room;
use super::{Change, Culprit, Health, Phase, Session, Settings, Stop};
use crate::observe::SessionKey;

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

/// Judges sessions at one moment.
pub(super) struct Judge {
    deadline: Duration,
    now: Timestamp,
    /// When the first pod of the present revision was made.
    begun: Option<Timestamp>,
    late: Late,
}

/// Sessions that did not take their turn.
pub(super) struct Late {
    /// A short while ago: it is not waited for them.
    pub(super) missed: HashSet<SessionKey>,
    /// At some time in this rollout: others go before them.
    pub(super) passed_over: HashSet<SessionKey>,
}

impl Judge {
    pub(super) fn new(sessions: &[&Session], deadline: Duration, late: Late, now: Timestamp) -> Self {
        let current = sessions.iter().filter_map(|s| s.pod.as_ref()).filter(|pod| pod.current);
        Self { deadline, now, begun: current.map(|pod| pod.created).min(), late }
    }

    pub(super) fn phase(&self, sessions: &[&Session], settings: Settings, room: &Room) -> Phase {
        if !sessions.iter().any(|session| lacks_revision(session)) {
            return Phase::Done;
        }
        let canary = self.canary(sessions).map(|canary| self.or_under_way(canary, sessions));
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
        let among = |again: bool| {
            let late = |session: &Session| self.late.passed_over.contains(&session.key) == again;
            let may = |session: &&&Session| self.may_be_canary(session) && late(session);
            let first = |rule: &dyn Fn(&Session) -> bool| {
                sessions.iter().filter(may).find(|session| rule(session)).copied()
            };
            first(&|session| session.canary).or_else(|| first(&fit)).or_else(|| first(&spare))
        };
        let unknown = sessions.iter().copied().find(|session| may_turn_out_canary(session));
        unknown.or_else(|| among(false)).or_else(|| among(true))
    }

    /// Whether the revision may be tried on it: it has a pod, or gets one again, or lost it in its turn.
    fn may_be_canary(&self, session: &Session) -> bool {
        let there = session.pod.is_some()
            || self.is_restarting(session)
            || matches!(self.trial(session), Trial::Failed(_));
        session.automatic && is_concerned(session) && there && !self.late.missed.contains(&session.key)
    }

    /// While statuses are still being written it shows only bit by bit whom the revision concerns: a session that turns up
    /// late does not go while another one is being tried.
    fn or_under_way<'s>(&self, canary: &'s Session, sessions: &[&'s Session]) -> &'s Session {
        let tried = |session: &&&Session| session.automatic && self.trial(session) == Trial::Pending;
        let other = sessions.iter().find(tried).filter(|_| self.trial(canary) == Trial::Untried);
        other.copied().unwrap_or(canary)
    }

    /// A broken session that lacks the revision: when there is no room to take the canary down, it may be the very thing that
    /// mends what is in the way.
    fn volunteer<'s>(&self, sessions: &[&'s Session]) -> Option<&'s Session> {
        let may = |session: &Session| lacks_revision(session) && !self.late.missed.contains(&session.key);
        let broken = |session: &&Session| may(session) && matches!(session.health, Health::Down { .. });
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

    /// Whether a session that should work does not, so that fewer others may. One that never worked is not missed, but for
    /// the time in which its pod comes up (or in which the status does not yet say that it had worked).
    pub(super) fn is_away(&self, session: &Session) -> bool {
        match &session.health {
            Health::Down { since: Some(_), .. } => true,
            Health::Down { since: None, .. } => self.is_restarting(session),
            Health::Up | Health::Idle { .. } => false,
        }
    }

    /// Whether it has been away for long, and not by this rollout: a rollout takes nobody away by going on beside it.
    pub(super) fn is_long_away(&self, session: &Session) -> bool {
        let Health::Down { since: Some(since), .. } = &session.health else { return false };
        self.is_over(*since) && !matches!(self.trial(session), Trial::Failed(_))
    }

    /// Whether a session is on its way down or up.
    pub(super) fn is_restarting(&self, session: &Session) -> bool {
        match (&session.pod, &session.health) {
            (None, Health::Down { since: None, .. }) if session.refused => false,
            (None, Health::Down { since, .. }) => since.is_none_or(|since| !self.is_over(since)),
            (None, Health::Up | Health::Idle { .. }) => true,
            (Some(pod), _) if pod.ending => true,
            // One that ends again and again is made anew again and again.
            (Some(_), Health::Down { since: Some(since), failing: Some(_) }) if self.is_over(*since) => false,
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

/// Whether it is labelled to go first, and it is not known yet whether the revision concerns it: a moment after the operator's start.
fn may_turn_out_canary(session: &Session) -> bool {
    let unknown = session.pod.as_ref().is_some_and(|pod| pod.change == Change::Unknown && !pod.ending);
    session.canary && session.automatic && unknown
}

/// Whether the operator is to bring the fleet's revision to it.
fn lacks_revision(session: &Session) -> bool {
    session.automatic && session.pod.as_ref().is_some_and(|pod| pod.change == Change::Fleet)
}

/// Whether the fleet's revision is anything to it. One whose own spec says all that has changed keeps its pod, works, and
/// proves nothing.
fn is_concerned(session: &Session) -> bool {
    session.pod.as_ref().is_none_or(|pod| pod.current || pod.ending || pod.change == Change::Fleet)
}
