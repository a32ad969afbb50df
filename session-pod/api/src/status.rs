//! What a session pod says of itself. No secret, QR code or message text is ever in here: the operator copies from it.

use serde::{Deserialize, Serialize};

/// Query of `GET /v1/status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusQuery {
    /// Answer only once the revision is greater than this. Without it: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// How long to wait for that, in seconds (default 0, at most 60). Then the unchanged status is answered; at once when 64 wait
    /// already, so pause before asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
}

/// The state of a session and how it came to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// Grows with every change; restarts at 1 with the process, so compare it only within one `writer_epoch`.
    pub revision: u64,
    /// The session's name (a DNS label).
    pub session_id: String,
    /// The session's UID, as in [`crate::UID_HEADER`].
    pub session_uid: String,
    /// How many processes have opened this store: grows by one with each. A smaller one than before means a restored backup.
    pub writer_epoch: u64,
    /// Where the session stands.
    pub state: SessionState,
    /// Since when, Unix milliseconds.
    pub since: u64,
    /// Why it is not open, or what went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Whether the store holds credentials of a paired device.
    pub paired: bool,
    /// The WhatsApp account, once paired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub me: Option<Account>,
    /// Sends that were accepted and that WhatsApp has not acknowledged yet.
    pub outbox_depth: u64,
    /// Sequence number of the newest durable event.
    pub last_event: u64,
    /// Hash of the configuration in force (see [`crate::ConfigPush`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// Version of the session program.
    pub version: String,
}

/// Where a session stands. Terminal states end the connection until somebody acts; the pod stays alive in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// The process has started and has not connected yet.
    Starting,
    /// Not paired: a QR code or a pairing code waits for a phone.
    AwaitingPairing,
    /// Logged in; messages flow.
    Open,
    /// The connection is gone for a passing reason; the next try is under way.
    Reconnecting,
    /// Terminal: the device was removed from the account, by the phone or by us. Needs a new pairing.
    LoggedOut,
    /// Terminal: another client took the connection over. Never reconnects by itself.
    Replaced,
    /// Terminal: WhatsApp has banned the account, for a time or for good.
    Banned,
    /// Terminal: WhatsApp refuses this client version.
    Outdated,
    /// Terminal: nobody scanned, and pairing was told to stop.
    QrExpired,
    /// Terminal: the account demands a passkey to link a device.
    PasskeyRequired,
    /// Terminal: the store is corrupt, read-only or full, or WhatsApp refuses the connection for good.
    Failed,
    /// Shutting down.
    Stopping,
}

impl SessionState {
    /// Whether the session stays so until somebody acts.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::LoggedOut
                | Self::Replaced
                | Self::Banned
                | Self::Outdated
                | Self::QrExpired
                | Self::PasskeyRequired
                | Self::Failed
        )
    }
}

/// A machine-readable cause and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `snake_case`, stable.
    pub code: String,
    /// What happened and what to do. Holds no phone number, message text or secret.
    pub message: String,
}

/// The WhatsApp account a session is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `<number>@s.whatsapp.net`.
    pub id: String,
    /// `<digits>@lid`, the account's hidden id, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The push name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
