//! The operator: every `WhatsAppSession` becomes exactly one running pod, and its status says how that stands.

pub mod build;
pub mod config;
pub mod decide;
pub mod observe;
pub mod quantity;
pub mod rollout;
pub mod secrets;
pub mod status;
pub mod validate;
