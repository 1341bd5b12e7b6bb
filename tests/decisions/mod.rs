//! Who may do what, decided by the real gate about real requests: an agent, the interceptor, a user's
//! policy, and a server that writes down exactly what reaches it.

mod agent;
mod asks;
mod audit;
mod authorities;
mod egress;
mod limits;
mod paths;
mod reload;
mod server;
mod stage;
mod table;
mod verdicts;
