//! What is wrong with the daemon and its vault.

use axum::{Extension, extract::State};
use maud::html;

use super::{Answered, Known, overview, shown};
use crate::dashboard::{
    context::App,
    view::{
        layout::{Here, Page},
        part, text,
    },
};

/// `GET /health`
pub(in crate::dashboard) async fn show(
    State(app): State<App>,
    Extension(visitor): Known,
) -> Answered {
    let problems = app.of(&visitor).problems().await;
    let status = app.of(&visitor).status();
    let body = html! {
        section aria-labelledby="problems" {
            h2 #problems { "Problems" }
            @match &problems {
                Err(error) => (part::problem(error)),
                Ok(problems) if problems.is_empty() => {
                    div.notice.good { p { "Everything works." } }
                }
                Ok(problems) => {
                    p { (text::count(problems.len(), "problem was", "problems were")) " found." }
                    @for problem in problems { (part::problem(problem)) }
                }
            }
            p.muted {
                "Whether runs are redirected on this machine is for " code { "authsome doctor" }
                " to prove."
            }
        }
        (overview::facts(&status))
    };
    shown(Page::new(&visitor, Here::Health, "Health").render(&body))
}
