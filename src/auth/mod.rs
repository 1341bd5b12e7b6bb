//! How a credential is obtained and renewed: the flows of OAuth 2, as stateless functions over HTTP.
//!
//! Knows the shape of a provider's OAuth data and nothing else of ours: no vault, no connection, no
//! clock but the one it is given. It is handed an [`Http`] to send with, and returns values; who
//! called it stores them. A flow that fails says whose fault it was and leaves nothing behind. No
//! error quotes a token, a code, a secret or a body.
//!
//! A [`Server`] is one authorization server with its peculiarities, from a definition or from what
//! [`discover`] finds; a [`Client`] is who asks it, brought by the user or by [`register`]. Both go
//! into a flow: [`Authorization`], [`DeviceGrant`] or [`client_credentials`]. What comes out is a
//! [`TokenSet`], which [`refresh`] renews and [`revoke`] ends.

mod address;
mod answer;
mod assertion;
mod authorization;
mod challenge;
mod client;
mod device;
mod discovery;
mod error;
mod fault;
mod grant;
mod http;
mod metadata;
mod refusal;
mod registration;
mod request;
mod revocation;
mod server;
mod token;

pub use self::{
    authorization::{Authorization, callback_state},
    client::Client,
    device::DeviceGrant,
    discovery::{Discovered, discover},
    error::{Endpoint, Error},
    fault::Fault,
    grant::{client_credentials, refresh},
    http::{Http, HttpError, HttpRequest, HttpResponse},
    registration::register,
    revocation::{Revoked, revoke},
    server::Server,
    token::TokenSet,
};
