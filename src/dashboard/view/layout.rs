//! The frame of every page: head, landmarks, navigation.

use maud::{DOCTYPE, Markup, html};

use super::part;
use crate::dashboard::{
    context::Visitor,
    routes::{SCRIPT_PATH, STYLE_PATH},
};

/// A key, as an icon that needs no request.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'\
     %3E%3Crect width='16' height='16' rx='4' fill='%231d5fc4'/%3E%3Cpath d='M6 5.2a2.8 2.8 0 1 0 2.7 \
     3.6H11v1.7h1.7V8.8h.6V7.2H8.7A2.8 2.8 0 0 0 6 5.2m0 1.9a.9.9 0 1 1 0 1.8.9.9 0 0 1 0-1.8' \
     fill='white'/%3E%3C/svg%3E";

/// The navigation.
const PLACES: [(Here, &str, &str); 8] = [
    (Here::Overview, "/", "Overview"),
    (Here::Asks, "/asks", "Approvals"),
    (Here::Connections, "/connections", "Connections"),
    (Here::Providers, "/providers", "Providers"),
    (Here::Runs, "/runs", "Runs"),
    (Here::Denials, "/audit?decision=deny", "Denials"),
    (Here::Audit, "/audit", "Audit"),
    (Here::Health, "/health", "Health"),
];

/// Which part of the dashboard a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dashboard) enum Here {
    Overview,
    Asks,
    Connections,
    Providers,
    Runs,
    Denials,
    Audit,
    Health,
    /// None: the page is an error.
    Nowhere,
}

/// A page for somebody who is signed in.
#[derive(Debug)]
pub(in crate::dashboard) struct Page<'a> {
    pub(in crate::dashboard) visitor: &'a Visitor,
    pub(in crate::dashboard) here: Here,
    pub(in crate::dashboard) title: &'a str,
    /// Does the script belong to it?
    pub(in crate::dashboard) live: bool,
    /// Seconds after which a browser without JavaScript loads it again.
    pub(in crate::dashboard) refresh: Option<u32>,
}

impl<'a> Page<'a> {
    /// A page that stays as it is.
    pub(in crate::dashboard) fn new(visitor: &'a Visitor, here: Here, title: &'a str) -> Self {
        Self { visitor, here, title, live: false, refresh: None }
    }

    /// The whole page. `body` follows the heading.
    pub(in crate::dashboard) fn render(&self, body: &Markup) -> Markup {
        let head = html! {
            @if self.live { script src=(SCRIPT_PATH) defer {} }
            // The script looks itself, and reloads only when there is something new: a reload
            // takes the focus away.
            @if let Some(seconds) = self.refresh {
                noscript { meta http-equiv="refresh" content=(seconds); }
            }
        };
        let title = match self.visitor.waiting {
            0 => self.title.to_owned(),
            count => format!("({count}) {}", self.title),
        };
        document(
            &title,
            &head,
            &html! {
                a.skip href="#main" { "Skip to the content" }
                header.bar {
                    div.wide {
                        a.brand href="/" {
                            "authsome"
                            // Those who have one profile need not know of profiles.
                            @match self.visitor.profile.as_deref() {
                                None | Some("default") => {}
                                Some(profile) => { " · " (profile) }
                            }
                        }
                        nav aria-label="Main" {
                            ul {
                                @for (place, path, name) in PLACES {
                                    li {
                                        a href=(path) aria-current=[(place == self.here).then_some("page")] {
                                            (name)
                                            @if place == Here::Asks { (waiting(self.visitor)) }
                                        }
                                    }
                                }
                            }
                        }
                        form.leave method="post" action="/sign-out" {
                            (part::csrf(self.visitor))
                            button.quiet type="submit" { "Sign out" }
                        }
                    }
                }
                main.wide #main tabindex="-1" {
                    h1 { (self.title) }
                    (body)
                }
            },
        )
    }
}

/// How many requests wait for a person. The script keeps it up to date where there is one.
fn waiting(visitor: &Visitor) -> Markup {
    let count = visitor.waiting;
    html! {
        span.count #waiting-count data-count=(count) hidden[count == 0] {
            span.sr { " (" } span { (count) } span.sr { " waiting)" }
        }
    }
}

/// A page with a message and no way on, for anybody.
pub(in crate::dashboard) fn bare(title: &str, text: &str) -> Markup {
    message(title, &html! {}, &html! { p { (text) } })
}

/// What somebody sees who has no session, wherever they look.
pub(in crate::dashboard) fn nothing() -> Markup {
    message(
        "Nothing here",
        &html! {},
        &html! { p { "Run " code { "authsome ui" } " to sign in." } },
    )
}

/// The page that a one-time link is answered with. It leads on by itself: a redirect would carry no
/// `SameSite=Strict` cookie where the link was followed from another site's page.
pub(in crate::dashboard) fn onward(page: &str) -> Markup {
    let refresh = format!("0; url={page}");
    let head = html! { meta http-equiv="refresh" content=(refresh); };
    message("Signed in", &head, &html! { p { a href=(page) { "Continue to the dashboard" } } })
}

fn message(title: &str, head: &Markup, body: &Markup) -> Markup {
    document(title, head, &html! { main.alone { h1 { (title) } (body) } })
}

fn document(title: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – authsome" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href=(STYLE_PATH);
                (head)
            }
            body { (body) }
        }
    }
}
