//! What a test can ask to go wrong, for whom and how often. Values only.

use serde::{Deserialize, Serialize};

use crate::address::DeviceId;

/// How many faults may be set at once.
pub(super) const MAX_FAULTS: usize = 1000;
/// The longest delay, so that a typing error does not stop a test run for good.
pub(super) const MAX_DELAY_MS: u64 = 600_000;

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
    /// The media server refuses files. It knows whose request it is by what the device was given with `media_conn`, which
    /// every upload brings and only some clients' downloads: aimed at an account, it strikes no other downloads.
    RefuseMedia {
        /// The HTTP status: 401, 403, 404, 410, 413, 503…
        code: u16,
        /// Only in this direction; in both when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer: Option<Transfer>,
    },
    /// The account demands a passkey: whoever scans a code gives the device no papers but this news.
    Passkey,
}

/// Which way a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    /// To the media server.
    Upload,
    /// From it.
    Download,
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

    /// Whether it is aimed at everybody.
    pub fn is_at_all(&self) -> bool {
        self.number.is_none() && self.device.is_none()
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
    /// A status that refuses nothing.
    #[error("refuse_media needs a `code` from 400 to 599")]
    NoRefusal,
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
        FaultKind::RefuseMedia { code, .. } if !(400..600).contains(&code) => Err(FaultError::NoRefusal),
        FaultKind::DropAck
        | FaultKind::DelayAck { .. }
        | FaultKind::Nack { .. }
        | FaultKind::Close
        | FaultKind::StreamError { .. }
        | FaultKind::Latency { .. }
        | FaultKind::RefuseLogin(_)
        | FaultKind::RefuseMedia { .. }
        | FaultKind::Passkey => Ok(()),
    }
}
