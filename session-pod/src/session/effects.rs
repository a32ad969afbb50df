//! Performs the effects of a round: commits its writes in one transaction, then does the rest.

use std::sync::Arc;
use std::time::Instant;

use session_api::{EventData, ProxyUrl, Reason};
use tokio::sync::oneshot;

use super::fresh::Outgoing;
use super::run::{Runner, Ticket};
use super::state::{Effect, Input, Outcome, Refusal, Signal, Transmission, reason};
use super::{Reply, Secret, Sending, now_ms};
use crate::config;
use crate::store::{Draft, Progress, Store, Write, Written, wipe};
use crate::whatsapp::Engine;

/// Writes of a round, and who waits for a send among them.
#[derive(Default)]
struct Commit {
    writes: Vec<Write>,
    senders: Vec<(usize, Draft, oneshot::Sender<Sending>)>,
}

impl Runner {
    /// Commits the writes of a round, then does the rest.
    pub(super) async fn perform(&mut self, effects: Vec<Effect>) -> Vec<Input> {
        let now = Instant::now();
        let mut commit = Commit::default();
        let mut rest = Vec::new();
        for effect in effects {
            if let Effect::Write(write) = effect {
                commit.writes.push(write);
            } else if let Effect::Record(write) = effect {
                self.records.add(write, now);
            } else if let Effect::Accept(ticket) = effect {
                self.accept(ticket, &mut commit);
            } else {
                rest.push(effect);
            }
        }
        let ends = rest.contains(&Effect::Exit);
        let (mut follow, failure) = match self.commit(commit, ends).await {
            Ok(inputs) => (inputs, None),
            Err(why) => (vec![Input::StorageFailed(why.clone())], Some(why)),
        };
        for effect in rest {
            match &failure {
                None => self.act(effect),
                Some(why) => follow.extend(self.act_uncommitted(effect, why)),
            }
        }
        follow
    }

    fn accept(&mut self, ticket: u64, commit: &mut Commit) {
        if let Some(Ticket::Send(draft, reply)) = self.tickets.remove(&ticket) {
            commit.senders.push((commit.writes.len(), draft.clone(), reply));
            commit.writes.push(Write::Accept(draft));
        }
    }

    /// One transaction for all writes of the round, and for the records before them when there is one or it is time.
    /// Those who wait for a send are told at once what became of it.
    async fn commit(&mut self, commit: Commit, ends: bool) -> Result<Vec<Input>, Reason> {
        let Commit { writes, senders } = commit;
        if writes.is_empty() && !ends && !self.records.are_due(Instant::now()) {
            return Ok(Vec::new());
        }
        let records = self.records.take();
        if records.is_empty() && writes.is_empty() {
            return Ok(Vec::new());
        }
        let first = records.len();
        let all: Arc<[Write]> = records.into_iter().chain(writes).collect();
        match self.write(Arc::clone(&all)).await {
            Ok(mut written) => {
                let mut own = written.drain(first..).map(Some).collect::<Vec<_>>();
                let told = senders.into_iter().filter_map(|(place, draft, reply)| {
                    let written = own.get_mut(place).and_then(Option::take)?;
                    self.taken(draft, reply, written)
                });
                Ok(told.collect())
            }
            Err(why) => {
                self.keep_records(&all[..first]);
                for (_, _, reply) in senders {
                    Self::refuse_send(reply, Refusal::Store(why.clone()));
                }
                Err(why)
            }
        }
    }

    async fn write(&self, writes: Arc<[Write]>) -> Result<Vec<Written>, Reason> {
        let Some(store) = self.setup.store.clone() else {
            return Err(reason("store_unwritable", "the store could not be opened"));
        };
        let result = tokio::task::spawn_blocking(move || store.write(&writes, now_ms())).await;
        match result {
            Ok(Ok(written)) => Ok(written),
            Ok(Err(error)) => {
                tracing::error!(%error, "the store does not take writes");
                Err(error.reason())
            }
            Err(_) => Err(reason("store_unwritable", "the store stopped answering")),
        }
    }

