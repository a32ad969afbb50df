//! The only part that names the protocol library (whatsapp-rust): connect, send, receive, and the translation of its types into ours.
//!
//! Comes in: [`EngineConfig`], encoded messages. Goes out: [`crate::session::state::Signal`]s and committed inbound messages.

mod convert;
mod durability;
mod engine;
mod events;
mod http_client;
mod json;
#[cfg(test)]
pub(crate) mod nowhere;
mod proxy;
mod tls;
mod transport;

/// What is logged unless it is said. The protocol library names numbers and codes below `error`, its Signal part at `error` too.
pub(crate) const DEFAULT_LOG: &str = "error,session_pod=info,wacore_libsignal=off";

pub(crate) use convert::{ComposeError, Quote, compose};
pub(crate) use engine::{Engine, EngineConfig, Figures};
pub(crate) use tls::{TlsError, client_config};
