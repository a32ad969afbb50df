//! What people ask for: what it does to the state, or why it is refused. Pure.

use session_api::{ConfigPush, Reason, SessionState};

use super::lost;
use crate::session::pairing::{self, Start};
use crate::session::state::{Ask, Effect, Engine, Refusal, State, Storage, may_start, reason};
use crate::store::{Link, Write};

/// Takes one request; the answer goes to `ticket`.
pub(super) fn asked(state: &mut State, ticket: u64, ask: Ask, now: u64) -> Vec<Effect> {
    let answer = |result| vec![Effect::Answer(ticket, result)];
    if state.stop_at.is_some() {
        return answer(Err(Refusal::Stopping));
    }
    match ask {
        Ask::Send { id, to } => match state.admit_send(&id, &to, now) {
            Ok(()) => vec![Effect::Accept(ticket)],
            Err(refusal) => answer(Err(refusal)),
        },
        Ask::StartPairing => start_pairing(state, ticket, now),
        Ask::StopPairing => stop_pairing(state, ticket, now),
        Ask::PairingCode { phone } => match (state.engine, state.phase) {
            (_, _) if state.is_paired() => answer(Err(Refusal::AlreadyPaired)),
            (Engine::Running(_), SessionState::AwaitingPairing) => {
                vec![Effect::RequestCode { ticket, phone }]
            }
            (_, phase) if phase.is_terminal() => answer(Err(Refusal::NotOpen(phase))),
            (Engine::Off | Engine::Running(_) | Engine::Stopping(_), _) => answer(Err(Refusal::NotReady)),
        },
        Ask::Logout if state.connected => vec![Effect::Logout(ticket)],
        Ask::Logout => answer(Err(Refusal::NotOpen(state.phase))),
        Ask::Configure(push) => configure(state, ticket, push, now),
    }
}

fn configure(state: &mut State, ticket: u64, push: ConfigPush, now: u64) -> Vec<Effect> {
    let answer = Effect::Answer(ticket, Ok(()));
    if state.config_hash.as_deref() == Some(&push.hash) {
        return vec![answer];
    }
    if let Some(why) = unusable(state) {
        return vec![Effect::Answer(ticket, Err(Refusal::Store(why)))];
    }
    let moved = state.config.proxy != push.proxy;
    state.config_hash = Some(push.hash.clone());
    state.config = push.clone();
    let mut effects = vec![Effect::Write(Write::Config(push)), answer];
    if moved {
        effects.extend(reroute(state, now));
    }
    effects
}

/// The way to WhatsApp is another one: the next client takes it, and the running one makes room for it.
fn reroute(state: &mut State, now: u64) -> Option<Effect> {
    state.restart_now();
    let stop = state.stop_engine()?;
    let why = "the configuration names another proxy; connecting through it";
    lost(state, reason("proxy_changed", why), now);
    Some(stop)
}

/// Why the store takes nothing.
fn unusable(state: &State) -> Option<Reason> {
    match &state.storage {
        Storage::Writable => None,
        Storage::Unwritable(why) => Some(why.clone()),
        Storage::Broken => {
            let unknown = || reason("store_unwritable", "the store is broken");
            Some(state.reason.clone().unwrap_or_else(unknown))
        }
    }
}

fn start_pairing(state: &mut State, ticket: u64, now: u64) -> Vec<Effect> {
    let answer = Effect::Answer(ticket, Ok(()));
    match may_start(state) {
        Start::AlreadyPaired => vec![Effect::Answer(ticket, Err(Refusal::AlreadyPaired))],
        Start::Broken => {
            let why =
                state.reason.clone().unwrap_or_else(|| reason("store_unwritable", "the store is broken"));
            vec![Effect::Answer(ticket, Err(Refusal::Store(why)))]
        }
        Start::Pair => {
            if state.phase.is_terminal() {
                state.restart_now();
                state.enter(SessionState::Starting, None, now);
            }
            vec![answer]
        }
        Start::Reconnect => {
            let mut effects = vec![answer];
            if let Link::Replaced { me } = &state.link {
                state.link = Link::Paired { me: me.clone() };
                effects.insert(0, Effect::Write(Write::Link(state.link.clone())));
            }
            state.restart_now();
            state.enter(SessionState::Starting, None, now);
            effects
        }
        Start::WipeFirst => {
            state.link = Link::Wiping;
            state.me = None;
            let mut effects = vec![Effect::Write(Write::Link(Link::Wiping))];
            effects.extend(state.give_up_all(&reason("logged_out", "the session was paired anew")));
            state.enter(SessionState::Starting, None, now);
            effects.push(answer);
            effects
        }
    }
}

fn stop_pairing(state: &mut State, ticket: u64, now: u64) -> Vec<Effect> {
    if !pairing::can_stop(state.phase, &state.link) {
        return vec![Effect::Answer(ticket, Err(Refusal::NotPairing))];
    }
    state.stop_codes();
    let why = reason("qr_expired", "nobody linked a phone and pairing was stopped. Start pairing to go on");
    state.enter(SessionState::QrExpired, Some(why), now);
    vec![Effect::Answer(ticket, Ok(()))]
}
