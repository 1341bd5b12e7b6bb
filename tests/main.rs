//! Tests that need no namespace.
#![cfg(test)]

mod architecture;
mod audit;
mod child;
mod cli;
mod dashboard;
mod decisions;
mod dependencies;
mod fuzz;
mod import;
mod interceptor;
mod oauth;
mod packaging;
mod policy;
mod providers;
mod telemetry;
mod vault;
