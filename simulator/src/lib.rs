//! A WhatsApp server to develop and test against.
//!
//! [`Simulator::start`] binds a control API, a plain WebSocket, a TLS WebSocket and a media server on the ports given (0 = free ones) and
//! serves clients until it is dropped. Everything that decides is pure (`world`, `stanza`, `phone`, `faults`,
//! `noise`, `frame`, `certificate`); sockets, files and the clock are in `hub`, `connection`, `control`, `mms`, `snapshot`.
//! It shares no code of ours with the session program, so that a bug cannot cancel itself out.

pub mod address;
pub mod certificate;
mod connection;
mod control;
pub mod faults;
pub mod frame;
mod hub;
pub mod metrics;
mod mms;
pub mod noise;
pub mod phone;
mod simulator;
pub mod snapshot;
mod stanza;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod world;
mod xml;

pub use simulator::{Config, Simulator, StartError};
