//! `authsome trust`: what the agent's container needs beside a sidecar.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Context, Error};
use crate::{
    cli::{Format, TrustArgs},
    sidecar::{exports, lines, written},
    trust,
};

pub(super) fn trust(args: &TrustArgs, context: &Context) -> Result<(), Error> {
    let mut env = written(&args.dir).unwrap_or_else(|| {
        context.output.note(format!(
            "{} holds no `env` of a sidecar's: the variables of its connections are missing here",
            args.dir.display()
        ));
        BTreeMap::new()
    });
    // Where the agent sees the directory is said here, whatever the sidecar was told.
    env.extend(trust::shared_variables(&args.dir));
    let dir = args.dir.display().to_string();
    if context.output.is_json() {
        return Ok(context.output.json(json!({ "dir": dir, "env": env }))?);
    }
    let text = match args.format {
        Format::Env => lines(&env),
        Format::Shell => exports(&env),
        Format::Docker => docker(&dir, &env),
        Format::Kubernetes => kubernetes(&dir, &env),
    };
    Ok(context.output.raw(&text)?)
}

/// Flags, one a line, to be pasted behind `docker run`.
fn docker(dir: &str, env: &BTreeMap<String, String>) -> String {
    let mut flags = vec![
        "--network container:SIDECAR".to_owned(),
        "--cap-drop ALL".to_owned(),
        "--security-opt no-new-privileges".to_owned(),
        format!("-v TRUST:{dir}:ro"),
    ];
    flags.extend(env.iter().map(|(name, value)| format!("-e {name}={}", shell_word(value))));
    flags.join(" \\\n") + "\n"
}

/// A part of a container's specification.
fn kubernetes(dir: &str, env: &BTreeMap<String, String>) -> String {
    let mut text = String::from(
        "securityContext:\n  allowPrivilegeEscalation: false\n  capabilities:\n    drop: [ALL]\n",
    );
    text.push_str(&format!(
        "volumeMounts:\n- name: authsome-trust\n  mountPath: {}\n  readOnly: true\nenv:\n",
        json_word(dir)
    ));
    for (name, value) in env {
        text.push_str(&format!("- name: {name}\n  value: {}\n", json_word(value)));
    }
    text
}

/// A JSON string is a YAML one.
fn json_word(value: &str) -> String {
    json!(value).to_string()
}

/// As a shell reads it; a value with a NUL, which no variable has, is left out.
fn shell_word(value: &str) -> String {
    shlex::try_quote(value).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> BTreeMap<String, String> {
        BTreeMap::from([("A".to_owned(), "x y".to_owned())])
    }

    #[test]
    fn the_agents_container_gets_no_capability() {
        assert!(docker("/t", &env()).contains("--cap-drop ALL"));
        assert!(kubernetes("/t", &env()).contains("drop: [ALL]"));
    }

    #[test]
    fn values_are_quoted_as_their_readers_expect() {
        assert!(docker("/t", &env()).contains("-e A='x y'"), "{}", docker("/t", &env()));
        assert!(kubernetes("/t", &env()).contains("- name: A\n  value: \"x y\"\n"));
    }
}
