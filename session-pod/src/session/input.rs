//! What each input does to the state, apart from what follows from the state itself (`State::reconcile`). Pure.

use session_api::{Account, EventData, Reason, SessionState};

use super::outbox::Outbox;
use super::state::{Effect, Engine, Input, Outcome, Signal, State, Storage, Transmission, qr_code, reason};
use super::{Secret, disconnect::Ending};
use crate::store::{Link, Progress, Queued, Write};

mod asked;

/// Takes one input.
pub(super) fn take(state: &mut State, input: Input, now: u64) -> Vec<Effect> {
    match input {
        Input::Engine { generation, signal } => match state.engine {
            Engine::Running(current) if current == generation => heard(state, signal, now),
            Engine::Stopping(current) if current == generation && !begins(&signal) => {
                heard(state, signal, now)
            }
            Engine::Off | Engine::Running(_) | Engine::Stopping(_) => Vec::new(),
        },
        Input::Ask { ticket, ask } => asked::asked(state, ticket, ask, now),
        Input::Stored { id, to } => {
            state.cooldowns.stored(&id);
            state.outbox.push(id, to);
            Vec::new()
        }
        Input::StorageFailed(why) => storage_failed(state, why, now),
        Input::StorageBack(queued) => storage_back(state, queued, now),
        Input::Wiped(result) => wiped(state, result, now),
        Input::Stop => {
            if state.stop_at.is_none() {
                state.stop_at = Some(now + super::state::DRAIN_MS);
                state.enter(SessionState::Stopping, None, now);
            }
            Vec::new()
        }
        Input::Tick => Vec::new(),
    }
}

fn storage_failed(state: &mut State, why: Reason, now: u64) -> Vec<Effect> {
    state.cooldowns.undo();
    if state.storage != Storage::Writable {
        return Vec::new();
    }
    state.storage = Storage::Unwritable(why.clone());
    state.outbox.put_all_back();
    // It may not have been written: whoever pushed it must do so again.
    state.config_hash = None;
    if !state.phase.is_terminal() {
        state.enter(SessionState::Failed, Some(why), now);
    }
    Vec::new()
}

/// What the session is linked to is written again: it may have changed while nothing could be.
fn storage_back(state: &mut State, queued: Vec<Queued>, now: u64) -> Vec<Effect> {
    let Storage::Unwritable(why) = state.storage.clone() else { return Vec::new() };
    state.storage = Storage::Writable;
    state.outbox = Outbox::load(queued);
    if state.reason.as_ref() == Some(&why) {
        state.restart_now();
        state.enter(SessionState::Starting, None, now);
    }
    vec![Effect::Write(Write::Link(state.link.clone()))]
}

fn wiped(state: &mut State, result: Result<(), Reason>, now: u64) -> Vec<Effect> {
    state.wiping = false;
    match result {
        Ok(()) => {
            state.link = Link::Unpaired;
            state.credentials_lost = false;
            state.restart_now();
            vec![Effect::Write(Write::Link(Link::Unpaired))]
        }
        Err(why) => storage_failed(state, why, now),
    }
}

/// The client says nothing of a handshake that fails; that it dials again does.
const NO_LOGIN: &str = "the server was reached but the connection came to nothing: its Noise certificate was refused, or \
                        WhatsApp's current client version could not be asked for (pin one with WAREST_CLIENT_VERSION); trying again";

/// Whether the client begins something: what is on its way out brings nothing more up.
fn begins(signal: &Signal) -> bool {
    matches!(signal, Signal::Dialing | Signal::Qr { .. } | Signal::Code(_) | Signal::Connected(_))
}

fn heard(state: &mut State, signal: Signal, now: u64) -> Vec<Effect> {
    if !matches!(signal, Signal::Dialing | Signal::Transmitted { .. }) {
        state.dialing = false;
    }
    match signal {
        Signal::Dialing => dialing(state, now),
        Signal::Disconnected(why) => lost(state, why, now),
        Signal::Qr { qr, valid_ms } => return show_qr(state, qr, valid_ms, now),
        Signal::QrExhausted => {
            state.codes.qr = None;
            state.codes.exhausted = true;
        }
        Signal::Code(Secret(code)) => {
            let announced = EventData::PairingCode { code: code.code.clone(), expires_at: code.expires_at };
            state.codes.code = Some(code);
            return vec![Effect::Announce(announced)];
        }
        Signal::DialFailed(why) | Signal::PairFailed(why) => state.reason = Some(why),
        Signal::Paired(me) => return paired(state, me, now),
        Signal::Connected(me) => return connected(state, me, now),
        Signal::Ended(ending) => return ended(state, &ending, now),
        Signal::Ack { id, refused } => return acknowledged(state, id, refused),
        Signal::Receipt { ids, progress } => return receipt(state, ids, progress),
        Signal::Transmitted { connection, id, result } if state.counts(connection) => {
            return transmitted(state, id, result, now);
        }
        // What was handed to it has been put back, and may be on its way anew.
        Signal::Transmitted { .. } => {}
        Signal::Gone => state.engine_gone(false, now),
        Signal::Broken { reason, passing: true } => {
            state.engine_gone(true, now);
            state.reason = Some(reason);
        }
        Signal::Broken { reason, passing: false } => {
            state.engine_gone(true, now);
            state.storage = Storage::Broken;
            state.enter(SessionState::Failed, Some(reason), now);
        }
    }
    Vec::new()
}

