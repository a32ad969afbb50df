//! Faults to inject: what a test asks for, and whether it strikes now. Requests and devices in, decisions out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::address::DeviceId;

/// How many faults may be set at once.
const MAX_FAULTS: usize = 1000;
/// The longest delay, so that a typing error does not stop a test run for good.
const MAX_DELAY_MS: u64 = 600_000;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The message is delivered, its sender hears nothing of it (receipts wait for a reconnect) until it sends it again.
    DropAck,
    /// The message is delivered, its sender hears so late; receipts come late too.
    DelayAck {
        /// Milliseconds.
        ms: u64,
    },
    /// The message is refused with this code.
    Nack {
        /// WhatsApp's `error` attribute: 405, 463, 479, 503…
        code: u16,
    },
    /// The connection is closed at once, without a word.
    Close,
    /// A stream error is sent at once and the connection closed.
    StreamError {
        /// 401, 503, 515, 516…
        code: Option<u16>,
        /// `replaced` or `device_removed`.
        conflict: Option<Conflict>,
    },
    /// Everything that is sent to the device is held back.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// Logins fail.
    RefuseLogin(LoginRefusal),
    /// The account demands a passkey: whoever scans a code gives the device no papers but this news.
    Passkey,
}

/// How a login is refused: the attributes of `<failure>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRefusal {
    /// 401 logged out, 402 banned, 403, 405 outdated, 500, 503…
    pub reason: u16,
    /// Why an account is banned (402).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// For how many more seconds it is banned (402).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire: Option<u32>,
}

impl From<u16> for LoginRefusal {
    fn from(reason: u16) -> Self {
        Self { reason, code: None, expire: None }
    }
}

/// Who took the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// Another connection of the same device.
    Replaced,
    /// The phone, by unlinking the device.
    DeviceRemoved,
}

impl Conflict {
    /// As it is written in the stanza.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::DeviceRemoved => "device_removed",
        }
    }
}

/// Whom a fault strikes and how often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Aim {
    /// Only this account; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Only this device of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u16>,
    /// How many times; until it is deleted when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

impl Aim {
    /// Whether it is aimed at this device.
    pub fn includes(&self, id: &DeviceId) -> bool {
        self.number.as_ref().is_none_or(|number| *number == id.number)
            && self.device.is_none_or(|device| device == id.device)
    }
}

/// A fault that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// For whom.
    #[serde(flatten)]
    pub aim: Aim,
}

/// Why a fault was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// Too many are set.
    #[error("{MAX_FAULTS} faults are set already; DELETE /faults")]
    TooMany,
    /// The delay is too long.
    #[error("ms must be at most {MAX_DELAY_MS}")]
    TooLong,
    /// `count` is 0.
    #[error("count must be at least 1")]
    NoCount,
    /// A stream error needs a code or a conflict.
    #[error("stream_error needs `code` or `conflict`")]
    NoStreamError,
}

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
            | FaultKind::Passkey => None,
        })
    }

    /// Whether the phone that scans now demands a passkey; counts down.
    pub fn demands_passkey(&mut self, phone: &DeviceId) -> bool {
        self.strike(phone, |kind| (*kind == FaultKind::Passkey).then_some(())).is_some()
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
        if let Some(count) = &mut self.set[position].aim.count {
            *count -= 1;
            if *count == 0 {
                self.set.remove(position);
            }
        }
        Some(picked)
    }
}

/// Checks a fault's figures.
pub fn check(fault: &Fault) -> Result<(), FaultError> {
    if fault.aim.count == Some(0) {
        return Err(FaultError::NoCount);
    }
    match fault.kind {
        FaultKind::DelayAck { ms } | FaultKind::Latency { ms } if ms > MAX_DELAY_MS => {
            Err(FaultError::TooLong)
        }
        FaultKind::StreamError { code: None, conflict: None } => Err(FaultError::NoStreamError),
        FaultKind::DropAck
        | FaultKind::DelayAck { .. }
        | FaultKind::Nack { .. }
        | FaultKind::Close
        | FaultKind::StreamError { .. }
        | FaultKind::Latency { .. }
        | FaultKind::RefuseLogin(_)
        | FaultKind::Passkey => Ok(()),
    }
}

#[cfg(test)]
mod tests;
