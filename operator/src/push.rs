//! What the operator asks of a session: new configuration, the end of its link, a pairing code.
//!
//! Comes in: the session's [`Endpoint`] and the request. Goes out: the session's answer, or why there is none, in a sentence for
//! people. It must not decide when to ask, and must not show what is secret: the configuration, the pairing code, the number.

use std::time::Duration;

use session_api::{ConfigPush, PairingCode, PairingCodeRequest, SessionStatus, routes};

use crate::observe::Endpoint;
pub use crate::poll::wire::AskError;
use crate::poll::wire::{Ask, ask_once};

/// New configuration is taken over without waiting for anything. A look at the session waits for it.
const CONFIGURE_WITHIN: Duration = Duration::from_secs(5);

/// WhatsApp has to answer: the session itself waits no longer than that.
const WHATSAPP_WITHIN: Duration = Duration::from_secs(40);

/// A session did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The configuration is not in force.
    #[error("push the configuration: {0}")]
    Configure(#[source] AskError),
    /// The device is still linked, as far as is known.
    #[error("remove the device from the account: {0}")]
    LogOut(#[source] AskError),
    /// There is no pairing code.
    #[error("ask for a pairing code: {0}")]
    PairingCode(#[source] AskError),
}

impl PushError {
    /// What went wrong.
    pub const fn cause(&self) -> &AskError {
        match self {
            Self::Configure(cause) | Self::LogOut(cause) | Self::PairingCode(cause) => cause,
        }
    }

    /// The session's own name of the error, if it is the session that refused.
    pub fn code(&self) -> Option<&str> {
        match self.cause() {
            AskError::Refused { code, .. } => Some(code),
            AskError::Connect(_)
            | AskError::Closed
            | AskError::Late
            | AskError::Unreadable
            | AskError::Stranger(_) => None,
        }
    }
}

/// Brings configuration into force. The same hash again changes nothing.
pub async fn configure(endpoint: &Endpoint, push: &ConfigPush) -> Result<SessionStatus, PushError> {
    let body = serde_json::to_vec(push).map_err(|_| PushError::Configure(AskError::Unreadable))?;
    let ask = Ask { method: "PUT", path: routes::CONFIG, body: Some(body), within: CONFIGURE_WITHIN };
    ask_once(endpoint, ask).await.map_err(PushError::Configure)
}

/// Removes the device from the account. A session that is not linked answers at once.
pub async fn log_out(endpoint: &Endpoint) -> Result<SessionStatus, PushError> {
    let ask = Ask { method: "POST", path: routes::LOGOUT, body: None, within: WHATSAPP_WITHIN };
    ask_once(endpoint, ask).await.map_err(PushError::LogOut)
}

/// Asks for a code to type into the phone of this number. Who shall type it reads it from the session's events.
pub async fn pairing_code(endpoint: &Endpoint, phone: &str) -> Result<PairingCode, PushError> {
    let request = PairingCodeRequest { phone: phone.to_owned() };
    let body = serde_json::to_vec(&request).map_err(|_| PushError::PairingCode(AskError::Unreadable))?;
    let ask = Ask { method: "POST", path: routes::PAIRING_CODE, body: Some(body), within: WHATSAPP_WITHIN };
    ask_once(endpoint, ask).await.map_err(PushError::PairingCode)
}
