//! The operator: every `WhatsAppSession` becomes exactly one running pod, and its status says how that stands.

pub mod build;
pub mod config;
pub mod observe;
