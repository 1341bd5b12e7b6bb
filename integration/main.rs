//! The built program in real namespaces, against real clients, as an ordinary user and as root.
//!
//! Where namespaces are missing these tests fail; they are never skipped.
#![cfg(test)]

mod accounts;
mod asks;
mod browser;
mod cli;
mod clients;
mod dashboard;
mod dns;
mod docker;
mod doctor;
mod escape;
mod http;
mod import;
mod lifecycle;
mod moved;
mod nested;
mod oauth;
mod policy;
mod process;
mod profiles;
mod publish;
mod run;
mod seccomp;
mod seccomp_made;
mod shell;
mod sidecar;
mod sources;
mod ssh;
mod sudo;
mod support;
mod telemetry;
mod terminal;
mod vault;
