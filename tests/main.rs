//! Tests that need no namespace.
#![cfg(test)]

mod audit;
mod child;
mod providers;
mod vault;
