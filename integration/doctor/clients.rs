//! Clients that do not trust the run, each for a reason of its own.

use std::path::Path;

use super::Report;
use crate::support::{Scene, packages::packages, write};

#[track_caller]
fn client(report: &Report, name: &str, trust: &str, said: &str, mend: &str) {
    let of = |client: &serde_json::Value, member: &str| {
        client[member].as_str().unwrap_or_default().to_owned()
    };
    let found = report.clients().iter().any(|client| {
        client["name"] == name
            && client["trust"] == trust
            && of(client, "message").contains(said)
            && of(client, "hint").contains(mend)
    });
    assert!(found, "{name}, {trust}, {said:?}, {mend:?} in {:#}", report.json["clients"]);
}

/// Everything, as a user does it.
fn examined(scene: &Scene, variables: &[(&str, &Path)]) -> Report {
    let mut program = scene.authsome(["doctor", "--json"]);
    for (name, value) in variables {
        program = program.env(name, value);
    }
    Report::of(program)
}

#[test]
fn roots_that_a_configuration_names_are_covered_too_and_a_proxy_in_one_is_named() {
    let scene = Scene::new();
    let at = |name: &str| scene.user_home().join(name);
    let other = scene.ca_file();
    write(
        &at(".curlrc"),
        format!("cacert = {}\ncapath = /nonexistent\n", other.display()).as_bytes(),
    );
    write(&at(".gitconfig"), b"[http]\n\tproxy = http://proxy.example:3128\n");
    write(&at(".npmrc"), format!("cafile={}\n", other.display()).as_bytes());
    let report = examined(&scene, &[]);
    client(&report, "curl", "trusts", "", "");
    client(&report, "git", "proxied", "", "http.proxy");
    client(&report, "npm", "trusts", "", "");
    client(&report, "wget", "trusts", "", "");
    assert_eq!(report.code, Some(0), "{:#}", report.json);
}

#[test]
fn a_certifi_that_the_run_does_not_cover_is_named_with_its_place() {
    let scene = Scene::new();
    let library = scene.user_home().join("library");
    let installed = packages().join("python/lib");
    let python = std::fs::read_dir(installed).unwrap().next().unwrap().unwrap().path();
    let from = python.join("site-packages/certifi");
    std::fs::create_dir_all(library.join("certifi")).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), library.join("certifi").join(entry.file_name())).unwrap();
        }
    }
    let report = examined(&scene, &[("PYTHONPATH", &library)]);
    let place = library.join("certifi/cacert.pem");
    client(&report, "python certifi", "distrusts", place.to_str().unwrap(), "REQUESTS_CA_BUNDLE");
    assert_eq!(report.code, Some(0), "{:#}", report.json);
}

#[test]
fn what_is_not_installed_is_said_to_be_missing() {
    let scene = Scene::new();
    let report = examined(&scene, &[("PATH", Path::new("/nonexistent"))]);
    client(&report, "curl", "missing", "", "");
    assert!(report.clients().iter().all(|client| client["trust"] == "missing"));
}
