//! Placeholder.
pub mod walk;
