//! Performs the effects of a round: has its writes committed, then does the rest.

use std::time::Instant;

use session_api::{EventData, ProxyUrl, Reason};

use super::run::{Runner, Ticket};
use super::state::{Effect, Input, Outcome, Refusal, Signal, reason};
use super::{Reply, Secret, now_ms};
use crate::config;
use crate::store::wipe;
use crate::whatsapp::Engine;

mod commit;
mod transmit;

use commit::Commit;

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

    /// Performs one effect.
    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::StartEngine { generation, proxy } => self.start_engine(generation, proxy.as_ref()),
            Effect::StopEngine(generation) => self.stop_engine(generation),
            Effect::Logout(ticket) => self.log_out(ticket),
            Effect::RequestCode { ticket, phone } => self.request_code(ticket, phone),
            Effect::Wipe => self.wipe(),
            Effect::Transmit { generation, connection, ids, behind } => {
                self.transmit((generation, connection), ids, behind);
            }
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

    fn answer(&mut self, ticket: u64, result: Result<(), Refusal>) {
        match (self.tickets.remove(&ticket), result) {
            (Some(Ticket::Request(reply)), result) => self.answers.push((reply, result)),
            (Some(Ticket::Send(_, reply)), Err(refusal)) => Self::refuse_send(reply, refusal),
            (Some(Ticket::Send(..)), Ok(())) | (None, _) => {}
        }
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
