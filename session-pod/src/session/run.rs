//! The session task: collects inputs, steps, has the effects performed, shows the state. See `session.rs`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session_api::SessionStatus;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::fresh::Fresh;
use super::pairing::Codes;
use super::records::Records;
use super::state::clock::Lead;
use super::state::{Ask, Input, Now, Outcome, Refusal, State, Storage, reason, step};
use super::view::{self, Identity};
use super::{Health, Letter, MAILBOX, PASSING, PassingEvent, Reply, Request, Sending, SessionHandle, now_ms};
use crate::metrics::Metrics;
use crate::store::{Draft, Store};
use crate::whatsapp::{Engine, EngineConfig};
use crate::{disk, random};

/// How often the disk is looked at and the heart beats when nothing happens.
const TICK: Duration = Duration::from_secs(5);
/// Ticks between two prunings of the store.
const PRUNE_EVERY: u32 = 60;
/// Inputs that are taken together, and committed together.
const BATCH: usize = 256;

/// What the session task is made of.
pub(crate) struct Setup {
    /// Name, UID and epoch.
    pub identity: Identity,
    /// The store, unless it cannot be used.
    pub store: Option<Arc<Store>>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Floor of free space, bytes.
    pub min_free_bytes: u64,
    /// How to build a client.
    pub engine: EngineConfig,
    /// Whether `ping` is answered when the policy does not say.
    pub default_auto_reply: bool,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

pub(super) enum Ticket {
    Send(Draft, oneshot::Sender<Sending>),
    Request(oneshot::Sender<Reply>),
}

/// The session task.
pub(crate) struct Runner {
    pub(super) setup: Setup,
    pub(super) to_self: mpsc::UnboundedSender<Input>,
    pub(super) passing: broadcast::Sender<PassingEvent>,
    pub(super) engine: Option<Engine>,
    pub(super) tickets: HashMap<u64, Ticket>,
    pub(super) answers: Vec<(oneshot::Sender<Reply>, Result<(), Refusal>)>,
    pub(super) waiting: HashMap<String, Vec<oneshot::Sender<Outcome>>>,
    pub(super) records: Records,
    pub(super) fresh: Fresh,
    /// Whether everything that was handed over last was written, once that is known.
    pub(super) last_batch: Option<oneshot::Receiver<bool>>,
    /// The connection that messages may be written on right now, 0 for none.
    pub(super) line: Arc<AtomicU64>,
    pub(super) done: bool,
    inbox: mpsc::Receiver<Letter>,
    signals: mpsc::UnboundedReceiver<Input>,
    status: watch::Sender<Arc<SessionStatus>>,
    codes: watch::Sender<Codes>,
    health: Arc<Health>,
    lead: Lead,
    next_ticket: u64,
    tick_at: Instant,
    ticks: u32,
    had_room: bool,
}

impl Runner {
    /// The task and the handle to it.
    pub(crate) fn new(setup: Setup, initial: &State) -> (Self, SessionHandle) {
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let (to_self, signals) = mpsc::unbounded_channel();
        let last_event = setup.store.as_ref().map_or(0, |store| *store.newest().borrow());
        let (status, status_seen) =
            watch::channel(Arc::new(view::status(&setup.identity, initial, last_event, 1)));
        let (codes, codes_seen) = watch::channel(Codes::default());
        let passing = broadcast::Sender::new(PASSING);
        let health = Arc::new(Health::default());
        let handle = SessionHandle {
            mailbox,
            status: status_seen,
            codes: codes_seen,
            passing: passing.clone(),
            health: Arc::clone(&health),
        };
        let runner = Self {
            setup,
            to_self,
            passing,
            engine: None,
            tickets: HashMap::new(),
            answers: Vec::new(),
            waiting: HashMap::new(),
            records: Records::default(),
            fresh: Fresh::default(),
            last_batch: None,
            line: Arc::default(),
            done: false,
            inbox,
            signals,
            status,
            codes,
            lead: Lead::of(now_ms(), health.age_ms()),
            health,
            next_ticket: 0,
            tick_at: Instant::now(),
            ticks: 0,
            had_room: true,
        };
        (runner, handle)
    }

    /// Runs until the session has stopped.
    pub(crate) async fn run(mut self, mut state: State) {
        let mut inputs = self.tick(&state).await;
        loop {
            state = self.round(state, inputs).await;
            if self.done {
                break;
            }
            inputs = self.collect(&state).await;
        }
        if let Some(store) = self.setup.store.take()
            && let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.checkpoint()).await
        {
            tracing::warn!(%error, "the write-ahead log was not folded into the store");
        }
    }

