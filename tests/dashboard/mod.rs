//! The dashboard over TCP, before a backend that makes things up.

mod asks;
mod backend;
mod client;
mod doors;
mod limits;
mod live;
mod logins;
mod pages;
