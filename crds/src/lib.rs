//! The Kubernetes side of a session as types: the custom resource `WhatsAppSession`, its rules, its status, the names of what
//! belongs to it, and the token of its pod.
//!
//! Comes in: nothing. Goes out: types, constants and pure functions; `crdgen` prints the `CustomResourceDefinition`.
//! It must not hold a client, a clock or a rule that only one of operator and gateway needs.

pub mod conditions;
pub mod names;
pub mod session;
pub mod spec;
pub mod status;
pub mod token;

pub use session::{WhatsAppSession, WhatsAppSessionSpec};
pub use status::WhatsAppSessionStatus;

/// The `CustomResourceDefinition` as YAML, as `crdgen` prints it.
pub fn crd_yaml() -> Result<String, serde_norway::Error> {
    use kube::CustomResourceExt as _;
    serde_norway::to_string(&WhatsAppSession::crd())
}

#[cfg(test)]
mod tests;