    /// Performs one effect.
    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::StartEngine { generation, proxy } => self.start_engine(generation, proxy.as_ref()),
            Effect::StopEngine(generation) => self.stop_engine(generation),
            Effect::Logout(ticket) => self.log_out(ticket),
            Effect::RequestCode { ticket, phone } => self.request_code(ticket, phone),
            Effect::Wipe => self.wipe(),
            Effect::Transmit { generation, ids, behind } => self.transmit(generation, ids, behind),
            Effect::Answer(ticket, result) => self.answer(ticket, result),
            Effect::Resolve { id, outcome } => self.resolve(&id, &outcome),
            Effect::Announce(event) => self.announce(event),
            Effect::Exit => self.done = true,
            Effect::Write(_) | Effect::Record(_) | Effect::Accept(_) => {}
        }
    }

    /// Performs an effect of a round whose writes failed: only what depends on nothing that was to be written.
    fn act_uncommitted(&mut self, effect: Effect, why: &Reason) -> Option<Input> {
        match effect {
            Effect::StartEngine { .. }
            | Effect::StopEngine(_)
            | Effect::RequestCode { .. }
            | Effect::Answer(_, Err(_))
            | Effect::Announce(_)
            // Its record is kept.
            | Effect::Resolve { outcome: Outcome::Sent, .. }
            | Effect::Exit => self.act(effect),
            Effect::Answer(ticket, Ok(())) | Effect::Logout(ticket) => {
                self.answer(ticket, Err(Refusal::Store(why.clone())));
            }
            Effect::Wipe => return Some(Input::Wiped(Err(why.clone()))),
            Effect::Transmit { .. }
            | Effect::Resolve { outcome: Outcome::Failed(_), .. }
            | Effect::Write(_)
            | Effect::Record(_)
            | Effect::Accept(_) => {}
        }
        None
    }

    fn start_engine(&mut self, generation: u64, proxy: Option<&ProxyUrl>) {
        let Some(store) = self.setup.store.clone() else { return };
        let mut config = self.setup.engine.clone();
        match proxy.map(|url| config::proxy(&url.0)).transpose() {
            Ok(pushed) => config.proxy = pushed.or(config.proxy),
            // Never straight to WhatsApp when a proxy is asked for.
            Err(error) => {
                let reason = reason("client_failed", format!("cannot use the proxy: {error}"));
                self.tell(Input::Engine { generation, signal: Signal::Broken { reason, passing: true } });
                return;
            }
        }
        self.engine = Some(Engine::start(config, generation, store, self.to_self.clone()));
        self.setup.metrics.connects.inc();
    }

    fn stop_engine(&mut self, generation: u64) {
        match self.engine.take().filter(|engine| engine.generation() == generation) {
            Some(engine) => engine.stop(),
            None => self.tell(Input::Engine { generation, signal: Signal::Gone }),
        }
    }

    fn log_out(&mut self, ticket: u64) {
        let Some(Ticket::Request(reply)) = self.tickets.remove(&ticket) else { return };
        let Some(engine) = self.engine.clone() else {
            self.answers.push((reply, Err(Refusal::NotReady)));
            return;
        };
        let mut status = self.status_seen();
        tokio::spawn(async move {
            engine.log_out().await;
            // The state follows from what the client says; give it a moment to show.
            let gone = status.wait_for(|status| status.state == session_api::SessionState::LoggedOut);
            let _seen = tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.is_ok();
            let shown = std::sync::Arc::clone(&status.borrow());
            // Nobody may wait any more.
            let _gone = reply.send(Reply::Status(shown));
        });
    }

    fn request_code(&mut self, ticket: u64, phone: String) {
        let Some(Ticket::Request(reply)) = self.tickets.remove(&ticket) else { return };
        let Some(engine) = self.engine.clone() else {
            self.answers.push((reply, Err(Refusal::NotReady)));
            return;
        };
        let to_self = self.to_self.clone();
        tokio::spawn(async move {
            let answer = match engine.pairing_code(phone).await {
                Ok(code) => {
                    let signal = Signal::Code(Secret(code.clone()));
                    let _stopped = to_self.send(Input::Engine { generation: engine.generation(), signal });
                    Reply::Code(Secret(code))
                }
                Err(error) => Reply::NoCode(error),
            };
            let _gone = reply.send(answer);
        });
    }

    fn wipe(&self) {
        let (directory, to_self) = (self.setup.data_dir.clone(), self.to_self.clone());
        tokio::task::spawn_blocking(move || {
            let result = wipe(&directory).map_err(|error| {
                reason("store_unwritable", format!("the old credentials cannot be deleted: {error}"))
            });
            let _stopped = to_self.send(Input::Wiped(result));
        });
    }

    fn transmit(&mut self, generation: u64, ids: Vec<String>, behind: bool) {
        let (Some(engine), Some(store)) = (self.engine.clone(), self.setup.store.clone()) else { return };
        let (to_self, metrics) = (self.to_self.clone(), Arc::clone(&self.setup.metrics));
        let kept: Vec<_> = ids.into_iter().map(|id| (self.fresh.take(&id), id)).collect();
        let (done, all_written) = oneshot::channel();
        let before = self.last_batch.replace(all_written).filter(|_| behind);
        tokio::spawn(async move {
            let mut written = match before {
                Some(before) => before.await.unwrap_or(false),
                None => true,
            };
            for (fresh, id) in kept {
                let result = match fresh {
                    _ if !written => Transmission::Held,
                    Some(Outgoing { to, message }) => engine.transmit(&id, &to, &message).await,
                    None => match stored(&store, &id).await {
                        Ok(Some((to, message))) => engine.transmit(&id, &to, &message).await,
                        Ok(None) => {
                            Transmission::Impossible(reason("not_stored", "the message is not in the store"))
                        }
                        Err(why) => {
                            let _stopped = to_self.send(Input::StorageFailed(why));
                            Transmission::Held
                        }
                    },
                };
                written = result == Transmission::Written;
                metrics.transmitted(&result);
                let signal = Signal::Transmitted { id, result };
                let _stopped = to_self.send(Input::Engine { generation, signal });
            }
            // Nobody may stand behind it.
            let _last = done.send(written);
        });
    }

    fn answer(&mut self, ticket: u64, result: Result<(), Refusal>) {
        match (self.tickets.remove(&ticket), result) {
            (Some(Ticket::Request(reply)), result) => self.answers.push((reply, result)),
            (Some(Ticket::Send(_, reply)), Err(refusal)) => Self::refuse_send(reply, refusal),
            (Some(Ticket::Send(..)), Ok(())) | (None, _) => {}
        }
    }

    fn refuse_send(reply: oneshot::Sender<Sending>, refusal: Refusal) {
        // Nobody may wait any more.
        let _gone = reply.send(Sending::Refused(refusal));
    }

    /// A send was committed: tells who waits, and the state if the send is new.
    fn taken(&mut self, draft: Draft, reply: oneshot::Sender<Sending>, written: Written) -> Option<Input> {
        let (answer, input) = match written {
            Written::Known(row) if row.progress != Progress::Queued => (Sending::Known(row, None), None),
            Written::Known(row) => (Sending::Known(row, Some(self.listen(draft.id))), None),
            Written::Accepted | Written::Done => {
                self.setup.metrics.accepted.inc();
                let stored = Input::Stored { id: draft.id.clone(), to: draft.to.clone() };
                let heard = self.listen(draft.id.clone());
                self.fresh.keep(draft);
                (Sending::Queued(heard), Some(stored))
            }
        };
        let _gone = reply.send(answer);
        input
    }

    fn listen(&mut self, id: String) -> oneshot::Receiver<Outcome> {
        let (outcome, heard) = oneshot::channel();
        let waiting = self.waiting.entry(id).or_default();
        waiting.retain(|sender| !sender.is_closed());
        waiting.push(outcome);
        heard
    }

    fn resolve(&mut self, id: &str, outcome: &Outcome) {
        self.setup.metrics.settled(outcome);
        self.fresh.take(id);
        for waiting in self.waiting.remove(id).unwrap_or_default() {
            let _gone = waiting.send(outcome.clone());
        }
    }

    fn announce(&self, event: EventData) {
        // Nobody may listen.
        let _listeners = self.passing.send((now_ms(), event));
    }

    fn tell(&self, input: Input) {
        // The task hears itself as long as it runs.
        let _stopped = self.to_self.send(input);
    }
}

/// Recipient and message of a send, as the store has them.
async fn stored(store: &Arc<Store>, id: &str) -> Result<Option<(String, Vec<u8>)>, Reason> {
    let (store, wanted) = (Arc::clone(store), id.to_owned());
    match tokio::task::spawn_blocking(move || store.message(&wanted)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!(%error, "the store cannot be read");
            Err(error.reason())
        }
        Err(_) => Err(reason("store_unwritable", "the store stopped answering")),
    }
}
