//! Logins by OAuth, judged by an authorization server that others wrote and certified, with a browser
//! that clicks through its pages.
//!
//! [`server`] is that server, with an API that takes its tokens; [`person`] is who logs in, by hand or
//! by Chromium; [`stage`] is a user's home with authsome in it and providers that lead to the server.
//! The server tells every secret that it gave away, and each test ends by looking for them in all that
//! authsome wrote.

mod agents;
mod crash;
mod faults;
mod flows;
mod logout;
mod person;
mod refresh;
mod server;
mod stage;
