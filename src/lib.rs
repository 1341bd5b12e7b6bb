//! authsome runs an AI agent in its own network namespace, terminates the TLS connections that go to
//! known providers, and puts the user's credential into each request. The agent never holds a secret.
//!
//! Layers, each knowing no other: [`vault`] (encrypted records), [`provider`] (service definitions),
//! [`audit`] (what happened), [`scrub`] (secrets in what comes back), [`process`] (who connects). The [`broker`] composes them and
//! is the [`gate::Gate`] the [`interceptor`] asks. [`daemon`] serves runs; [`commands`] are the verbs.
//! [`audit`] (what happened), [`identity`] (who acts for whom), [`scrub`] (secrets in what comes back).
//! The [`broker`] composes them and is the [`gate::Gate`] the [`interceptor`] asks. [`daemon`] serves runs; [`commands`] are the verbs.
#![forbid(unsafe_code)]

pub mod audit;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod dashboard;
pub mod demo;
#[cfg(target_os = "linux")]
pub mod doctor;
pub mod gate;
pub mod identity;
pub mod import;
pub mod interceptor;
pub mod limits;
pub mod output;
pub mod paths;
pub mod policy;
pub mod process;
pub mod protocol;
pub mod provider;
pub mod request_path;
pub mod runner;
pub mod scrub;
#[cfg(target_os = "linux")]
pub mod sidecar;
pub mod source;
pub mod telemetry;
pub mod trust;
pub mod vault;
