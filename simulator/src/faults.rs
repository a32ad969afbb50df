//! Faults to inject: what a test asks for, and whether it strikes now. Requests and devices in, decisions out.

use std::collections::VecDeque;

use crate::address::DeviceId;

mod kind;

pub use kind::{Aim, Conflict, Fault, FaultError, FaultKind, LoginRefusal, Transfer, check};

use kind::MAX_FAULTS;

/// What happens to the acknowledgement of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckFate {
    /// It is sent.
    Send,
    /// It is not sent.
    Drop,
    /// It is sent after so many milliseconds.
    Delay(u64),
    /// The message is refused with this code.
    Refuse(u16),
}

/// All faults that are set.
#[derive(Debug, Default)]
pub struct Faults {
    set: Vec<Fault>,
    /// Messages whose sender hears late (milliseconds) or nothing of them; receipts would tell it too.
    unheard: VecDeque<(DeviceId, String, AckFate)>,
}

impl Faults {
    /// Sets a fault that lasts. (`close` and `stream_error` strike at once and are not kept.)
    pub fn add(&mut self, fault: Fault) -> Result<(), FaultError> {
        if self.set.len() >= MAX_FAULTS {
            return Err(FaultError::TooMany);
        }
        check(&fault)?;
        self.set.push(fault);
        Ok(())
    }

    /// Notes what the sender of a message is to hear of it, from now on.
    pub fn note_message(&mut self, sender: &DeviceId, id: &str, fate: AckFate) {
        self.unheard.retain(|(device, message, _)| device != sender || message != id);
        if matches!(fate, AckFate::Drop | AckFate::Delay(_)) {
            self.unheard.push_back((sender.clone(), id.to_owned(), fate));
            if self.unheard.len() > MAX_FAULTS {
                self.unheard.pop_front();
            }
        }
    }

    /// Whether a sender hears of a message: now, late, or (until it sends it again) not at all.
    pub fn hears(&self, sender: &DeviceId, id: &str) -> AckFate {
        self.unheard
            .iter()
            .find(|(device, message, _)| device == sender && message == id)
            .map_or(AckFate::Send, |(.., fate)| *fate)
    }

    /// Clears everything.
    pub fn clear(&mut self) {
        self.set.clear();
        self.unheard.clear();
    }

    /// What is set.
    pub fn all(&self) -> &[Fault] {
        &self.set
    }

    /// The fate of the next message's acknowledgement; counts down.
    pub fn ack_fate(&mut self, id: &DeviceId) -> AckFate {
        self.strike(id, |kind| match *kind {
            FaultKind::DropAck => Some(AckFate::Drop),
            FaultKind::DelayAck { ms } => Some(AckFate::Delay(ms)),
            FaultKind::Nack { code } => Some(AckFate::Refuse(code)),
            FaultKind::Close
            | FaultKind::StreamError { .. }
            | FaultKind::Latency { .. }
            | FaultKind::RefuseLogin(_)
            | FaultKind::RefuseMedia { .. }
            | FaultKind::Passkey => None,
        })
        .unwrap_or(AckFate::Send)
    }

    /// How to refuse this login, if at all; counts down.
    pub fn refuse_login(&mut self, id: &DeviceId) -> Option<LoginRefusal> {
        self.strike(id, |kind| match *kind {
            FaultKind::RefuseLogin(refusal) => Some(refusal),
            FaultKind::DropAck
            | FaultKind::DelayAck { .. }
            | FaultKind::Nack { .. }
            | FaultKind::Close
            | FaultKind::StreamError { .. }
            | FaultKind::Latency { .. }
            | FaultKind::RefuseMedia { .. }
            | FaultKind::Passkey => None,
        })
    }

    /// Whether the phone that scans now demands a passkey; counts down.
    pub fn demands_passkey(&mut self, phone: &DeviceId) -> bool {
        self.strike(phone, |kind| (*kind == FaultKind::Passkey).then_some(())).is_some()
    }

    /// The status with which a file is refused that goes this way, if it is; counts down. `id`: whose file, if that is known.
    pub fn refuse_media(&mut self, id: Option<&DeviceId>, way: Transfer) -> Option<u16> {
        let strikes = |fault: &Fault| {
            let aimed = id.map_or_else(|| fault.aim.is_at_all(), |id| fault.aim.includes(id));
            let FaultKind::RefuseMedia { code, transfer } = fault.kind else { return None };
            (aimed && transfer.is_none_or(|only| only == way)).then_some(code)
        };
        let (position, code) =
            self.set.iter().enumerate().find_map(|(position, fault)| Some((position, strikes(fault)?)))?;
        self.count_down(position);
        Some(code)
    }

    /// How long to hold back what is sent to a device; counts down per stanza.
    pub fn latency(&mut self, id: &DeviceId) -> u64 {
        if self.set.is_empty() {
            return 0;
        }
        self.strike(id, |kind| match *kind {
            FaultKind::Latency { ms } => Some(ms),
            FaultKind::DropAck
            | FaultKind::DelayAck { .. }
            | FaultKind::Nack { .. }
            | FaultKind::Close
            | FaultKind::StreamError { .. }
            | FaultKind::RefuseLogin(_)
            | FaultKind::RefuseMedia { .. }
            | FaultKind::Passkey => None,
        })
        .unwrap_or(0)
    }

    fn strike<T>(&mut self, id: &DeviceId, pick: impl Fn(&FaultKind) -> Option<T>) -> Option<T> {
        let (position, picked) = self
            .set
            .iter()
            .enumerate()
            .filter(|(_, fault)| fault.aim.includes(id))
            .find_map(|(position, fault)| Some((position, pick(&fault.kind)?)))?;
        self.count_down(position);
        Some(picked)
    }

    fn count_down(&mut self, position: usize) {
        if let Some(count) = &mut self.set[position].aim.count {
            *count -= 1;
            if *count == 0 {
                self.set.remove(position);
            }
        }
    }
}

#[cfg(test)]
mod tests;
