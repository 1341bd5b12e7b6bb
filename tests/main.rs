//! Tests that need no namespace.
#![cfg(test)]

mod architecture;
mod audit;
mod child;
mod dependencies;
mod providers;
mod vault;
