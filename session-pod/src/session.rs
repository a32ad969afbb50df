//! The one task that owns the session: input → [`state::step`] → effects, and the handle that the rest of the process talks to.
//!
//! All writes of a round are committed in one transaction before anything else of that round happens, so nobody hears of
//! what is not on disk. Only records of what WhatsApp told may follow a moment later, with the next commit that succeeds: a crash
//! before it sends again under the same id. It decides nothing itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use session_api::{ConfigPush, EventData, PairingCode, QrCode, SessionStatus};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::store::{Draft, OutboxRow};

mod cooldown;
mod disconnect;
mod effects;
mod fresh;
mod input;
mod outbox;
mod pace;
mod pairing;
mod records;
mod recovery;
mod run;
pub(crate) mod state;
mod view;
mod vocabulary;

pub(crate) use cooldown::{Cooldowns, MAX_COOLDOWN_MS, asked as asked_cooldown};
pub(crate) use disconnect::Ending;
pub(crate) use pace::MAX_PACE_MS;
use pairing::Codes;
pub(crate) use run::{Runner, Setup};
use state::{Outcome, Refusal};
pub(crate) use view::Identity;

/// Requests that may wait for the session task.
const MAILBOX: usize = 1_024;
/// Events that pass by without being kept, per listener.
const PASSING: usize = 64;

/// Something for the session task.
#[derive(Debug)]
pub(crate) enum Letter {
    /// Stop gracefully.
    Stop,
    /// A send, with who waits for it.
    Send(Draft, oneshot::Sender<Sending>),
    /// Another request, with who waits for it.
    Request(Request, oneshot::Sender<Reply>),
}

/// Requests that are answered with the status, or a pairing code.
#[derive(Debug)]
pub(crate) enum Request {
    /// Start pairing.
    StartPairing,
    /// Stop pairing.
    StopPairing,
    /// A pairing code for this number, digits only.
    PairingCode(String),
    /// Remove the device from the account.
    Logout,
    /// New configuration.
    Configure(ConfigPush),
}

/// Answer to a [`Request`].
#[derive(Debug)]
pub(crate) enum Reply {
    /// Done; the status afterwards.
    Status(Arc<SessionStatus>),
    /// The pairing code.
    Code(Secret<PairingCode>),
    /// Not done.
    Refused(Refusal),
    /// WhatsApp gave no pairing code.
    NoCode(CodeError),
}

/// Something that no log may show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret<T>(pub T);

impl<T> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Why WhatsApp gave no pairing code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CodeError {
    /// The number cannot be one.
    InvalidPhone(String),
    /// One is on show already, for so many milliseconds more.
    Outstanding(u64),
    /// Too many were asked for; WhatsApp names a pause, or we do.
    Throttled(u64),
    /// The account cannot be linked by code.
    Unavailable,
    /// Anything else.
    Failed(String),
}

/// What became of a [`Letter::Send`].
#[derive(Debug)]
pub(crate) enum Sending {
    /// It is in the outbox; the receiver hears the outcome.
    Queued(oneshot::Receiver<Outcome>),
    /// A send with this id was there; the receiver hears the outcome if it still waits.
    Known(OutboxRow, Option<oneshot::Receiver<Outcome>>),
    /// It was not taken.
    Refused(Refusal),
}

/// How the rest of the process talks to the session task. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SessionHandle {
    mailbox: mpsc::Sender<Letter>,
    status: watch::Receiver<Arc<SessionStatus>>,
    codes: watch::Receiver<Codes>,
    passing: broadcast::Sender<PassingEvent>,
    health: Arc<Health>,
}

/// An event that is not kept, and when it happened.
pub(crate) type PassingEvent = (u64, EventData);

/// Signs of life. Their clock is one that nobody can set.
#[derive(Debug)]
pub(crate) struct Health {
    begun: Instant,
    /// Milliseconds after the beginning.
    heartbeat: AtomicU64,
    saver_halted: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        Self { begun: Instant::now(), heartbeat: AtomicU64::new(0), saver_halted: AtomicBool::new(false) }
    }
}

impl Health {
    fn beat(&self) {
        self.heartbeat.store(self.age_ms(), Ordering::Relaxed);
    }

    /// How long the session has been there.
    fn age_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long ago the session task was last seen working, milliseconds.
    pub(crate) fn silent_ms(&self) -> u64 {
        self.age_ms().saturating_sub(self.heartbeat.load(Ordering::Relaxed))
    }

    /// Whether the client has given up saving its keys.
    pub(crate) fn saver_halted(&self) -> bool {
        self.saver_halted.load(Ordering::Relaxed)
    }
}

/// The session task is gone: the process is about to end.
#[derive(Debug, thiserror::Error)]
#[error("the session has stopped")]
pub(crate) struct Stopped;

impl SessionHandle {
    /// Asks for something.
    ///
    /// # Errors
    /// The session task has ended.
    pub(crate) async fn request(&self, request: Request) -> Result<Reply, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(Letter::Request(request, reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Hands a send over.
    ///
    /// # Errors
    /// The session task has ended.
    pub(crate) async fn send(&self, draft: Draft) -> Result<Sending, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(Letter::Send(draft, reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks the session to stop gracefully.
    pub(crate) async fn stop(&self) {
        // A closed mailbox means that it has stopped already.
        let _stopped = self.mailbox.send(Letter::Stop).await;
    }

    /// The status, and its changes.
    pub(crate) fn status(&self) -> watch::Receiver<Arc<SessionStatus>> {
        self.status.clone()
    }

    /// The QR code on show.
    pub(crate) fn qr(&self) -> Option<QrCode> {
        self.codes.borrow().qr.clone()
    }

    /// The pairing code on show.
    pub(crate) fn pairing_code(&self) -> Option<PairingCode> {
        self.codes.borrow().code.clone()
    }

    /// Events that are not kept, from now on.
    pub(crate) fn passing(&self) -> broadcast::Receiver<PassingEvent> {
        self.passing.subscribe()
    }

    /// Signs of life of the session task and the client.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }
}

/// Unix milliseconds now.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn silence_is_counted_from_the_last_sign_of_life() {
        let begun = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let health = Health { begun, ..Health::default() };
        assert!(health.silent_ms() >= 100_000);
        health.beat();
        assert!(health.silent_ms() < 50_000);
    }
}