    /// Waits for inputs, or for the time that the state or a write asks for.
    async fn collect(&mut self, state: &State) -> Vec<Input> {
        let now = now_ms();
        let wake = state.wake_at(now).map_or(TICK, |at| Duration::from_millis(at.saturating_sub(now)));
        let wake_at = (Instant::now() + wake).min(self.tick_at);
        let wake_at = self.records.due().map_or(wake_at, |due| wake_at.min(due.into()));
        let mut letters = Vec::new();
        let mut inputs = Vec::new();
        tokio::select! {
            _ = self.signals.recv_many(&mut inputs, BATCH) => {}
            _ = self.inbox.recv_many(&mut letters, BATCH) => {}
            () = tokio::time::sleep_until(wake_at) => {}
        }
        self.health.beat();
        // Whatever else has come in meanwhile shares this round, and with it one commit.
        while inputs.len() < BATCH
            && let Ok(input) = self.signals.try_recv()
        {
            inputs.push(input);
        }
        while letters.len() < BATCH
            && let Ok(letter) = self.inbox.try_recv()
        {
            letters.push(letter);
        }
        for letter in letters {
            inputs.push(self.open_letter(letter));
        }
        if Instant::now() >= self.tick_at {
            // What the tick reads from the store is older than what was heard and is taken in the same round.
            let heard = std::mem::replace(&mut inputs, self.tick(state).await);
            inputs.extend(heard);
        }
        if inputs.is_empty() {
            inputs.push(Input::Tick);
        }
        inputs
    }

    fn open_letter(&mut self, letter: Letter) -> Input {
        let (ask, ticket) = match letter {
            Letter::Stop => return Input::Stop,
            Letter::Send(draft, reply) => {
                (Ask::Send { id: draft.id.clone(), to: draft.to.clone() }, Ticket::Send(draft, reply))
            }
            Letter::Request(request, reply) => (ask(request), Ticket::Request(reply)),
        };
        self.next_ticket += 1;
        self.tickets.insert(self.next_ticket, ticket);
        Input::Ask { ticket: self.next_ticket, ask }
    }

    /// Looks at the disk, tries a broken store again, prunes.
    async fn tick(&mut self, state: &State) -> Vec<Input> {
        self.tick_at = Instant::now() + TICK;
        self.ticks = self.ticks.wrapping_add(1);
        if let Some(engine) = &self.engine {
            self.health.saver_halted.store(engine.saver_halted(), Ordering::Relaxed);
            self.setup.metrics.observe_engine(&engine.figures());
        }
        let Some(store) = self.setup.store.clone() else { return vec![Input::Tick] };
        let free = disk::free_bytes(&self.setup.data_dir);
        self.had_room = disk::has_room(free, self.setup.min_free_bytes, self.had_room);
        if !self.had_room {
            let message = format!(
                "the volume has less than {} bytes left: nothing is read from WhatsApp until there is room again",
                self.setup.min_free_bytes
            );
            return vec![Input::StorageFailed(reason("disk_full", message))];
        }
        if matches!(state.storage, Storage::Unwritable(_)) {
            return vec![self.recover(store).await];
        }
        if !self.ticks.is_multiple_of(PRUNE_EVERY) {
            return vec![Input::Tick];
        }
        match tokio::task::spawn_blocking(move || store.prune(now_ms())).await {
            Ok(Err(error)) => vec![Input::StorageFailed(error.reason())],
            Ok(Ok(())) | Err(_) => vec![Input::Tick],
        }
    }

    /// Steps through the inputs and whatever they lead to.
    async fn round(&mut self, mut state: State, mut inputs: Vec<Input>) -> State {
        while !inputs.is_empty() {
            let mut effects = Vec::new();
            let now = Now { ms: now_ms(), roll: random::per_mille() };
            if let Some(by_ms) = self.lead.moved(now.ms, self.health.age_ms()) {
                tracing::info!(by_ms, "the machine's clock was set");
                state = state.clock_set(by_ms);
            }
            for input in inputs.drain(..) {
                let (next, caused) = step(state, input, now);
                state = next;
                effects.extend(caused);
            }
            self.line.store(state.line().unwrap_or(0), Ordering::Release);
            inputs = self.perform(effects).await;
            self.publish(&state);
        }
        state
    }

    /// The status and its changes, for those who wait for one.
    pub(super) fn status_seen(&self) -> watch::Receiver<Arc<SessionStatus>> {
        self.status.subscribe()
    }

    /// Shows the state, then answers those who asked for a change of it.
    fn publish(&mut self, state: &State) {
        let last_event = self.setup.store.as_ref().map_or(0, |store| *store.newest().borrow());
        let identity = &self.setup.identity;
        self.status.send_if_modified(|shown| {
            let next = view::status(identity, state, last_event, shown.revision);
            let changed = next != **shown;
            if changed {
                *shown = Arc::new(SessionStatus { revision: shown.revision + 1, ..next });
            }
            changed
        });
        self.codes.send_if_modified(|shown| {
            let changed = *shown != state.codes;
            shown.clone_from(&state.codes);
            changed
        });
        let answers = state.config.policy.auto_reply.unwrap_or(self.setup.default_auto_reply);
        self.setup.engine.auto_reply.store(answers, Ordering::Relaxed);
        self.setup.metrics.observe(state.phase, state.outbox.depth());
        let shown = self.status.borrow().clone();
        for (reply, result) in self.answers.drain(..) {
            let answer = match result {
                Ok(()) => Reply::Status(Arc::clone(&shown)),
                Err(refusal) => Reply::Refused(refusal),
            };
            // Nobody may wait any more.
            let _gone = reply.send(answer);
        }
    }
}

fn ask(request: Request) -> Ask {
    match request {
        Request::StartPairing => Ask::StartPairing,
        Request::StopPairing => Ask::StopPairing,
        Request::PairingCode(phone) => Ask::PairingCode { phone },
        Request::Logout => Ask::Logout,
        Request::Configure(push) => Ask::Configure(push),
    }
}

#[cfg(test)]
mod tests;
