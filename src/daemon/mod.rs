//! The long-lived process.

pub mod protocol;
