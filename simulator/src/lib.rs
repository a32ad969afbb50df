//! Placeholder.

pub mod phone;
