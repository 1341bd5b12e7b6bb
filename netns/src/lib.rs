//! Starts a command in a namespace.
