//! Changes that need new pods, across the fleet: which sessions may be restarted now.
//!
//! Comes in: a snapshot of all sessions that shall have a pod ([`Session`], read from resources and pods), the [`Settings`], the
//! time. Goes out: a [`Plan`] with the sessions whose turn it is. Nothing of it lives in memory alone: a canary is recognised by
//! the revision that its pod has, a failure by a pod of that revision that does not come up, so that an operator that starts in
//! the middle goes on in the middle.
//!
//! A *fleet change* is a new revision (what the operator gives to all pods alike): canary first, then the rest under the
//! budget, and it stops by itself when sessions do not come back, until they do or the revision changes again. A session's *own
//! change* is somebody's wish for that session: only the budget holds it back.
//!
//! It must not write to the cluster: [`crate::decide`] asks for a [`Turn`](crate::observe::Turn), and acts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::observe::SessionKey;

mod judge;
mod plan;
mod snapshot;

pub use crate::fleet::{Fleet, drive};
pub use plan::{Culprit, Grant, Phase, Plan, Stop, Waiting, plan};

/// How a rollout goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many sessions may be away at once.
    pub budget: Budget,
    /// With so many sessions that did not come back, the rollout stops. At least 1.
    pub max_failures: usize,
    /// A session that is not back after this time has failed.
    pub progress_deadline: Duration,
}

/// How many sessions may be away at once: `"3"`, or `"5%"` of all, rounded down; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// So many.
    Sessions(usize),
    /// So many of a hundred.
    Percent(u8),
}

/// The text is no budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no budget: use a number of sessions from 1, such as 3, or a share of all from 0% to 100%, such as 5%"
)]
pub struct InvalidBudget(String);

impl Budget {
    /// The budget for so many sessions.
    pub fn of(self, sessions: usize) -> usize {
        match self {
            Self::Sessions(number) => number.max(1),
            Self::Percent(share) => (sessions * usize::from(share) / 100).max(1),
        }
    }
}

impl FromStr for Budget {
    type Err = InvalidBudget;

    fn from_str(text: &str) -> Result<Self, InvalidBudget> {
        let read = match text.trim().strip_suffix('%') {
            Some(share) => share.parse().ok().filter(|share| *share <= 100).map(Self::Percent),
            None => text.trim().parse().ok().filter(|number| *number > 0).map(Self::Sessions),
        };
        read.ok_or_else(|| InvalidBudget(text.to_owned()))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sessions(number) => write!(f, "{number}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

/// A session that shall have a pod. Those that are suspended, paused or being deleted are no part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which.
    pub key: SessionKey,
    /// It wants to go first.
    pub canary: bool,
    /// The operator may restart it (`updateStrategy: Recreate`).
    pub automatic: bool,
    /// Its pod, if there is one.
    pub pod: Option<Pod>,
    /// How it does.
    pub health: Health,
    /// The API server refuses it a pod: another one in its namespace would not come back either.
    pub refused: bool,
}

/// A session's pod, as far as a rollout judges it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its UID.
    pub uid: String,
    /// When it was made, by the operator's clock.
    pub created: Timestamp,
    /// It is being deleted.
    pub ending: bool,
    /// It was made from the fleet's present revision: the session has had its turn.
    pub current: bool,
    /// When it was made, its session had been working until shortly before (or there is no telling). A session that had been
    /// broken for longer is no evidence against a revision, nor is a new one with its first pod.
    pub replaced_working: bool,
    /// What it lacks.
    pub change: Change,
}

/// What a pod lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is not known yet: this operator has not looked at the session.
    Unknown,
    /// Nothing.
    None,
    /// What somebody changed in its session's spec.
    Own,
    /// The fleet's present revision.
    Fleet,
}

/// How a session does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Messages flow.
    Up,
    /// It answers, and nothing flows until somebody acts: not linked, logged out, banned. It neither counts nor blocks.
    Idle {
        /// The session program itself gave up: why.
        failing: Option<String>,
    },
    /// It should work and does not.
    Down {
        /// Since when, if that is known.
        since: Option<Timestamp>,
        /// Its pod fails: why.
        failing: Option<String>,
    },
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
