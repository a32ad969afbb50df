//! The operator: every `WhatsAppSession` becomes exactly one running pod, and its status says how that stands.
//!
//! A look at a session is a pipeline, one file per step: [`dereference`] looks (edge), [`validate`] and [`build`] say what
//! shall be (pure), [`decide`] compares and chooses (pure: here "at most one" lives), [`apply`] writes (edge), [`status`]
//! tells (pure). [`controller`] drives it, [`world`] keeps what the watches say, [`run`] is the program's life. Beside them:
//! [`leader`] election, [`poll`] of the sessions and [`push`] to them, [`rollout`] across all of them.

pub mod apply;
pub mod build;
pub mod cache;
pub mod call;
pub mod cluster_key;
pub mod config;
pub mod context;
pub mod controller;
pub mod decide;
pub mod deferral;
pub mod departures;
pub mod dereference;
pub mod errands;
pub mod events;
pub mod fleet;
pub mod gate;
pub mod growth;
pub mod health;
pub mod index;
pub mod kept;
pub mod leader;
pub mod metrics;
pub mod nodes;
pub mod observe;
pub mod poll;
pub mod push;
pub mod quantity;
pub mod report;
pub mod rollout;
pub mod run;
pub mod secrets;
pub mod status;
pub mod validate;
pub mod world;

#[cfg(test)]
mod fixtures;
