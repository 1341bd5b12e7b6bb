//! The long-lived process: the only one that opens the vault, and the one that runs the interceptor.
//!
//! It is started by the first command that needs it and serves a Unix socket in `$AUTHSOME_HOME`.
//! Its control side is blocking, one thread a client; only the interceptor's workers are
//! asynchronous. Nothing it holds can be lost by killing it: every put is on disk before it is
//! acknowledged, and each `run` hands its sockets over again to the daemon that comes next.

mod asks;
mod backend;
mod browser;
pub mod client;
mod dial;
mod hold;
mod identities;
mod lobby;
mod peer;
mod publish;
mod report;
pub mod restore;
mod runs;
mod server;
mod session;
mod system;
mod telemetry;
mod vault;
mod wake;
mod wire;

pub use dial::Settings;
pub use report::Contained;
pub use server::{ServeOptions, serve};
