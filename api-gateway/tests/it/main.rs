//! The gateway as a whole: its router without a port, and its program as a process. Session processes are shell scripts
//! here, or a small server that misbehaves in ways in which the real one cannot; the real one is tested in `/tests`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod bad_input;
mod bad_pods;
mod pages;
mod program;
mod rig;
mod serving;
