//! The session's part in sending: which sends are taken, what goes out now, what is given up. Pure.

use session_api::Reason;

use super::{Effect, Engine, Now, Outcome, Refusal, State, Storage, reason};
use crate::session::outbox::Verdict;
use crate::session::{cooldown, pace};
use crate::store::{MAX_QUEUED, Write};

impl State {
    /// Whether a send is taken. One that waits already is let through: it will be found and not be taken twice.
    pub(in crate::session) fn admit_send(&mut self, id: &str, to: &str, now: u64) -> Result<(), Refusal> {
        if self.stop_at.is_some() {
            return Err(Refusal::Stopping);
        }
        if let Storage::Unwritable(reason) = &self.storage {
            return Err(Refusal::Store(reason.clone()));
        }
        if self.phase.is_terminal() || !self.is_paired() {
            return Err(Refusal::NotOpen(self.phase));
        }
        if self.outbox.depth() as u64 >= MAX_QUEUED {
            return Err(Refusal::QueueFull);
        }
        match cooldown::asked(&self.config.policy) {
            Some(cooldown) if !self.outbox.holds(id) => {
                self.cooldowns.take(to, id, cooldown, now).map_err(Refusal::Cooldown)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sends what may go out now, and judges what is overdue.
    pub(super) fn pump(&mut self, now: Now) -> Vec<Effect> {
        let Engine::Running(generation) = self.engine else { return Vec::new() };
        let Some(connection) = self.line() else { return Vec::new() };
        let overdue = self.outbox.expire(now.ms);
        let mut effects: Vec<Effect> = overdue.into_iter().flat_map(|verdict| self.judge(verdict)).collect();
        if self.send_at <= now.ms {
            let behind = self.outbox.is_writing();
            let ids = self.outbox.start(pace::ahead(&self.config.policy), now.ms);
            if !ids.is_empty() {
                self.send_at = now.ms + pace::gap(&self.config.policy, now.roll);
                effects.push(Effect::Transmit { generation, connection, ids, behind });
            }
        }
        effects
    }

    pub(in crate::session) fn give_up_all(&mut self, reason: &Reason) -> Vec<Effect> {
        let ids = self.outbox.clear();
        if ids.is_empty() {
            return Vec::new();
        }
        let write = Effect::Write(Write::FailedAll { reason: reason.clone() });
        let outcome = || Outcome::Failed(reason.clone());
        let resolve = ids.into_iter().map(|id| Effect::Resolve { id, outcome: outcome() });
        std::iter::once(write).chain(resolve).collect()
    }

    pub(in crate::session) fn give_up(&mut self, id: String, reason: Reason) -> Vec<Effect> {
        self.outbox.settle(&id);
        vec![
            Effect::Write(Write::Failed { id: id.clone(), reason: reason.clone() }),
            Effect::Resolve { id, outcome: Outcome::Failed(reason) },
        ]
    }

    pub(in crate::session) fn judge(&mut self, verdict: Verdict) -> Vec<Effect> {
        match verdict {
            Verdict::Again { id, attempts } => vec![Effect::Record(Write::Attempts { id, attempts })],
            Verdict::GiveUp { id } => self.give_up(
                id,
                reason("not_acknowledged", "WhatsApp did not acknowledge the message after several tries"),
            ),
        }
    }
}
