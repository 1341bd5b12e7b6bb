//! Requests that no page is shown for.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::view::layout;

/// Why a request got no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody we know asks. The answer tells nothing but how to come in.
    Nothing,
    /// It was meant for another host.
    Misdirected,
    /// The form's token is missing or another session's.
    Forged,
    /// What was posted is no form.
    BadForm,
    /// What was posted is too large.
    TooLarge,
    /// What was posted did not come in time.
    TooSlow,
    /// Neither GET nor POST.
    Method,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Self::Misdirected => {
                return (StatusCode::MISDIRECTED_REQUEST, "nothing here\n").into_response();
            }
            Self::Nothing => return (StatusCode::FORBIDDEN, layout::nothing()).into_response(),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "This form has expired",
                "Nothing was changed. Go back, load the page again, and send the form once more.",
            ),
            Self::BadForm => (
                StatusCode::BAD_REQUEST,
                "This form cannot be read",
                "Nothing was changed. Go back, load the page again, and send the form once more.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "This form is too large",
                "Nothing was changed. A form may have 64 KiB.",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "This form took too long",
                "Nothing was changed. Go back and send the form once more.",
            ),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "This cannot be done here",
                "Pages are read with GET, and forms are sent with POST.",
            ),
        };
        let mut response = (status, layout::bare(title, text)).into_response();
        // What is left of a body is not read.
        if matches!(self, Self::TooLarge | Self::TooSlow | Self::BadForm) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self == Self::Method {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}
