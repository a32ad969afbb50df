//! The HTTP contract of a session pod: what the gateway and the operator may ask of one WhatsApp session, and what it answers.
//!
//! Comes in: nothing. Goes out: serde types, route names and the pure rules of their values (a recipient, a message id).
//! It must not hold a client, a server, a clock or any knowledge of Kubernetes.
//!
//! Every request but `/livez`, `/readyz` and `/metrics` carries `Authorization: Bearer <token>`; every answer carries
//! [`UID_HEADER`], so that a caller can tell that it reached the session that it meant.
//!
//! | Route | Request | Answer |
//! |---|---|---|
//! | `GET /v1/status?since=&wait=` | [`StatusQuery`] | [`SessionStatus`], at once or when its revision passes `since` |
//! | `GET /v1/events?after=&limit=` | [`EventsQuery`] | [`EventPage`]; with `Accept: text/event-stream` a stream of [`Event`]s that goes on |
//! | `GET /v1/qr` | | [`QrCode`], or 404 `no_qr` |
//! | `POST /v1/pairing` | | [`SessionStatus`]: starts pairing by QR anew |
//! | `DELETE /v1/pairing` | | [`SessionStatus`]: stops pairing (`qr_expired`) |
//! | `GET /v1/pairing-code` | | [`PairingCode`], or 404 `no_pairing_code` |
//! | `POST /v1/pairing-code` | [`PairingCodeRequest`] | [`PairingCode`] |
//! | `POST /v1/messages` | [`SendRequest`] | [`SendResponse`], 200 `sent` or 202 `queued` |
//! | `PUT /v1/config` | [`ConfigPush`] | [`SessionStatus`] |
//! | `POST /v1/logout` | | [`SessionStatus`]: the device is removed from the account |
//! | `GET /livez`, `/readyz`, `/metrics` | | no token |

pub mod config;
pub mod error;
pub mod event;
pub mod message;
pub mod pairing;
pub mod recipient;
pub mod status;

pub use config::{ConfigPush, ProxyUrl, SessionPolicy, Webhook};
pub use error::ErrorBody;
pub use event::{Event, EventData, EventPage, EventsQuery, InboundMessage, MessageStatus};
pub use message::{Content, MessageId, Quoted, SendRequest, SendResponse, SendStatus};
pub use pairing::{PairingCode, PairingCodeRequest, QrCode};
pub use recipient::{InvalidRecipient, Recipient};
pub use status::{Account, Reason, SessionState, SessionStatus, StatusQuery};

/// Header of every answer: the UID of the session that answered.
pub const UID_HEADER: &str = "x-session-uid";

/// Paths of the routes.
pub mod routes {
    /// [`crate::SessionStatus`], long poll.
    pub const STATUS: &str = "/v1/status";
    /// [`crate::EventPage`] or a server-sent event stream.
    pub const EVENTS: &str = "/v1/events";
    /// [`crate::QrCode`].
    pub const QR: &str = "/v1/qr";
    /// Start (`POST`) and stop (`DELETE`) pairing.
    pub const PAIRING: &str = "/v1/pairing";
    /// [`crate::PairingCode`].
    pub const PAIRING_CODE: &str = "/v1/pairing-code";
    /// [`crate::SendRequest`].
    pub const MESSAGES: &str = "/v1/messages";
    /// [`crate::ConfigPush`].
    pub const CONFIG: &str = "/v1/config";
    /// Remove the device from the account.
    pub const LOGOUT: &str = "/v1/logout";
    /// The process should go on living.
    pub const LIVEZ: &str = "/livez";
    /// The session can take messages.
    pub const READYZ: &str = "/readyz";
    /// Prometheus text format.
    pub const METRICS: &str = "/metrics";
}
