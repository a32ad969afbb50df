//! What the status shows of a state. Pure.

use session_api::{Reason, SessionStatus};

use super::state::{State, reason};

/// What the status says that is not in the state.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The session's name.
    pub session_id: String,
    /// The session's UID.
    pub session_uid: String,
    /// How many processes have opened the store.
    pub writer_epoch: u64,
}

/// The status of a state.
pub(crate) fn status(identity: &Identity, state: &State, last_event: u64, revision: u64) -> SessionStatus {
    SessionStatus {
        revision,
        session_id: identity.session_id.clone(),
        session_uid: identity.session_uid.clone(),
        writer_epoch: identity.writer_epoch,
        state: state.phase,
        since: state.since,
        reason: told_reason(state),
        paired: state.is_paired(),
        me: state.me.clone(),
        outbox_depth: state.outbox.depth() as u64,
        last_event,
        config_hash: state.config_hash.clone(),
        version: crate::config::VERSION.to_owned(),
    }
}

/// Why it is not open, or what is wrong all the same.
pub(crate) fn told_reason(state: &State) -> Option<Reason> {
    state.reason.clone().or_else(|| unreadable(state.outbox.count_unreadable()))
}

/// What is said while messages cannot be read.
fn unreadable(count: usize) -> Option<Reason> {
    let message = format!(
        "messages in the outbox that the session's volume does not give back: {count}. They are kept and tried again, less and \
         less often; all others go out. Check the volume, or restore it from a backup"
    );
    (count > 0).then(|| reason("outbox_unreadable", message))
}
