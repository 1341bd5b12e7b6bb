//! Small parts that several pages have.

use maud::{Markup, html};

use super::text::sentence;
use crate::{
    dashboard::{context::Visitor, routes::CSRF_INPUT},
    protocol::ErrorReply,
};

/// How something is. Always said in words too; the colour only repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dashboard) enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// Wrong, or refused.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    /// The class of the stylesheet.
    pub(in crate::dashboard) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }
}

/// A word in a small box.
pub(in crate::dashboard) fn badge(tone: Tone, text: &str) -> Markup {
    html! { span.badge.(tone.class()) { (text) } }
}

/// The input without which a form is not taken.
pub(in crate::dashboard) fn csrf(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name=(CSRF_INPUT) value=(visitor.csrf); }
}

/// What went wrong and what would mend it.
pub(in crate::dashboard) fn problem(error: &ErrorReply) -> Markup {
    html! {
        div.notice.bad {
            p { strong { "Error: " } (sentence(&error.message)) }
            @if let Some(hint) = &error.hint { p.hint { "Hint: " (hint) } }
        }
    }
}

/// The same, spoken at once: for the answer to a form.
pub(in crate::dashboard) fn alert(error: &ErrorReply) -> Markup {
    html! { div role="alert" { (problem(error)) } }
}

/// Something that went well.
pub(in crate::dashboard) fn done(text: &str) -> Markup {
    html! { div.notice.good role="status" { p { (text) } } }
}

/// Nothing to show, and what to do about that.
pub(in crate::dashboard) fn empty(text: &Markup) -> Markup {
    html! { div.empty { p { (text) } } }
}

/// A labelled input of plain text.
#[derive(Debug, Default)]
pub(in crate::dashboard) struct Input<'a> {
    pub(in crate::dashboard) id: &'a str,
    pub(in crate::dashboard) name: &'a str,
    pub(in crate::dashboard) label: &'a str,
    pub(in crate::dashboard) value: &'a str,
    /// What holds where it is left empty.
    pub(in crate::dashboard) placeholder: Option<&'a str>,
    /// What helps to fill it in.
    pub(in crate::dashboard) hint: Option<&'a str>,
    pub(in crate::dashboard) required: bool,
    /// Is it a secret? Then it has no value, and the browser is asked to keep none.
    pub(in crate::dashboard) secret: bool,
}

impl maud::Render for Input<'_> {
    fn render(&self) -> Markup {
        let hint = self.hint.map(|_| format!("{}-hint", self.id));
        html! {
            div.field {
                label for=(self.id) {
                    (self.label) @if !self.required { span.muted { " (optional)" } }
                }
                @if let (Some(text), Some(id)) = (self.hint, &hint) { p.hint id=(id) { (text) } }
                @if self.secret {
                    input id=(self.id) name=(self.name) type="password" autocomplete="off"
                        autocapitalize="none" spellcheck="false" required[self.required]
                        aria-describedby=[hint.as_deref()];
                } @else {
                    input id=(self.id) name=(self.name) type="text" value=(self.value)
                        placeholder=[self.placeholder] autocomplete="off" autocapitalize="none" spellcheck="false"
                        required[self.required] aria-describedby=[hint.as_deref()];
                }
            }
        }
    }
}
