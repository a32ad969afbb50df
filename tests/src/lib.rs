//! What the whole-system tests stand on: a simulator, session pods, gateways and outside clients, each started for one test alone.
//!
//! Comes in: the programs in `target/debug` (see `make test`). Goes out: handles that read as scenarios.
//! It must not sleep, share a port, a phone or a folder between tests, or leave a process behind.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "test support: a broken rig must fail loudly"
)]

pub mod api_proxy;
pub mod cluster;
pub mod crd;
pub mod external;
pub mod gateway;
pub mod http;
pub mod memory;
pub mod pod;
pub mod process;
pub mod readme;
pub mod rig;
pub mod roles;
pub mod service_account;
pub mod stack;
pub mod tls_front;
pub mod wait;
pub mod witness;
