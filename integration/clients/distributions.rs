//! The places of other distributions, made real: this machine's programs in a file system where the roots
//! lie only there, without a variable that tells of them.
//!
//! Go looks for a bundle at all of these places; Python, with Debian's OpenSSL, in `/etc/ssl/certs` for
//! a certificate by its hash.

use std::{os::unix::fs::symlink, path::Path, process::Command};

use super::account::GITHUB;
use crate::support::{Scene, text, write};

/// Roots as a distribution has them; paths without the first slash.
struct Layout {
    bundle: &'static str,
    /// Links and what is in them.
    links: &'static [(&'static str, &'static str)],
    /// A directory of hashes, to which `/etc/ssl/certs` leads.
    hashed: Option<&'static str>,
}

const HASH_NAME: &str = "02265526.0";

/// Makes the layout, runs authsome and its daemon in it, and insists on what the upstream was sent.
fn proven(layout: &Layout) {
    let scene = Scene::new();
    let root = scene.directory.path().join("root");
    let place = |path: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let roots = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap();
    write(&place(layout.bundle), &roots);
    for (link, target) in layout.links {
        symlink(target, place(link)).unwrap();
    }
    if let Some(hashed) = layout.hashed {
        write(&place(&format!("{hashed}/{HASH_NAME}")), &roots);
    }
    for path in ["etc/passwd", "etc/group"] {
        write(&place(path), &std::fs::read(Path::new("/").join(path)).unwrap());
    }

    let mut script = "printf %s \"$TOKEN\" | \"$AUTHSOME\" login github --secret-stdin || exit\n\
                      agent() { \"$AUTHSOME\" run --resolve \"$RESOLVE\" --upstream-ca \"$CA\" -- \
                      env -i HOME=\"$HOME\" GH_TOKEN=ghp_none \"$@\"; }\n\
                      agent gh api user"
        .to_owned();
    if layout.hashed.is_some() {
        script.push_str(
            " && agent /usr/bin/python3 -c \
             'import urllib.request as r; r.urlopen(\"https://api.github.com/hashed\")'",
        );
    }
    script.push_str("\nstatus=$?; \"$AUTHSOME\" daemon stop; exit $status");

    let outside = scene.authsome::<[&str; 0]>([]).command;
    let mut command = Command::new("bwrap");
    command.args(["--tmpfs", "/", "--ro-bind", "/usr", "/usr", "--bind", "/tmp", "/tmp"]);
    command.args(["--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc"]);
    for name in ["bin", "sbin", "lib", "lib64"] {
        command.args(["--symlink", &format!("usr/{name}"), &format!("/{name}")]);
    }
    for entry in std::fs::read_dir(&root).unwrap() {
        let entry = entry.unwrap();
        command.arg("--ro-bind").arg(entry.path()).arg(Path::new("/").join(entry.file_name()));
    }
    // Where it was built, if an ordinary user runs the tests.
    command.arg("--ro-bind").args([outside.get_program(), outside.get_program()]);
    command.args(["--", "/bin/sh", "-c", &script]);
    command.env_clear().envs(outside.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("AUTHSOME", outside.get_program()).env("TOKEN", GITHUB.secret());
    command.env("RESOLVE", scene.upstream.resolve_flag()).env("CA", scene.ca_file());
    scene.as_user(&mut command);
    let output = command.output().unwrap();

    assert!(output.status.success(), "{}", text(&output.stderr));
    let (header, value) = GITHUB.sent();
    let mut paths = vec!["/user"];
    paths.extend(layout.hashed.map(|_| "/hashed"));
    let seen = scene.upstream.seen();
    for path in paths {
        let sent = seen.iter().find(|seen| seen.uri.ends_with(path));
        assert_eq!(sent.and_then(|sent| sent.header(header)), Some(value.as_str()), "{path}");
    }
}

/// Up to 41, and RHEL.
#[test]
fn fedora() {
    proven(&Layout {
        bundle: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        links: &[
            ("etc/pki/tls/certs/ca-bundle.crt", "../../ca-trust/extracted/pem/tls-ca-bundle.pem"),
            ("etc/pki/tls/cert.pem", "certs/ca-bundle.crt"),
            ("etc/ssl/certs", "/etc/pki/tls/certs"),
        ],
        hashed: None,
    });
}

/// Since OpenSSL is given a directory of hashes.
#[test]
fn fedora_with_hashes() {
    proven(&Layout {
        bundle: "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        links: &[
            ("etc/pki/tls/certs", "/etc/pki/ca-trust/extracted/pem/directory-hash"),
            ("etc/ssl/certs", "/etc/pki/tls/certs"),
        ],
        hashed: Some("etc/pki/ca-trust/extracted/pem/directory-hash"),
    });
}

#[test]
fn alpine() {
    proven(&Layout {
        bundle: "etc/ssl/certs/ca-certificates.crt",
        links: &[("etc/ssl/cert.pem", "certs/ca-certificates.crt")],
        hashed: Some("etc/ssl/certs"),
    });
}

#[test]
fn suse() {
    proven(&Layout {
        bundle: "var/lib/ca-certificates/ca-bundle.pem",
        links: &[
            ("etc/ssl/ca-bundle.pem", "/var/lib/ca-certificates/ca-bundle.pem"),
            ("etc/ssl/certs", "/var/lib/ca-certificates/pem"),
        ],
        hashed: Some("var/lib/ca-certificates/pem"),
    });
}

#[test]
fn arch() {
    proven(&Layout {
        bundle: "etc/ca-certificates/extracted/tls-ca-bundle.pem",
        links: &[
            ("etc/ssl/cert.pem", "/etc/ca-certificates/extracted/tls-ca-bundle.pem"),
            (
                "etc/ssl/certs/ca-certificates.crt",
                "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
            ),
        ],
        hashed: Some("etc/ssl/certs"),
    });
}

#[test]
fn nixos() {
    proven(&Layout {
        bundle: "nix/store/1-nss-cacert/etc/ssl/certs/ca-bundle.crt",
        links: &[
            (
                "etc/ssl/certs/ca-certificates.crt",
                "/nix/store/1-nss-cacert/etc/ssl/certs/ca-bundle.crt",
            ),
            ("etc/ssl/certs/ca-bundle.crt", "/nix/store/1-nss-cacert/etc/ssl/certs/ca-bundle.crt"),
        ],
        hashed: None,
    });
}
