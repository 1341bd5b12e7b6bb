//! The built program in real namespaces, against real clients.
#![cfg(test)]
