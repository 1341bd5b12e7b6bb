//! One entry for people: time, what was decided or done, to what, how it ended, and who it was.

use serde_json::Value;

use crate::output::visible;

pub(super) fn line(entry: &Value) -> String {
    let text = |name: &str| match entry.get(name) {
        Some(Value::String(text)) => Some(visible(text).into_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let what = text("decision").or_else(|| text("operation")).or_else(|| text("kind"));
    let target = text("host").map(|host| {
        let port = text("port").filter(|port| port != "443");
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{host}{port}{}", text("path").unwrap_or_default())
    });
    let seconds = text("time").map(|time| time.chars().take(19).collect::<String>());
    let words = [
        seconds.map(|time| time.replace('T', " ")),
        what.map(|what| format!("{what:7}")),
        text("method"),
        target,
        text("status"),
        text("connection"),
        text("error"),
        about_itself(entry),
        text("policy").map(|policy| format!("policy {policy}")),
        text("agent").map(|agent| format!("agent {}", last(&agent))),
        process(text("executable").as_deref(), text("process")),
        text("profile").filter(|name| name != "default").map(|name| format!("profile {name}")),
        text("run").map(|run| format!("run {run}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// `curl[4711]`.
fn process(executable: Option<&str>, process: Option<String>) -> Option<String> {
    match (executable.map(last), process) {
        (Some(program), Some(process)) => Some(format!("by {program}[{process}]")),
        (Some(program), None) => Some(format!("by {program}")),
        (None, Some(process)) => Some(format!("by process {process}")),
        (None, None) => None,
    }
}

/// What follows the last `/`.
fn last(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// What a line of the log about itself counts.
fn about_itself(entry: &Value) -> Option<String> {
    let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64);
    if let Some(lost) = number(entry, "lost") {
        return Some(format!("{lost} events that could not be written"));
    }
    if let Some(through) = entry.get("deleted").and_then(|deleted| number(deleted, "through")) {
        return Some(format!("entries up to {through}"));
    }
    let bytes = entry.get("torn").and_then(|torn| number(torn, "bytes"))?;
    Some(format!("{bytes} bytes of an entry cut short by a crash"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_one_line_with_what_matters() {
        let entry = json!({
            "v": 1, "seq": 1, "time": "2026-01-02T03:04:05.678Z", "kind": "request", "run": "ab12",
            "method": "GET", "host": "api.example.com", "port": 443, "path": "/x",
            "decision": "inject", "status": 200, "connection": "example/default",
        });

        assert_eq!(
            line(&entry),
            "2026-01-02 03:04:05  inject   GET  api.example.com/x  200  example/default  run ab12"
        );
    }

    #[test]
    fn who_it_was_and_which_policy_decided_are_shown() {
        let entry = json!({
            "kind": "request", "decision": "deny", "host": "a.example", "policy": "no-writes",
            "agent": "agent://local/builder", "process": 4711, "executable": "/usr/bin/curl",
            "profile": "work",
        });

        assert_eq!(
            line(&entry),
            "deny     a.example  policy no-writes  agent builder  by curl[4711]  profile work"
        );
    }

    #[test]
    fn an_unusual_port_is_shown() {
        let entry = json!({ "kind": "splice", "host": "a.example", "port": 22 });

        assert_eq!(line(&entry), "splice   a.example:22");
    }

    #[test]
    fn what_the_log_says_of_itself_is_counted() {
        let line = |entry: Value| line(&entry);
        let lost = json!({ "kind": "log", "operation": "lost", "lost": 7 });
        assert_eq!(line(lost), "lost     7 events that could not be written");
        let deleted = json!({ "kind": "log", "operation": "deleted", "deleted": { "through": 9 } });
        assert_eq!(line(deleted), "deleted  entries up to 9");
    }
}
