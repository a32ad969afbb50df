//! The session as one pure function: [`step`] takes the state, an input and the time, and gives the next state and the effects.
//!
//! No I/O, no clock, no randomness; those come in as values. `session.rs` performs the effects.

use session_api::{Account, ConfigPush, EventData, QrCode, Reason, SessionState};

use super::cooldown::Cooldowns;
use super::disconnect::{Ending, restart_pause};
use super::outbox::Outbox;
use super::pairing::{self, Codes};
pub(crate) use super::vocabulary::{Ask, Effect, Found, Input, Outcome, Refusal, Signal, Transmission};
use super::{input, pace, view};
use crate::store::{Link, Write};

mod boot;
pub(crate) mod clock;
mod sends;

/// How long a stop waits for sends that are on the way, milliseconds.
pub(crate) const DRAIN_MS: u64 = 10_000;

/// The time, and a random number for this step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Unix milliseconds.
    pub ms: u64,
    /// 0 to 999.
    pub roll: u32,
}

/// Everything that the session remembers while it runs.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; together they are no enum")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    /// Where the session stands.
    pub phase: SessionState,
    /// Since when.
    pub since: u64,
    /// Why it is not open, or what went wrong last.
    pub reason: Option<Reason>,
    /// What it is linked to.
    pub link: Link,
    /// The account as the running client knows it.
    pub me: Option<Account>,
    /// Codes that wait for a phone.
    pub codes: Codes,
    /// Sends that wait.
    pub outbox: Outbox,
    /// Who was written to lately.
    pub cooldowns: Cooldowns,
    /// The configuration in force.
    pub config: ConfigPush,
    /// Its hash; none when nothing was pushed, or when it must be pushed again.
    pub config_hash: Option<String>,
    /// Whether the store takes writes.
    pub storage: Storage,
    /// The client.
    pub engine: Engine,
    /// Whether the client is logged in right now.
    pub connected: bool,
    /// A connection was opened and nothing has come of it yet.
    pub dialing: bool,
    /// The credentials of a paired session are gone.
    pub credentials_lost: bool,
    /// Whether `session_open` was announced since the last terminal state.
    pub announced: bool,
    /// When a stop stops waiting.
    pub stop_at: Option<u64>,
    /// The stop has nothing to wait for any more.
    pub drained: bool,
    /// A wipe is under way.
    pub wiping: bool,
    /// Counts the connections, over all clients.
    connection: u64,
    generation: u64,
    failures: u32,
    start_at: u64,
    send_at: u64,
}

/// The client that speaks WhatsApp's protocol. A finished one cannot be started again; each start is a new generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// None.
    Off,
    /// This one.
    Running(u64),
    /// This one, on its way out.
    Stopping(u64),
}

/// Whether the store takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Storage {
    /// It does.
    Writable,
    /// It does not, for a reason that may pass: it is tried again.
    Unwritable(Reason),
    /// It is damaged: the session stays as it is until somebody repairs the volume.
    Broken,
}

impl State {
    fn new(now: u64) -> Self {
        Self {
            phase: SessionState::Starting,
            since: now,
            reason: None,
            link: Link::Unpaired,
            me: None,
            codes: Codes::default(),
            outbox: Outbox::default(),
            cooldowns: Cooldowns::default(),
            config: ConfigPush::default(),
            config_hash: None,
            storage: Storage::Writable,
            engine: Engine::Off,
            connected: false,
            dialing: false,
            credentials_lost: false,
            announced: false,
            stop_at: None,
            drained: false,
            wiping: false,
            connection: 0,
            generation: 0,
            failures: 0,
            start_at: 0,
            send_at: 0,
        }
    }

    /// Whether the store holds the credentials of a paired device.
    pub(crate) fn is_paired(&self) -> bool {
        self.link.account().is_some() && !self.credentials_lost
    }

    /// The connection that messages may be written on right now.
    pub(crate) fn line(&self) -> Option<u64> {
        self.connected.then_some(self.connection)
    }

    /// Whether this is the newest connection, there still or not.
    pub(super) fn counts(&self, connection: u64) -> bool {
        self.connection == connection
    }

    /// When the state is to be looked at again without an input.
    pub(crate) fn wake_at(&self, now: u64) -> Option<u64> {
        let sends = (self.connected && self.storage == Storage::Writable)
            .then(|| {
                self.outbox.wake_at(pace::ahead(&self.config.policy), now).map(|at| at.max(self.send_at))
            })
            .flatten();
        let start = (self.wants_engine() && self.engine == Engine::Off).then_some(self.start_at);
        let stop = self.stop_at.filter(|_| !self.drained);
        sends.into_iter().chain(start).chain(self.codes.wake_at()).chain(stop).min()
    }

    pub(super) fn enter(&mut self, phase: SessionState, reason: Option<Reason>, now: u64) {
        let phase = if self.stop_at.is_some() { SessionState::Stopping } else { phase };
        if self.phase != phase {
            self.phase = phase;
            self.since = now;
        }
        self.reason = reason;
    }

