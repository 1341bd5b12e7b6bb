//! Tests that need no namespace.
#![cfg(test)]

mod child;
mod vault;
