//! `authsome run` in a container: what an engine forbids by default, and what it takes.

use crate::support::{
    Program,
    docker::{AGENT, Engine},
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
