//! Upstreams that could not be verified or reached.

use super::{Report, doctor_in, unshared};
use crate::support::Scene;

#[test]
fn a_variable_that_names_no_bundle_is_named() {
    let scene = Scene::new();
    let program = scene.authsome(["doctor", "--json", "--quick"]);
    let report = Report::of(program.env("SSL_CERT_FILE", "/nonexistent/ca.pem"));
    report.says(
        "system roots",
        "fail",
        "SSL_CERT_FILE names /nonexistent/ca.pem",
        "unset SSL_CERT_FILE",
    );
}

#[test]
fn missing_roots_are_named_with_the_package() {
    let scene = Scene::new();
    let report = doctor_in(&scene, unshared("mount -t tmpfs none /etc/ssl"));
    report.says("system roots", "fail", "no root certificate", "ca-certificates");
}

#[test]
fn a_dead_proxy_is_named() {
    for name in ["HTTPS_PROXY", "all_proxy"] {
        let scene = Scene::new();
        // Port 1 of the loopback: nobody is there.
        let program = scene.authsome(["doctor", "--json", "--quick"]);
        let report = Report::of(program.env(name, "http://user:secret@127.0.0.1:1"));
        report.says("proxy", "fail", "127.0.0.1:1, which cannot be used", "unset HTTPS_PROXY");
        assert!(!report.json.to_string().contains("secret"));
    }
}

#[test]
fn a_proxy_that_is_no_url_is_named_without_its_value() {
    let scene = Scene::new();
    let program = scene.authsome(["doctor", "--json", "--quick"]);
    let report = Report::of(program.env("HTTPS_PROXY", "socks5://user:secret@proxy"));
    report.says("proxy", "fail", "HTTPS_PROXY is not an http", "unset");
    assert!(!report.json.to_string().contains("secret"));
}
