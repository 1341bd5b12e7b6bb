//! `authsome run` in a container: what an engine forbids by default, and what it takes.

use crate::support::{
    KEY, Program,
    docker::{AGENT, Engine, OUTSIDE},
    text,
};

/// `authsome run -- id -u` in a container of its own.
fn run_in_container(engine: &Engine, flags: &[&str]) -> Program {
    let program = format!("--volume={}:/authsome:ro", env!("CARGO_BIN_EXE_authsome"));
    let mounts = Engine::host_programs();
    let mut args =
        vec!["run", "--rm", "--user=1000:1000", "--env=AUTHSOME_HOME=/tmp/authsome", &program];
    args.extend(mounts.iter().map(String::as_str));
    args.extend(flags);
    args.extend([AGENT, "/authsome", "run", "--", "id", "-u"]);
    engine.docker(args)
}

#[test]
fn a_run_that_the_engine_forbids_says_what_would_mend_it() {
    let Some(engine) = Engine::start() else { return };

    let refused = run_in_container(&engine, &[]).run();
    assert_eq!(refused.status.code(), Some(125), "{}", text(&refused.stderr));
    let said = text(&refused.stderr);
    assert!(said.contains("authsome: error: cannot create a user namespace"), "{said}");
    assert!(said.contains("--security-opt seccomp=unconfined"), "{said}");
    assert!(said.contains("or use the sidecar"), "{said}");

    // One step further, and the next thing in the way is named.
    let unconfined = ["--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"];
    let masked = run_in_container(&engine, &unconfined).run();
    assert_eq!(masked.status.code(), Some(125), "{}", text(&masked.stderr));
    let said = text(&masked.stderr);
    assert!(said.contains("--security-opt systempaths=unconfined"), "{said}");

    let options = [unconfined[0], unconfined[1], "--security-opt=systempaths=unconfined"];
    let allowed = run_in_container(&engine, &options).success();
    assert_eq!(allowed, "1000\n");
}

#[test]
fn without_a_namespace_a_run_needs_nothing_that_an_engine_forbids() {
    let Some(engine) = Engine::start() else { return };
    let program = format!("--volume={}:/authsome:ro", env!("CARGO_BIN_EXE_authsome"));
    let ca = format!("--volume={}:/ca.pem:ro", engine.path("ca.pem").display());
    let mounts = Engine::host_programs();
    let url = "https://api.openai.com/v1/models";
    let script = format!(
        "echo {KEY} | /authsome login openai --secret-stdin >/dev/null && \
         exec /authsome run --redirect seccomp --resolve '*:443:{OUTSIDE}:443' --upstream-ca /ca.pem -- \
         curl -sS -o /dev/null -w '%{{http_code}}\\n' {url}"
    );
    let mut args = vec!["run", "--rm", "--user=1000:1000", "--cap-drop=ALL", &program, &ca];
    args.extend(["--env=AUTHSOME_HOME=/tmp/authsome", "--env=HOME=/tmp"]);
    args.extend(mounts.iter().map(String::as_str));
    args.extend([AGENT, "/bin/sh", "-c", &script]);
    let output = engine.docker(args).run();
    let said = text(&output.stdout);
    assert!(said.starts_with("200\n"), "{said}{}", text(&output.stderr));
    let bearer = format!("Bearer {KEY}");
    let seen = engine.upstream.seen();
    assert!(seen.iter().any(|seen| seen.header("authorization") == Some(&bearer)));
}
