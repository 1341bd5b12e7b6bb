//! Policies as people write them: each directory of `tests/policy` is one with its cases, each file of
//! `tests/policy/errors` one that is refused, with where, why and the mend in its first line.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use authsome::policy::Policy;

fn entries(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut entries: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn every_case_is_decided_as_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let mut failures = String::new();
    for directory in entries("tests/policy").iter().filter(|path| !path.ends_with("errors")) {
        let output = Command::new(env!("CARGO_BIN_EXE_authsome"))
            .env("AUTHSOME_HOME", home.path().join("home"))
            .env("TZ", "UTC")
            .args(["policy", "test", "--policy"])
            .args([directory, &directory.join("policy.test.toml")])
            .output()
            .unwrap();
        if !output.status.success() {
            let (out, err) = (&output.stdout, &output.stderr);
            let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
            writeln!(failures, "{}:\n{out}{err}", directory.display()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_error_says_where_why_and_what_to_write() {
    let mut failures = String::new();
    for file in entries("tests/policy/errors") {
        let text = fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap();
        let expected = first.trim_start_matches(['#', '/', ' ']);
        let Err(error) = Policy::load_file(&file) else {
            writeln!(failures, "{} is a policy", file.display()).unwrap();
            continue;
        };
        let told = error.to_string();
        let told = told.strip_prefix(&format!("{}:", file.display())).unwrap_or(&told);
        let mend = error.hint().map(|mend| format!("; {mend}")).unwrap_or_default();
        if format!("{told}{mend}") != expected {
            writeln!(failures, "{}:\n  {told}{mend}\n  {expected}", file.display()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
