//! What telemetry is told of an event that goes on record.

use std::{sync::Arc, time::Duration};

use crate::{
    audit::{Event, Kind},
    telemetry::otlp::{Activity, ActivityKind, Happened},
};

/// What happened, if it is something that telemetry tells of.
pub(super) fn happened(event: &Event) -> Option<Happened> {
    let kind = match event.kind {
        Kind::Request => ActivityKind::Request,
        Kind::Splice => ActivityKind::Splice,
        Kind::Connection => ActivityKind::Connection,
        Kind::Run => {
            return match event.operation.as_deref() {
                Some("open") => Some(Happened::RunOpened),
                Some("close") => Some(Happened::RunClosed),
                _ => None,
            };
        }
        Kind::Vault => {
            let renewed = match event.operation.as_deref() {
                Some("renew") => true,
                Some("login-needed") => false,
                _ => return None,
            };
            let connection = Arc::clone(event.connection.as_ref()?);
            return Some(Happened::Renewal { connection, renewed });
        }
        Kind::Ask | Kind::Daemon | Kind::Log => return None,
    };
    Some(Happened::Activity(Box::new(Activity {
        kind,
        started: event.time,
        duration: Duration::from_millis(event.duration_ms.unwrap_or_default()),
        method: event.method.clone(),
        host: event.host.clone(),
        port: event.port,
        path: event.path.clone(),
        status: event.status,
        error: event.error.clone(),
        agent: event.agent.clone(),
        run: event.run.clone(),
        connection: event.connection.clone(),
        decision: event.decision.clone(),
        policy: event.policy.clone(),
        bytes_sent: event.bytes_sent.unwrap_or_default(),
        bytes_received: event.bytes_received.unwrap_or_default(),
    })))
}
