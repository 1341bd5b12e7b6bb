//! The files under `deploy/`: read, compared with what the other tests prove, and brought up.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};

use super::pod::{CAPABILITIES, Pod};
use crate::support::{
    KEY, Program,
    docker::{AGENT, AUTHSOME, Engine, OUTSIDE},
    packages::packages,
    text, within,
};

fn deployed(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy")).join(name)
}

/// A YAML file as JSON.
fn yaml(name: &str) -> Value {
    let script = "import json, sys, yaml\n\
        # `on` of GitHub's is no truth value.\n\
        print(json.dumps(yaml.load(open(sys.argv[1]), yaml.BaseLoader)))";
    let python = packages().join("python/bin/python3");
    let output = Command::new(python).args(["-c", script]).arg(deployed(name)).output().unwrap();
    assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A line whose continuations are joined, as a shell reads it.
fn joined(script: &str) -> String {
    script.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_pod_gives_the_sidecar_what_it_needs_and_the_agent_nothing() {
    let pod = yaml("kubernetes.yaml");
    let spec = &pod["spec"];
    let sidecar = &spec["initContainers"][0];
    assert_eq!(sidecar["name"], "authsome");
    assert_eq!(sidecar["restartPolicy"], "Always");
    let rights = json!({ "drop": ["ALL"], "add": CAPABILITIES });
    assert_eq!(sidecar["securityContext"]["capabilities"], rights);
    assert_eq!(sidecar["securityContext"]["readOnlyRootFilesystem"], "true");
    let ready = json!(["/usr/bin/authsome", "sidecar", "--ready"]);
    assert_eq!(sidecar["startupProbe"]["exec"]["command"], ready);

    let agents = spec["containers"].as_array().unwrap();
    assert!(!agents.is_empty());
    for agent in agents {
        let context = &agent["securityContext"];
        assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(context["allowPrivilegeEscalation"], "false");
        let mounts = agent["volumeMounts"].as_array().unwrap();
        let only = json!({ "name": "trust", "mountPath": "/run/authsome", "readOnly": "true" });
        assert_eq!(mounts, &[only]);
    }
    for way_round in
        ["hostNetwork", "hostPID", "shareProcessNamespace", "automountServiceAccountToken"]
    {
        assert_eq!(spec[way_round], "false", "{way_round}");
    }
    // Every volume that is mounted is there.
    let names: Vec<_> =
        spec["volumes"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    for mount in sidecar["volumeMounts"].as_array().unwrap() {
        assert!(names.contains(&&mount["name"]), "{mount}");
    }
}

#[test]
fn the_workflow_starts_what_the_other_tests_prove() {
    let workflow = yaml("github-actions.yml");
    let mut checked = 0;
    for job in workflow["jobs"].as_object().unwrap().values() {
        for script in
            job["steps"].as_array().unwrap().iter().filter_map(|step| step["run"].as_str())
        {
            let parsed = Command::new("bash").args(["-n", "-c", script]).status().unwrap();
            assert!(parsed.success(), "{script}");
            let script = joined(script);
            for container in script.split("docker run ").skip(1) {
                assert!(container.contains("--cap-drop ALL"), "{container}");
                let added: Vec<_> = container
                    .split("--cap-add ")
                    .skip(1)
                    .filter_map(|rest| rest.split_whitespace().next())
                    .collect();
                let sidecar = container.contains(" sidecar ");
                assert_eq!(added, if sidecar { &CAPABILITIES[..] } else { &[] }, "{container}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3);
}

/// `docker compose ARGS…` for `deploy/compose.yaml` with the images of the tests.
fn compose(engine: &Engine, images: &str, args: &[&str]) -> Program {
    let file = deployed("compose.yaml");
    let mut all = vec!["--project-name", "deployed", "--file", file.to_str().unwrap()];
    all.extend(["--file", images]);
    all.extend(args);
    let plugin = engine.docker(["compose", "version"]).run().status.success();
    let program = if plugin {
        engine.docker(["compose"].into_iter().chain(all))
    } else {
        engine.client("docker-compose", all)
    };
    program.env("OPENAI_API_KEY", KEY)
}

#[test]
fn compose_brings_up_an_agent_that_is_injected() {
    let Some(pod) = Pod::without_network() else { return };
    let engine = &pod.engine;
    let mut programs: Vec<_> = Engine::host_programs()
        .iter()
        .filter_map(|flag| Some(flag.strip_prefix("--volume=")?.to_owned()))
        .collect();
    let network = json!({
        "image": AGENT, "command": ["sleep", "infinity"], "volumes": programs,
        "extra_hosts": [format!("api.openai.com:{OUTSIDE}")],
    });
    let authority = format!("{}:/ca.pem:ro", engine.path("ca.pem").display());
    let resolve = format!("*:443:{OUTSIDE}:443");
    let deployed = yaml("compose.yaml");
    let mut command = deployed["services"]["authsome"]["command"].as_array().unwrap().clone();
    command.extend(["--resolve", &resolve, "--upstream-ca", "/ca.pem"].map(Value::from));
    let authsome = json!({ "image": AUTHSOME, "command": command, "volumes": [authority] });
    let script = deployed["services"]["agent"]["command"][2].as_str().unwrap();
    let script = script.replace("your-agent", "curl -sS https://api.openai.com/reflect");
    programs.push("trust:/run/authsome:ro".to_owned());
    let agent = json!({
        "image": AGENT, "command": ["sh", "-c", script], "volumes": programs, "user": "1000:1000",
    });
    // JSON is YAML.
    let services = json!({ "network": network, "authsome": authsome, "agent": agent });
    let images = pod.file("images.yaml", &json!({ "services": services }).to_string());
    let images = images.to_str().unwrap();

    compose(engine, images, &["up", "--detach"]).success();
    let id = compose(engine, images, &["ps", "--all", "--quiet", "agent"]).run();
    let id = text(&id.stdout);
    let id = if id.trim().is_empty() {
        compose(engine, images, &["ps", "--quiet", "agent"]).success()
    } else {
        id
    };
    let agent = id.trim();
    within(Duration::from_secs(30), "the agent ends", || {
        engine.inspect(agent, "{{.State.Status}}") == "exited"
    });

    let said = engine.logs(agent);
    assert!(said.contains("plain Bearer ") && !said.contains(KEY), "{said}");
    let seen = engine.upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    compose(engine, images, &["down", "--volumes"]).success();
}
