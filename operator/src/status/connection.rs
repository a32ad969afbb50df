//! Paired and Connected: what the session says of itself, or why it does not.

use crds::conditions::{self, reason};
use crds::status::WhatsAppSessionStatus;
use session_api::{SessionState, SessionStatus};

use super::{Facts, Finding, said_before};
use crate::decide::{Absence, Standing};
use crate::observe::{Answer, Observed};

/// The two conditions.
pub(super) fn find(facts: &Facts<'_>, before: &WhatsAppSessionStatus) -> (Finding, Finding) {
    let seen = facts.seen;
    let carried = is_unheard_yet(seen, before);
    let linked = || match &before.account {
        Some(_) => Finding::yes(reason::AS_EXPECTED, "A phone is linked, as far as was heard last."),
        None => Finding::unknown(reason::UNKNOWN, "The session has not said so yet."),
    };
    let paired = || said_before(before, conditions::PAIRED).filter(|_| carried).unwrap_or_else(linked);
    match &seen.heard {
        Some(Answer::Status(said)) => (paired_as_said(said), connected_as_said(said)),
        Some(Answer::Silent(why)) => {
            let words = format!("The session's pod does not answer the operator: {why}.");
            (paired(), Finding::unknown(reason::SESSION_UNREACHABLE, words))
        }
        Some(Answer::Stranger(_)) => {
            let words = "Another session answers at the address of this session's pod. It is not routed to; it is asked again.";
            (paired(), Finding::unknown(reason::WRONG_SESSION_ANSWERED, words))
        }
        None if carried => {
            let connected = said_before(before, conditions::CONNECTED);
            (
                paired(),
                connected.unwrap_or_else(|| {
                    Finding::unknown(reason::UNKNOWN, "The session has not been heard yet.")
                }),
            )
        }
        None => (linked(), unheard(&facts.decision.pod)),
    }
}

/// Whether nothing was heard yet of a pod that was heard before: so after a restart of the operator.
pub(super) fn is_unheard_yet(seen: &Observed, before: &WhatsAppSessionStatus) -> bool {
    let known = before.pod.as_ref().map(|pod| &pod.uid);
    seen.heard.is_none() && known.is_some() && seen.own_pod().map(|pod| &pod.uid) == known
}

fn unheard(standing: &Standing) -> Finding {
    match standing {
        Standing::Absent(Absence::Suspended) => Finding::no(reason::SUSPENDED, "The session is suspended."),
        Standing::Absent(_) => Finding::no(reason::POD_MISSING, "There is no pod."),
        Standing::Terminating => Finding::no(reason::POD_TERMINATING, "The pod is ending."),
        Standing::Ended => Finding::no(reason::POD_FAILED, "The pod has ended."),
        Standing::NameConflict { .. }
        | Standing::Multiple(_)
        | Standing::NodeLost { .. }
        | Standing::Vanished { .. }
        | Standing::Present => Finding::unknown(reason::UNKNOWN, "The session has not been heard yet."),
    }
}

fn paired_as_said(said: &SessionStatus) -> Finding {
    if said.paired {
        return Finding::yes(reason::AS_EXPECTED, "A phone is linked.");
    }
    match said.state {
        SessionState::Starting | SessionState::Stopping => {
            Finding::no(state_reason(said), "No phone is linked.")
        }
        SessionState::AwaitingPairing
        | SessionState::Open
        | SessionState::Reconnecting
        | SessionState::LoggedOut
        | SessionState::Replaced
        | SessionState::Banned
        | SessionState::Outdated
        | SessionState::QrExpired
        | SessionState::PasskeyRequired
        | SessionState::Failed => Finding::no(state_reason(said), words(said)),
    }
}

fn connected_as_said(said: &SessionStatus) -> Finding {
    if said.state == SessionState::Open {
        let open = "The session is logged in to WhatsApp.";
        return trouble(said).map_or_else(
            || Finding::yes(reason::AS_EXPECTED, open),
            |(reason, words)| Finding::yes(reason, format!("{open} {words}")),
        );
    }
    Finding::no(state_reason(said), words(said))
}

/// What an open session complains of all the same: messages flow, but something needs a person.
pub(super) fn trouble(said: &SessionStatus) -> Option<(&'static str, String)> {
    let told = said.reason.as_ref().filter(|_| said.state == SessionState::Open)?;
    let reason = match told.code.as_str() {
        "outbox_unreadable" => reason::OUTBOX_UNREADABLE,
        _ => reason::SESSION_TROUBLED,
    };
    Some((reason, format!("But it says: {}.", told.message.trim_end_matches('.'))))
}

fn words(said: &SessionStatus) -> String {
    let told = said.reason.as_ref().map(|reason| reason.message.clone()).filter(|words| !words.is_empty());
    match (said.state, told) {
        (SessionState::AwaitingPairing, _) => {
            "A phone has to be linked: scan the QR code, or type the pairing code, that the gateway shows."
                .to_owned()
        }
        (_, Some(told)) => told,
        (state, None) => default_words(state).to_owned(),
    }
}

const fn default_words(state: SessionState) -> &'static str {
    match state {
        SessionState::Starting => "The session program has started and is about to connect.",
        SessionState::AwaitingPairing | SessionState::Open => "",
        SessionState::Reconnecting => {
            "The connection is gone for a passing reason; the next try is under way."
        }
        SessionState::LoggedOut => "The device was removed from the account: link a phone again.",
        SessionState::Replaced => {
            "Another client took the connection over: stop it, then restart this session."
        }
        SessionState::Banned => "WhatsApp has banned the account.",
        SessionState::Outdated => "WhatsApp refuses this client version: bring in a newer image.",
        SessionState::QrExpired => "Nobody scanned and pairing was told to stop: start pairing again.",
        SessionState::PasskeyRequired => {
            "The account demands a passkey to link a device: link it from the phone another way."
        }
        SessionState::Failed => "The session cannot go on: see the pod's log.",
        SessionState::Stopping => "The session program is shutting down.",
    }
}

/// The reason that tells a state.
pub(super) fn state_reason(said: &SessionStatus) -> &'static str {
    match said.state {
        SessionState::Starting => reason::STARTING,
        SessionState::AwaitingPairing => reason::AWAITING_PAIRING,
        SessionState::Open => reason::AS_EXPECTED,
        SessionState::Reconnecting => reason::RECONNECTING,
        SessionState::LoggedOut => reason::LOGGED_OUT,
        SessionState::Replaced => reason::REPLACED,
        SessionState::Banned => reason::BANNED,
        SessionState::Outdated => reason::OUTDATED,
        SessionState::QrExpired => reason::QR_EXPIRED,
        SessionState::PasskeyRequired => reason::PASSKEY_REQUIRED,
        SessionState::Failed => reason::SESSION_FAILED,
        SessionState::Stopping => reason::STOPPING,
    }
}

/// A state as the status writes it.
pub(super) const fn state_word(state: SessionState) -> &'static str {
    match state {
        SessionState::Starting => "Starting",
        SessionState::AwaitingPairing => "AwaitingPairing",
        SessionState::Open => "Open",
        SessionState::Reconnecting => "Reconnecting",
        SessionState::LoggedOut => "LoggedOut",
        SessionState::Replaced => "Replaced",
        SessionState::Banned => "Banned",
        SessionState::Outdated => "Outdated",
        SessionState::QrExpired => "QrExpired",
        SessionState::PasskeyRequired => "PasskeyRequired",
        SessionState::Failed => "Failed",
        SessionState::Stopping => "Stopping",
    }
}
