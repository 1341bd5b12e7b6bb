//! The interceptor between a real client and a real server, with a gate of the test's own.

#[path = "../support/upstream.rs"]
pub(crate) mod upstream;

mod bodies;
mod bombs;
mod connect;
mod exchange;
mod failures;
mod fetch;
mod floods;
mod gate;
pub(crate) mod harness;
mod holding;
mod lifecycle;
mod placeholders;
mod renew;
mod requests;
mod scrubbing;
mod transport;
mod upgrades;
