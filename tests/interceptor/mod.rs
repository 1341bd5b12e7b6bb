//! The interceptor between a real client and a real server, with a gate of the test's own.

#[path = "../support/upstream.rs"]
mod upstream;

mod bodies;
mod failures;
mod floods;
mod harness;
mod lifecycle;
mod requests;
mod scrubbing;
mod transport;
mod upgrades;
