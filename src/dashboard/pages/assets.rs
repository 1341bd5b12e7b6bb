//! The stylesheet and the script, as they are in the binary.

use axum::{
    http::{HeaderName, header},
    response::IntoResponse,
};

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/live.js");

/// The stylesheet.
pub(in crate::dashboard) async fn style() -> impl IntoResponse {
    (kind("text/css; charset=utf-8"), STYLE)
}

/// The script.
pub(in crate::dashboard) async fn script() -> impl IntoResponse {
    (kind("text/javascript; charset=utf-8"), SCRIPT)
}

fn kind(kind: &'static str) -> [(HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, kind)]
}
