//! What the sessions say of themselves: one long poll per pod.
//!
//! Comes in: which pods there are ([`Sessions::sync`], [`Sessions::forget`]). Goes out: what was heard last
//! ([`Sessions::last`]), and the sessions of which something new was heard, through the channel that [`Sessions::new`] is
//! given. It must not judge what is heard: [`crate::status`] does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_api::SessionStatus;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::observe::{Answer, Endpoint, Heard, SessionKey};

mod follow;
mod limits;
mod patience;
pub mod wire;

pub use limits::allow_many_connections;
pub use patience::Timing;

/// All polls. Cheap to clone; they end with the last clone.
#[derive(Debug, Clone)]
pub struct Sessions {
    shared: Arc<Shared>,
    timing: Timing,
}

/// What the polls write to.
#[derive(Debug)]
struct Shared {
    polls: Mutex<HashMap<String, Poll>>,
    wake: mpsc::Sender<SessionKey>,
}

#[derive(Debug)]
struct Poll {
    endpoint: Arc<Endpoint>,
    task: AbortHandle,
    heard: Option<Answer>,
}

/// Whether an answer says something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Changed,
    Same,
}

impl Sessions {
    /// No polls yet. Sessions of which something new is heard are told through `wake`.
    pub fn new(wake: mpsc::Sender<SessionKey>, timing: Timing) -> Self {
        Self { shared: Arc::new(Shared { polls: Mutex::default(), wake }), timing }
    }

    /// This pod is to be polled, and no other one of that session. The same again changes nothing.
    pub fn sync(&self, endpoint: Endpoint) {
        let mut polls = self.shared.polls();
        let known = polls.get(&endpoint.session_uid);
        if known.is_some_and(|poll| *poll.endpoint == endpoint && !poll.task.is_finished()) {
            return;
        }
        let endpoint = Arc::new(endpoint);
        let following = follow::follow(Arc::clone(&endpoint), Arc::downgrade(&self.shared), self.timing);
        let task = tokio::spawn(following).abort_handle();
        let uid = endpoint.session_uid.clone();
        if let Some(old) = polls.insert(uid, Poll { endpoint, task, heard: None }) {
            old.task.abort();
        }
    }

    /// The session of this UID has no pod to be polled.
    pub fn forget(&self, session_uid: &str) {
        if let Some(poll) = self.shared.polls().remove(session_uid) {
            poll.task.abort();
        }
    }

    /// What was heard last from the session of this UID. None: nothing yet, or it is not polled.
    pub fn last(&self, session_uid: &str) -> Option<Heard> {
        let polls = self.shared.polls();
        let poll = polls.get(session_uid)?;
        Some(Heard { pod_uid: poll.endpoint.pod_uid.clone(), answer: poll.heard.clone()? })
    }

    /// How many pods are polled.
    pub fn count(&self) -> usize {
        self.shared.polls().len()
    }
}

impl Shared {
    fn polls(&self) -> MutexGuard<'_, HashMap<String, Poll>> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer. None: this pod is not polled any more.
    fn keep(&self, endpoint: &Endpoint, answer: Answer) -> Option<News> {
        let mut polls = self.polls();
        let poll = polls.get_mut(&endpoint.session_uid).filter(|poll| *poll.endpoint == *endpoint)?;
        let news = match &poll.heard {
            Some(old) if matters(old, &answer) => News::Changed,
            Some(_) => News::Same,
            None => News::Changed,
        };
        poll.heard = Some(answer);
        Some(news)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for poll in self.polls().values() {
            poll.task.abort();
        }
    }
}

/// Whether there is more between two answers than messages coming and going.
fn matters(old: &Answer, new: &Answer) -> bool {
    match (old, new) {
        (Answer::Status(old), Answer::Status(new)) => settled(old) != settled(new),
        (Answer::Status(_) | Answer::Silent(_) | Answer::Stranger(_), _) => old != new,
    }
}

fn settled(status: &SessionStatus) -> SessionStatus {
    SessionStatus { revision: 0, outbox_depth: 0, last_event: 0, ..status.clone() }
}

#[cfg(test)]
mod tests;
