//! How a session is linked to a phone: by QR code, or by a code that is typed into the phone. Both are secrets.

use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/qr`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QrCode {
    /// The text that the QR code encodes.
    pub qr: String,
    /// When the next one replaces it, Unix milliseconds.
    pub expires_at: u64,
}

/// Body of `POST /v1/pairing-code`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairingCodeRequest {
    /// The phone's number, international, digits with or without `+`, spaces and dashes.
    pub phone: String,
}

/// Answer of `POST /v1/pairing-code`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairingCode {
    /// Eight characters to type into the phone (Linked devices → Link with phone number).
    pub code: String,
    /// Until when it can be used, Unix milliseconds.
    pub expires_at: u64,
}
