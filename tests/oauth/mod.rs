//! The flows of OAuth 2 against a scripted provider: what is sent, byte for byte, and what is made of
//! each answer. A future here is polled once: nothing sleeps, and nothing waits but for an answer.

mod authorization;
mod clients;
mod device;
mod discovery;
mod errors;
mod fake;
mod metadata;
mod peculiarities;
mod registration;
mod revocation;
mod secrets;
mod server;
mod tokens;
