//! Requests and denials as they are recorded, and how many requests wait for a person, for the
//! script: server-sent events (HTML §9.2).
//!
//! Each event's data is one JSON object, a row in words; JSON has no line feed in it. A browser that
//! is too slow is told how many it missed. The stream ends with its session and with the daemon.
//! A page that shows no requests asks for the count alone: making events for it would cost each request.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    time::{MissedTickBehavior, interval},
};

use super::{
    Known,
    row::{Row, is_traffic},
};
use crate::dashboard::{
    AuditLine,
    context::{App, Visitor, query},
};

/// How often a silent stream says that it is alive, and looks whether its session is.
const BEAT: Duration = Duration::from_secs(15);

/// A comment: nothing to tell.
const SILENCE: &str = ":\n\n";

struct Live {
    app: App,
    visitor: Visitor,
    /// None: they are not wanted.
    lines: Option<Receiver<Arc<AuditLine>>>,
    /// Changes with what waits for a person.
    asks: watch::Receiver<u64>,
    /// The profile whose lines are shown.
    profile: Arc<str>,
    stopping: watch::Receiver<bool>,
    beat: tokio::time::Interval,
    _permit: OwnedSemaphorePermit,
}

/// `GET /events`
pub(in crate::dashboard) async fn stream(
    State(app): State<App>,
    Extension(visitor): Known,
    uri: Uri,
) -> Response {
    let only_asks = query(&uri).get("only").is_some_and(|only| only == "asks");
    let Ok(permit) = Arc::clone(&app.streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many live views\n").into_response();
    };
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let live = Live {
        lines: (!only_asks).then(|| app.of(&visitor).live()),
        asks: app.backend.asks_changes(),
        profile: app.of(&visitor).profile(),
        stopping: app.stopping.subscribe(),
        app,
        visitor,
        beat,
        _permit: permit,
    };
    let events = stream::unfold(live, |mut live| async move {
        let event = live.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(event)), live))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

impl Live {
    /// The next bytes; none when it is over. The first are a comment, at once: it opens the stream.
    async fn next(&mut self) -> Option<String> {
        let Self { stopping, .. } = self;
        let stop = async { drop(stopping.wait_for(|stopping| *stopping).await) };
        let event = tokio::select! {
            biased;
            () = stop => return None,
            _ = self.beat.tick() => SILENCE.to_owned(),
            Ok(()) = self.asks.changed() => {
                format!("event: asks\ndata: {}\n\n", self.app.backend.asks_count())
            }
            line = next_of(&mut self.lines) => match line {
                Ok(line) if !is_traffic(&line) || !self.is_ours(&line) => SILENCE.to_owned(),
                Ok(line) => format!("data: {}\n\n", json(&Row::new(&line))),
                Err(RecvError::Lagged(missed)) => format!("event: missed\ndata: {missed}\n\n"),
                Err(RecvError::Closed) => return None,
            }
        };
        let open = self.app.sessions.is_open(&self.visitor.session, SystemTime::now());
        open.then_some(event)
    }
}

impl Live {
    /// Is it about the visitor's profile, or about none?
    fn is_ours(&self, line: &AuditLine) -> bool {
        let profile = line.get("profile").and_then(serde_json::Value::as_str);
        profile.is_none_or(|profile| *profile == *self.profile)
    }
}

/// The next line; never one where none are wanted.
async fn next_of(
    lines: &mut Option<Receiver<Arc<AuditLine>>>,
) -> Result<Arc<AuditLine>, RecvError> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// Strings always become JSON.
fn json(row: &Row) -> String {
    serde_json::to_string(row).unwrap_or_default()
}
