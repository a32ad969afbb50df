//! The whole system, against the simulator and against clients that we did not write. One binary; every test has its own phones, folders and ports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    reason = "tests fail by panicking, and their names are their documentation"
)]

mod admission;
mod api_server;
mod architecture;
mod at_most_one;
mod bad_input;
mod browser;
mod budget;
mod chart;
mod churn;
mod clocks;
mod control_plane;
mod crash;
mod crds;
mod credentials;
mod deletion;
mod disconnects;
mod evidence;
mod failures;
mod fleet;
mod foreign;
mod gateway_cluster;
mod gone;
mod guards;
mod install;
mod judges;
mod late;
mod leader;
mod lifecycle;
mod naming;
mod node_loss;
mod pairing_code;
mod proxy;
mod qr_codes;
mod rolling;
mod rollout;
mod rotation;
mod scope;
mod session;
mod socketio;
mod storage;
mod toggles;
mod trouble;
mod unreadable;
mod walkthrough;
