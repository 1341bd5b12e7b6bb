//! `authsome demo`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Context, Error};
use crate::{
    cli::DemoArgs,
    demo::{self, Report},
};

/// Shows what authsome does, and checks each part of it. Fails unless every part was seen.
///
/// # Errors
///
/// The demonstration could not be carried out, or its result not be written.
pub fn demo(_args: &DemoArgs, context: &Context) -> Result<ExitCode, Error> {
    let report = demo::demonstrate()?;
    let passed = report.checks.iter().all(|check| check.seen);
    context.output.result(members(&report, passed), |text| {
        text.pairs([
            ("the agent sent", report.sent.clone()),
            ("the API received", report.received.clone()),
            ("it echoed, and the agent saw", report.answered.clone()),
        ]);
        text.blank();
        for check in &report.checks {
            let mark = if check.seen { "ok  " } else { "FAIL" };
            text.line(format!("{mark}  {}", check.what));
            text.dim(format!("      {}", check.detail));
        }
        text.blank();
        text.line(if passed {
            "Next: authsome login openai, then authsome run -- YOUR-AGENT"
        } else {
            "Something was not as it must be: authsome doctor"
        });
    })?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn members(report: &Report, passed: bool) -> Value {
    let checks: Vec<_> = report
        .checks
        .iter()
        .map(|check| json!({ "what": check.what, "seen": check.seen, "detail": check.detail }))
        .collect();
    json!({
        "passed": passed,
        "sent": report.sent,
        "received": report.received,
        "answered": report.answered,
        "checks": checks,
    })
}