    fn wants_engine(&self) -> bool {
        !self.phase.is_terminal()
            && self.storage == Storage::Writable
            && self.link != Link::Wiping
            && !self.drained
    }

    /// Whether a stop has nothing to wait for.
    fn is_drained(&self, now: u64) -> bool {
        self.stop_at.is_some_and(|at| now >= at || !self.connected || !self.outbox.is_busy(now))
    }

    /// The session comes to a terminal end.
    pub(super) fn end(&mut self, ending: &Ending, now: u64) -> Vec<Effect> {
        let (phase, reason) = ending.verdict();
        self.connected = false;
        self.codes.clear();
        let mut effects = Vec::new();
        if phase == SessionState::LoggedOut {
            self.link = Link::Removed;
            self.me = None;
            effects.push(Effect::Write(Write::Link(Link::Removed)));
            effects.extend(self.give_up_all(&reason));
        }
        if let (SessionState::Replaced, Link::Paired { me }) = (phase, &self.link) {
            self.link = Link::Replaced { me: me.clone() };
            effects.push(Effect::Write(Write::Link(self.link.clone())));
        }
        if std::mem::take(&mut self.announced) {
            let closed = EventData::SessionClosed { state: phase, reason: Some(reason.clone()) };
            effects.push(Effect::Write(Write::Append(closed)));
        }
        self.enter(phase, Some(reason), now);
        effects
    }

    pub(super) fn stop_codes(&mut self) {
        self.codes.clear();
    }

    pub(super) fn restart_now(&mut self) {
        self.failures = 0;
        self.start_at = 0;
    }

    pub(super) fn engine_gone(&mut self, failed: bool, now: u64) {
        self.engine = Engine::Off;
        self.connected = false;
        self.codes.clear();
        self.outbox.put_all_back();
        self.failures = if failed { self.failures + 1 } else { 0 };
        self.start_at = now + restart_pause(self.failures);
        if self.phase == SessionState::Open {
            let why = reason("connection_lost", "the client has ended; another one connects");
            self.enter(SessionState::Reconnecting, Some(why), now);
        }
    }

    /// Ends the running client, if there is one.
    pub(super) fn stop_engine(&mut self) -> Option<Effect> {
        let Engine::Running(generation) = self.engine else { return None };
        self.engine = Engine::Stopping(generation);
        self.connected = false;
        self.codes.clear();
        Some(Effect::StopEngine(generation))
    }

    pub(super) fn connected_again(&mut self) {
        self.failures = 0;
        self.connected = true;
        self.connection += 1;
        self.outbox.put_all_back();
    }

    /// Brings the client and the queue in line with what the state asks for.
    fn reconcile(&mut self, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.codes.expire(now.ms) {
            effects.extend(self.stop_engine());
        }
        self.drained |= self.is_drained(now.ms);
        match self.engine {
            Engine::Running(_) if !self.wants_engine() => effects.extend(self.stop_engine()),
            Engine::Off if self.drained => effects.push(Effect::Exit),
            Engine::Off if self.link == Link::Wiping && !self.wiping && self.storage == Storage::Writable => {
                self.wiping = true;
                effects.push(Effect::Wipe);
            }
            Engine::Off if self.wants_engine() && self.start_at <= now.ms => {
                self.generation += 1;
                self.engine = Engine::Running(self.generation);
                let (generation, proxy) = (self.generation, self.config.proxy.clone());
                effects.push(Effect::StartEngine { generation, proxy });
            }
            Engine::Off | Engine::Running(_) | Engine::Stopping(_) => {}
        }
        effects.extend(self.pump(now));
        effects
    }
}

/// One step of the session.
pub(crate) fn step(mut state: State, input: Input, now: Now) -> (State, Vec<Effect>) {
    let before = (state.phase, view::told_reason(&state));
    let mut effects = input::take(&mut state, input, now.ms);
    effects.extend(state.reconcile(now));
    let now = (state.phase, view::told_reason(&state));
    if before != now {
        let status = EventData::Status { state: now.0, reason: now.1 };
        effects.push(Effect::Announce(status));
    }
    (state, effects)
}

/// A QR code as it is shown.
pub(super) fn qr_code(qr: String, valid_ms: u64, now: u64) -> QrCode {
    QrCode { qr, expires_at: now + valid_ms }
}

/// A reason from its code and sentence.
pub(crate) fn reason(code: &str, message: impl Into<String>) -> Reason {
    Reason { code: code.to_owned(), message: message.into() }
}

/// Whether pairing can be started, by the rules of [`pairing`].
pub(super) fn may_start(state: &State) -> pairing::Start {
    let broken = state.storage != Storage::Writable;
    pairing::start(state.phase, &state.link, state.credentials_lost, broken)
}

#[cfg(test)]
mod tests;
