//! What a process begins with: the state that follows from what the store, the credentials and the configuration say. Pure.

use session_api::{ConfigPush, Reason, SessionState};

use super::{Found, State, Storage, reason};
use crate::session::disconnect::Ending;
use crate::session::outbox::Outbox;
use crate::store::Link;

impl State {
    /// The state of a process whose store cannot be used.
    pub(crate) fn broken(reason: Reason, link: Link, now: u64) -> Self {
        let me = link.account().cloned();
        let storage = Storage::Broken;
        Self { phase: SessionState::Failed, reason: Some(reason), storage, link, me, ..Self::new(now) }
    }

    /// The state of a process that has opened its store.
    pub(crate) fn boot(found: Found, now: u64) -> Self {
        let me = found.link.account().cloned();
        let state = Self { outbox: Outbox::load(found.queued), me, ..Self::new(now) };
        let terminal = |ending: &Ending| ending.verdict();
        let (link, verdict) = match (found.link, found.credentials) {
            (Link::Unpaired, true) if found.fresh => (Link::Unpaired, Some(lost_session_store())),
            (link @ (Link::Paired { .. } | Link::Replaced { .. }), false) => (link, Some(lost_credentials())),
            (link @ Link::Replaced { .. }, true) => (link, Some(terminal(&Ending::Replaced))),
            (Link::Removed, _) => (Link::Removed, Some(terminal(&Ending::Removed { locked: false }))),
            (link, _) => (link, None),
        };
        let credentials_lost = verdict.as_ref().is_some_and(|(state, _)| *state == SessionState::Failed);
        let (phase, reason) = match verdict {
            Some((phase, reason)) => (phase, Some(reason)),
            None => (SessionState::Starting, None),
        };
        Self { phase, reason, link, credentials_lost, ..state }
    }

    /// The same state under another configuration.
    pub(crate) fn configured(self, push: ConfigPush) -> Self {
        Self { config_hash: Some(push.hash.clone()), config: push, ..self }
    }
}

fn lost_credentials() -> (SessionState, Reason) {
    let message = "the session was paired, but its credentials are gone: the volume was emptied or replaced. \
                   Restore it, or start pairing to give the old device up";
    (SessionState::Failed, reason("credentials_lost", message))
}

fn lost_session_store() -> (SessionState, Reason) {
    let message = "the volume holds credentials, but the session's own store is gone. \
                   Restore it, or start pairing to give the old device up";
    (SessionState::Failed, reason("session_store_lost", message))
}
