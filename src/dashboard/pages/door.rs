//! Coming in, going out, and coming back from a provider.

use axum::{
    Extension,
    extract::{Path, State},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::Known;
use crate::{
    dashboard::{
        context::App,
        refusal::Refusal,
        session,
        view::{layout, text},
    },
    protocol::login::{LoginStep, LoginView},
};

/// `GET /open/{token}`: a one-time link. Signs the browser in and leads it on.
pub(in crate::dashboard) async fn enter(
    State(app): State<App>,
    Path(link): Path<String>,
) -> Result<Response, Refusal> {
    let (token, page) = app.enter(&link).await?;
    let cookie = app.set_cookie(&token, session::LIFE.as_secs()).ok_or(Refusal::Nothing)?;
    Ok(([(header::SET_COOKIE, cookie)], layout::onward(&page)).into_response())
}

/// `POST /sign-out`
pub(in crate::dashboard) async fn leave(
    State(app): State<App>,
    Extension(visitor): Known,
) -> Response {
    app.sessions.close(&visitor.session);
    let (status, text) = if app.save().await {
        (StatusCode::OK, "Run `authsome ui` to sign in again.")
    } else {
        let text = "This browser is signed out, but that could not be saved: a copy of its \
                    cookie would be good again after a restart of the daemon.";
        (StatusCode::INTERNAL_SERVER_ERROR, text)
    };
    let mut response = (status, layout::bare("Signed out", text)).into_response();
    if let Some(cookie) = app.set_cookie("", 0) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// `GET` of a callback path: a provider leads a browser back.
///
/// No session is asked for: the provider's redirect carries no `SameSite=Strict` cookie. The `state`
/// in the query, which only the begun login knows, says that somebody waits for it.
pub(in crate::dashboard) async fn callback(
    State(app): State<App>,
    uri: Uri,
) -> Result<Response, Refusal> {
    match app.backend.callback(uri.query().unwrap_or_default()).await {
        Ok(Some(view)) => Ok(returned(&view).into_response()),
        Ok(None) => Err(Refusal::Nothing),
        Err(error) => {
            let text = text::sentence(&error.message);
            Ok((StatusCode::BAD_REQUEST, layout::bare("Not connected", &text)).into_response())
        }
    }
}

fn returned(view: &LoginView) -> (StatusCode, maud::Markup) {
    match &view.step {
        LoginStep::Done { .. } => {
            (StatusCode::OK, layout::bare("Connected", "You can close this window."))
        }
        LoginStep::Failed { error } => (
            StatusCode::BAD_REQUEST,
            layout::bare("Not connected", &text::sentence(&error.message)),
        ),
        LoginStep::Working
        | LoginStep::NeedsClient { .. }
        | LoginStep::Browser { .. }
        | LoginStep::Device { .. } => (
            StatusCode::OK,
            layout::bare(
                "Almost connected",
                "authsome goes on by itself. You can close this window.",
            ),
        ),
    }
}
