//! `authsome log verify`.
//!
//! The key comes from the daemon where it can be asked, since there it is sealed in the vault; else from
//! the file beside the log. No daemon is started for it: a log must be verifiable without one.

use jiff::Timestamp;
use serde_json::json;

use super::super::{Context, Error};
use crate::{
    audit::{
        self, parse_key,
        read::{self, Head, KeyFrom, Problem, Report, Trust},
    },
    daemon::client::Client,
    protocol::{Request, audit::AuditView},
};

pub(super) fn verify(context: &Context) -> Result<(), Error> {
    let (report, _) = checked(context)?;
    let problem = report.first_problem.as_ref().map(|problem| {
        json!({
            "file": problem.file,
            "line": problem.line,
            "byte": problem.byte,
            "fault": problem.fault.name(),
            "message": problem.fault.to_string(),
        })
    });
    if let (Some(problem), false) = (&report.first_problem, context.output.is_json()) {
        return Err(broken(problem, context));
    }
    let signed = report.signed.as_ref().map(|signed| {
        json!({
            "seq": signed.seq,
            "time": Timestamp::try_from(signed.time).ok().map(|time| format!("{time:.3}")),
            "key": hex::encode(signed.key),
            "key_from": key_from(signed.key_from),
        })
    });
    let members = json!({
        "verified": problem.is_none(),
        "records": report.records,
        "begins": report.begins,
        "files": report.files,
        "recovered": report.recovered,
        "lost": report.lost,
        "head": { "seq": report.head.seq, "hash": report.head.hash },
        "signed": signed,
        "problem": problem,
    });
    context.output.result(members, |text| {
        text.line(format!("{} entries, each follows from the one before.", report.records));
        if report.begins > 1 {
            let line =
                format!("Begins at {}: those before were deleted, on record.", report.begins);
            text.line(line);
        }
        if report.recovered > 0 {
            text.line(format!("{} times a crash cut a line short.", report.recovered));
        }
        if report.lost > 0 {
            text.line(format!("{} events were lost while it could not be written.", report.lost));
        }
        if let Some(signed) = &report.signed {
            let whose = match signed.key_from {
                KeyFrom::Caller => "the key in the daemon's vault",
                KeyFrom::File => "the key kept beside the log (the daemon was not asked)",
                KeyFrom::Head => "a key that only the signature itself names",
            };
            text.line(format!("Signed up to {}, with {whose}.", signed.seq));
        }
        if report.records > 0 {
            text.dim(format!("Last: {} {}", report.head.seq, report.head.hash));
        }
    })?;
    match report.first_problem {
        Some(problem) => Err(broken(&problem, context)),
        None => Ok(()),
    }
}

fn broken(problem: &Problem, context: &Context) -> Error {
    Error::failed(problem.to_string()).hint(keep_aside(context))
}

/// What to do with a log that does not hold: it is evidence, and the next one needs its place.
pub(in crate::commands) fn keep_aside(context: &Context) -> String {
    let home = context.home.root().display();
    format!("authsome daemon stop; mkdir -m 700 audit-kept; mv {home}/audit.* audit-kept/")
}

fn key_from(from: KeyFrom) -> &'static str {
    match from {
        KeyFrom::Caller => "daemon",
        KeyFrom::File => "file",
        KeyFrom::Head => "head",
    }
}

/// Checks the log with what the daemon knows of it, if it can be asked; says also how it is.
pub(in crate::commands) fn checked(
    context: &Context,
) -> Result<(Report, Option<AuditView>), audit::Error> {
    let view = view(context);
    let trust = view.as_ref().map(trust).unwrap_or_default();
    Ok((read::verify_with(&context.home.audit_log(), &trust)?, view))
}

/// How the audit log is, if there is a daemon of this version.
pub(in crate::commands) fn view(context: &Context) -> Option<AuditView> {
    Client::connect(&context.home).ok().flatten()?.call(Request::Audit).ok()
}

fn trust(view: &AuditView) -> Trust {
    Trust {
        key: parse_key(&view.public_key),
        head: (view.seq > 0).then(|| Head { seq: view.seq, hash: view.hash.clone() }),
    }
}
