//! What a session's status is to the public: from what its directory and its process say.
//!
//! Comes in: where the process stands ([`Runtime`]) and what it last said of itself. Goes out: a [`View`]. Pure.

use std::fmt;

use serde::Serialize;
use session_api::{Account, Reason, SessionState, SessionStatus};
use utoipa::ToSchema;

use crate::directory::Runtime;

/// A session's status as the public API names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublicStatus {
    /// Its process starts, or has not connected yet.
    Starting,
    /// It waits for a phone to scan its QR code or to take its pairing code.
    Qr,
    /// Connected: messages flow.
    Open,
    /// The connection or the process is gone for a passing reason.
    Reconnecting,
    /// It ended and waits for somebody to start it: nobody scanned, or another client took over (`lastError` tells).
    Closed,
    /// The device was removed from the account; starting it pairs anew.
    LoggedOut,
    /// Told to stop.
    Suspended,
    /// It cannot run (`lastError` tells why).
    Failed,
    /// The account demands a passkey to link a device.
    PasskeyRequired,
}

impl PublicStatus {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Qr => "qr",
            Self::Open => "open",
            Self::Reconnecting => "reconnecting",
            Self::Closed => "closed",
            Self::LoggedOut => "logged_out",
            Self::Suspended => "suspended",
            Self::Failed => "failed",
            Self::PasskeyRequired => "passkey_required",
        }
    }

    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Starting,
        Self::Qr,
        Self::Open,
        Self::Reconnecting,
        Self::Closed,
        Self::LoggedOut,
        Self::Suspended,
        Self::Failed,
        Self::PasskeyRequired,
    ];

    /// Whether it stays so until somebody acts.
    pub const fn is_ended(self) -> bool {
        matches!(
            self,
            Self::Closed | Self::LoggedOut | Self::Suspended | Self::Failed | Self::PasskeyRequired
        )
    }
}

impl fmt::Display for PublicStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a session's process last said, and whether it can still be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What it said.
    pub status: SessionStatus,
    /// Whether the process that said it is the one that runs now, and answers.
    pub current: bool,
}

/// What the public sees of a session's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its status.
    pub status: PublicStatus,
    /// Since when, Unix milliseconds, when known.
    pub since: Option<u64>,
    /// The account, once paired.
    pub me: Option<Account>,
    /// Why it is not open, or what went wrong last.
    pub last_error: Option<Reason>,
}

/// How a session looks from outside.
pub fn view(runtime: &Runtime, heard: Option<&Heard>) -> View {
    let me = heard.and_then(|heard| heard.status.me.clone());
    let (status, since, last_error) = match runtime {
        Runtime::Stopped { since } | Runtime::Stopping { since } => {
            (PublicStatus::Suspended, Some(*since), None)
        }
        Runtime::Starting { since, reason } => (passing(heard), Some(*since), reason.clone()),
        Runtime::Waiting { since, reason, .. } => (passing(heard), Some(*since), Some(reason.clone())),
        Runtime::Failed { since, reason } => (PublicStatus::Failed, Some(*since), Some(reason.clone())),
        Runtime::Running { since, .. } => match heard {
            Some(Heard { status, current: true }) => {
                (public(status.state), Some(status.since), status.reason.clone())
            }
            Some(Heard { current: false, .. }) | None => (passing(heard), Some(*since), None),
        },
    };
    View { status, since, me, last_error }
}

/// A process that does not answer just now: one that was paired is expected back, any other begins.
fn passing(heard: Option<&Heard>) -> PublicStatus {
    if heard.is_some_and(|heard| heard.status.paired) {
        PublicStatus::Reconnecting
    } else {
        PublicStatus::Starting
    }
}

const fn public(state: SessionState) -> PublicStatus {
    match state {
        SessionState::Starting => PublicStatus::Starting,
        SessionState::AwaitingPairing => PublicStatus::Qr,
        SessionState::Open => PublicStatus::Open,
        SessionState::Reconnecting => PublicStatus::Reconnecting,
        SessionState::LoggedOut => PublicStatus::LoggedOut,
        SessionState::Replaced | SessionState::QrExpired | SessionState::Stopping => PublicStatus::Closed,
        SessionState::Banned | SessionState::Outdated | SessionState::Failed => PublicStatus::Failed,
        SessionState::PasskeyRequired => PublicStatus::PasskeyRequired,
    }
}

/// What starting a session means, given where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAction {
    /// It runs: nothing.
    Nothing,
    /// It is suspended: run it.
    Resume,
    /// It ended for good: ask its process to connect with good credentials once more, or to pair anew.
    Pair,
    /// Its process or its store has failed: start the process afresh.
    Restart,
}

/// Decides what starting a session means.
pub fn start_action(runtime: &Runtime, heard: Option<&Heard>) -> StartAction {
    match runtime {
        Runtime::Stopped { .. } | Runtime::Stopping { .. } => StartAction::Resume,
        Runtime::Starting { .. } => StartAction::Nothing,
        Runtime::Waiting { .. } | Runtime::Failed { .. } => StartAction::Restart,
        Runtime::Running { .. } => match heard {
            Some(Heard { status, current: true }) => start_in(status.state),
            Some(Heard { current: false, .. }) | None => StartAction::Nothing,
        },
    }
}

const fn start_in(state: SessionState) -> StartAction {
    match state {
        SessionState::QrExpired
        | SessionState::LoggedOut
        | SessionState::Replaced
        | SessionState::Banned
        | SessionState::Outdated
        | SessionState::PasskeyRequired => StartAction::Pair,
        SessionState::Failed => StartAction::Restart,
        SessionState::Starting
        | SessionState::AwaitingPairing
        | SessionState::Open
        | SessionState::Reconnecting
        | SessionState::Stopping => StartAction::Nothing,
    }
}

#[cfg(test)]
mod tests;
