//! Placeholder.

pub mod address;
pub mod dns;
pub mod inject;
pub mod names;
pub mod strict;
