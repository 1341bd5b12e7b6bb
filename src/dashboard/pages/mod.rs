//! The pages. Each file is one part of the dashboard: its handlers, then what they show.

pub(super) mod asks;
pub(super) mod assets;
pub(super) mod audit;
pub(super) mod catalogue;
pub(super) mod connections;
pub(super) mod door;
pub(super) mod events;
pub(super) mod health;
pub(super) mod login;
pub(super) mod overview;
pub(super) mod provider;
pub(super) mod row;
pub(super) mod runs;

use axum::{
    Extension,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::{
    context::Visitor,
    view::{
        layout::{Here, Page},
        part,
    },
};
use crate::protocol::{ErrorKind, ErrorReply};

/// What a handler answers.
type Answered = Result<Response, Failure>;
/// Who asks.
type Known = Extension<Visitor>;

/// An error in place of a page.
#[derive(Debug)]
pub(super) struct Failure {
    visitor: Box<Visitor>,
    error: ErrorReply,
}

impl Failure {
    /// For `map_err`.
    fn of(visitor: &Visitor) -> impl Fn(ErrorReply) -> Self + '_ {
        |error| Self { visitor: Box::new(visitor.clone()), error }
    }

    /// There is no such thing.
    fn missing(visitor: &Visitor, what: &str) -> Self {
        let message = format!("there is no such {what}");
        Self::of(visitor)(ErrorReply { kind: ErrorKind::NotFound, message, hint: None })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let title = match self.error.kind {
            ErrorKind::NotFound => "Not found",
            ErrorKind::Failed
            | ErrorKind::Usage
            | ErrorKind::LoginNeeded
            | ErrorKind::Unavailable
            | ErrorKind::Exists => "That did not work",
        };
        let body = html! {
            (part::alert(&self.error))
            p { a href="/" { "Back to the overview" } }
        };
        let page = Page::new(&self.visitor, Here::Nowhere, title);
        (status(self.error.kind), page.render(&body)).into_response()
    }
}

/// The status that says the same as an error's kind.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::LoginNeeded | ErrorKind::Exists => StatusCode::CONFLICT,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A page.
fn shown(markup: Markup) -> Answered {
    Ok(markup.into_response())
}

/// After a form: to a page that can be loaded again without posting again.
fn to(path: &str) -> Answered {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // Paths are made of encoded segments, so they always are a value.
    if let Ok(place) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// A path there is nothing at, or nothing for this method.
pub(super) async fn missing(Extension(visitor): Known) -> Failure {
    Failure::missing(&visitor, "page")
}
