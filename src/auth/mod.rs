//! How a credential is obtained and renewed: the flows of OAuth 2, as stateless functions over HTTP.
//!
//! Knows the shape of a provider's OAuth data and nothing else of ours: no vault, no connection, no
//! clock but the one it is given. It is handed an [`Http`] to send with, and returns values; who
//! called it stores them. A flow that fails says whose fault it was and leaves nothing behind. No
//! error quotes a token, a code, a secret or a body.

mod http;
mod token;

pub use self::{
    http::{Http, HttpError, HttpRequest, HttpResponse},
    token::TokenSet,
};
