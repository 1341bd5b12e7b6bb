//! Tests that need no namespace.
#![cfg(test)]