/// A connection is opened: the one before is gone, or came to nothing.
fn dialing(state: &mut State, now: u64) {
    if state.connected {
        lost(state, reason("connection_lost", "the connection to WhatsApp is gone; reconnecting"), now);
    }
    if std::mem::replace(&mut state.dialing, true) {
        state.reason = Some(reason("connection_failed", NO_LOGIN));
    }
}

fn lost(state: &mut State, why: Reason, now: u64) {
    state.connected = false;
    state.outbox.put_all_back();
    state.codes.clear();
    match state.phase {
        SessionState::Open => state.enter(SessionState::Reconnecting, Some(why), now),
        SessionState::Starting | SessionState::AwaitingPairing | SessionState::Reconnecting => {
            state.reason = Some(why);
        }
        SessionState::LoggedOut
        | SessionState::Replaced
        | SessionState::Banned
        | SessionState::Outdated
        | SessionState::QrExpired
        | SessionState::PasskeyRequired
        | SessionState::Failed
        | SessionState::Stopping => {}
    }
}

fn show_qr(state: &mut State, qr: String, valid_ms: u64, now: u64) -> Vec<Effect> {
    if state.link != Link::Unpaired || state.phase.is_terminal() {
        return Vec::new();
    }
    let code = qr_code(qr, valid_ms, now);
    let announced = EventData::Qr { qr: code.qr.clone(), expires_at: code.expires_at };
    state.codes.qr = Some(code);
    state.codes.exhausted = false;
    state.enter(SessionState::AwaitingPairing, None, now);
    vec![Effect::Announce(announced)]
}

fn paired(state: &mut State, me: Account, now: u64) -> Vec<Effect> {
    state.stop_codes();
    state.link = Link::Paired { me: me.clone() };
    state.me = Some(me);
    state.enter(SessionState::Starting, None, now);
    vec![Effect::Write(Write::Link(state.link.clone()))]
}

fn connected(state: &mut State, me: Account, now: u64) -> Vec<Effect> {
    if state.phase.is_terminal() {
        return Vec::new();
    }
    state.stop_codes();
    state.connected_again();
    let link = Link::Paired { me: me.clone() };
    let mut effects = Vec::new();
    if state.link != link {
        state.link = link.clone();
        effects.push(Effect::Write(Write::Link(link)));
    }
    state.me = Some(me.clone());
    state.enter(SessionState::Open, None, now);
    if !std::mem::replace(&mut state.announced, true) {
        effects.push(Effect::Write(Write::Append(EventData::SessionOpen { me })));
    }
    effects
}

/// A terminal end, unless the session is at one already: the first cause counts.
fn ended(state: &mut State, ending: &Ending, now: u64) -> Vec<Effect> {
    let removed = matches!(ending, Ending::Removed { .. } | Ending::LoggedOutByUs);
    if state.phase.is_terminal() || (removed && state.link == Link::Removed) {
        return Vec::new();
    }
    state.end(ending, now)
}

fn acknowledged(state: &mut State, id: String, refused: Option<String>) -> Vec<Effect> {
    if !state.outbox.settle(&id) {
        return Vec::new();
    }
    match refused {
        None => vec![
            Effect::Record(Write::Acked { id: id.clone() }),
            Effect::Resolve { id, outcome: Outcome::Sent },
        ],
        Some(code) => {
            let message = format!("WhatsApp's server refused the message (code {code})");
            state.give_up(id, reason(&format!("nack_{code}"), message))
        }
    }
}

/// A receipt proves that the server has the message, even if its acknowledgement was lost.
fn receipt(state: &mut State, ids: Vec<String>, progress: Progress) -> Vec<Effect> {
    let known: Vec<String> = ids.iter().filter(|id| state.outbox.settle(id)).cloned().collect();
    let resolve = known.into_iter().map(|id| Effect::Resolve { id, outcome: Outcome::Sent });
    std::iter::once(Effect::Record(Write::Progress { ids, progress })).chain(resolve).collect()
}

fn transmitted(state: &mut State, id: String, result: Transmission, now: u64) -> Vec<Effect> {
    match result {
        Transmission::Written => state.outbox.written(&id, now),
        Transmission::Disconnected => {
            if state.connected {
                return failed_try(state, &id, now);
            }
            state.outbox.put_back(&id);
        }
        Transmission::Held => state.outbox.put_back(&id),
        Transmission::Unreadable => state.outbox.unreadable(&id, now),
        Transmission::Failed => return failed_try(state, &id, now),
        Transmission::Impossible(why) => return state.give_up(id, why),
    }
    Vec::new()
}

fn failed_try(state: &mut State, id: &str, now: u64) -> Vec<Effect> {
    let verdict = state.outbox.failed(id, now);
    verdict.map(|verdict| state.judge(verdict)).unwrap_or_default()
}
