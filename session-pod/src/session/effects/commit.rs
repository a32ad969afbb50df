//! Commits the writes of a round in one transaction, and tells those who wait for a send what became of it.

use std::sync::Arc;
use std::time::Instant;

use session_api::Reason;
use tokio::sync::oneshot;

use crate::session::run::{Runner, Ticket};
use crate::session::state::{Input, Outcome, Refusal, reason};
use crate::session::{Sending, now_ms};
use crate::store::{Draft, Progress, Write, Written};

/// Writes of a round, and who waits for a send among them.
#[derive(Default)]
pub(super) struct Commit {
    pub(super) writes: Vec<Write>,
    senders: Vec<(usize, Draft, oneshot::Sender<Sending>)>,
}

impl Runner {
    /// A send goes into the store with this round.
    pub(super) fn accept(&mut self, ticket: u64, commit: &mut Commit) {
        if let Some(Ticket::Send(draft, reply)) = self.tickets.remove(&ticket) {
            commit.senders.push((commit.writes.len(), draft.clone(), reply));
            commit.writes.push(Write::Accept(draft));
        }
    }

    /// One transaction for all writes of the round, and for the records before them when there is one or it is time.
    /// Those who wait for a send are told at once what became of it.
    pub(super) async fn commit(&mut self, commit: Commit, ends: bool) -> Result<Vec<Input>, Reason> {
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

    /// Tells who waits that a send was not taken.
    pub(super) fn refuse_send(reply: oneshot::Sender<Sending>, refusal: Refusal) {
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
}
