//! WARest's public face: REST API, Socket.IO and UI in front of all sessions.
//!
//! Comes in: HTTP requests with an API key. Goes out: calls to the one process that runs each session (crate `session-api`),
//! and what those sessions tell, to whoever may hear it. It must not know WhatsApp's protocol, and holds no message of its own.

pub mod app;
pub mod boot;
pub mod clock;
pub mod closing;
pub mod cluster;
pub mod config;
pub mod directory;
pub mod error;
pub mod extract;
pub mod files;
pub mod health;
pub mod keys;
pub mod message;
pub mod metrics;
pub mod middleware;
pub mod monitor;
pub mod openapi;
pub mod pod_client;
pub mod qr;
pub mod routes;
pub mod serve;
pub mod session_name;
pub mod settings;
pub mod socketio;
pub mod sse;
pub mod status;
