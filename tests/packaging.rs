//! What is published, and installing it. The program in the packages is a line that starts the built
//! one: packing that itself would take minutes.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn write(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

fn executable(path: &Path, script: &str) {
    write(path, script.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs it and insists on success; its standard output.
fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// A directory as `scripts/release` leaves it, and a user's home.
struct Release {
    place: TempDir,
}

impl Release {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let launcher = place.path().join("authsome");
        let built = env!("CARGO_BIN_EXE_authsome");
        executable(&launcher, &format!("#!/bin/sh\nexec '{built}' \"$@\"\n"));
        let release = Self { place };
        fs::create_dir(release.home()).unwrap();
        output(
            Command::new(root().join("scripts/package"))
                .arg(launcher)
                .arg(release.directory())
                .env("SOURCE_DATE_EPOCH", "1700000000"),
        );
        release
    }

    fn directory(&self) -> PathBuf {
        self.place.path().join("dist")
    }

    fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    fn file(&self, end: &str) -> PathBuf {
        let mut files = fs::read_dir(self.directory()).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.to_string_lossy().ends_with(end)).unwrap()
    }

    /// `install.sh ARGS…`, as a user with no settings.
    fn install(&self, args: &[&Path]) -> Output {
        Command::new(self.directory().join("install.sh"))
            .arg("--prefix")
            .arg(self.prefix())
            .args(args)
            .env("HOME", self.home())
            .env_remove("AUTHSOME_HOME")
            .env_remove("XDG_DATA_HOME")
            .output()
            .unwrap()
    }

    fn prefix(&self) -> PathBuf {
        self.home().join(".local")
    }

    /// All files below the prefix, by their path there.
    fn installed(&self) -> Vec<String> {
        let mut command = Command::new("find");
        command.arg(self.prefix()).args([
            "-mindepth",
            "1",
            "-not",
            "-type",
            "d",
            "-printf",
            "%P\n",
        ]);
        let mut files: Vec<_> = output(&mut command).lines().map(str::to_owned).collect();
        files.sort();
        files
    }

    /// The archive, with another program in it and the checksum to go with that.
    fn with_program(&self, script: &str) -> PathBuf {
        let directory = self.place.path().join("other");
        fs::create_dir(&directory).unwrap();
        let archive = self.file(".tar.gz");
        output(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&directory));
        let tree = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().file_name();
        executable(&directory.join(&tree).join("bin/authsome"), script);
        let name = archive.file_name().unwrap();
        output(Command::new("tar").arg("-czf").arg(name).arg(&tree).current_dir(&directory));
        let sums = output(Command::new("sha256sum").arg(name).current_dir(&directory));
        write(&directory.join("SHA256SUMS"), sums.as_bytes());
        directory.join(name)
    }
}

#[test]
fn every_published_file_has_its_checksum() {
    let release = Release::new();

    let checked = output(
        Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(release.directory()),
    );

    // All but the list itself.
    assert_eq!(checked.lines().count() + 1, fs::read_dir(release.directory()).unwrap().count());
}

#[test]
fn what_is_packed_twice_is_the_same() {
    let sums = || text(Release::new().file("SHA256SUMS"));

    // The launcher names the built program and nothing that differs.
    assert_eq!(sums(), sums());
}

#[test]
fn an_archive_is_installed_where_programs_look() {
    let release = Release::new();

    let installed = release.install(&[&release.file(".tar.gz")]);

    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let said = String::from_utf8(installed.stdout).unwrap();
    let bin = release.prefix().join("bin");
    assert!(said.contains(&format!("export PATH=\"{}:$PATH\"", bin.display())), "{said}");
    let version = output(Command::new(bin.join("authsome")).arg("--version"));
    assert_eq!(version, format!("authsome {VERSION}\n"));
    let share = release.prefix().join("share");
    assert!(text(share.join("man/man1/authsome-run.1")).starts_with(".TH AUTHSOME-RUN 1 "));
    output(Command::new("bash").arg("-n").arg(share.join("bash-completion/completions/authsome")));
    let unit = text(share.join("systemd/user/authsome.service"));
    assert!(
        unit.contains(&format!("\nExecStart={}/authsome daemon serve\n", bin.display())),
        "{unit}"
    );
    // Below ~/.local that is the home of authsome itself.
    assert!(!share.join("authsome").exists());
}

#[test]
fn installing_again_changes_nothing() {
    let release = Release::new();
    let archive = release.file(".tar.gz");
    assert!(release.install(&[&archive]).status.success());
    let first = release.installed();

    assert!(release.install(&[&archive]).status.success());

    assert_eq!(release.installed(), first);
}

#[test]
fn an_archive_that_was_changed_is_refused_and_nothing_is_installed() {
    let release = Release::new();
    let archive = release.file(".tar.gz");
    let mut bytes = fs::read(&archive).unwrap();
    bytes.push(0);
    write(&archive, &bytes);

    let refused = release.install(&[&archive]);

    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("is not the file that SHA256SUMS names"), "{error}");
    assert!(!refused.status.success());
    assert_eq!(release.installed(), [""; 0]);
}

#[test]
fn an_archive_without_checksums_is_refused() {
    let release = Release::new();
    fs::remove_file(release.file("SHA256SUMS")).unwrap();

    let refused = release.install(&[&release.file(".tar.gz")]);

    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("there is no SHA256SUMS beside"), "{error}");
    assert_eq!(release.installed(), [""; 0]);
}

#[test]
fn a_program_that_cannot_run_here_replaces_nothing() {
    let release = Release::new();
    assert!(release.install(&[&release.file(".tar.gz")]).status.success());
    let before = release.installed();

    let refused = release.install(&[&release.with_program("#!/bin/sh\nexit 1\n")]);

    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("cannot run on this machine"), "{error}");
    assert_eq!(release.installed(), before);
    output(Command::new(release.prefix().join("bin/authsome")).arg("--version"));
}

#[test]
fn uninstalling_leaves_the_users_own_and_nothing_else() {
    let release = Release::new();
    let kept = release.prefix().join("share/authsome/config.toml");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::set_permissions(kept.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    write(&kept, b"");
    assert!(release.install(&[&release.file(".tar.gz")]).status.success());

    let removed = release.install(&[Path::new("--uninstall")]);

    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert_eq!(release.installed(), ["share/authsome/config.toml"]);
    assert!(!release.prefix().join("bin").exists());
}

#[test]
fn the_deb_has_everything_in_debians_places() {
    let release = Release::new();
    let deb = release.file(".deb");
    let parts = release.place.path().join("deb");
    fs::create_dir(&parts).unwrap();

    let members = output(Command::new("ar").arg("t").arg(&deb));

    assert_eq!(members, "debian-binary\ncontrol.tar.gz\ndata.tar.gz\n");
    output(Command::new("ar").arg("x").arg(&deb).current_dir(&parts));
    for part in ["control.tar.gz", "data.tar.gz"] {
        output(Command::new("tar").args(["-xzf", part]).current_dir(&parts));
    }
    let control = text(parts.join("control"));
    assert!(control.contains(&format!("\nVersion: {VERSION}\n")), "{control}");
    let usr = parts.join("usr");
    for file in [
        "bin/authsome",
        "share/man/man1/authsome-run.1.gz",
        "share/bash-completion/completions/authsome",
        "share/zsh/vendor-completions/_authsome",
        "share/fish/vendor_completions.d/authsome.fish",
        "share/doc/authsome/copyright",
        "share/doc/authsome/THIRD-PARTY.gz",
    ] {
        assert!(usr.join(file).is_file(), "{file}");
    }
    let unit = text(usr.join("lib/systemd/user/authsome.service"));
    assert!(unit.contains("\nExecStart=/usr/bin/authsome daemon serve\n"), "{unit}");
    let profile = text(usr.join("share/authsome/apparmor"));
    assert!(profile.contains("\nprofile authsome /usr/bin/authsome "), "{profile}");
    for text in [control, unit, profile] {
        for name in ["@bindir@", "@version@", "@arch@", "@size@"] {
            assert!(!text.contains(name), "{text}");
        }
    }
    output(Command::new("md5sum").args(["--quiet", "-c", "md5sums"]).current_dir(&parts));
}

#[test]
fn the_bill_of_materials_lists_what_is_in_the_program_with_its_licence() {
    let release = Release::new();

    let bom: Value = serde_json::from_str(&text(release.file(".cdx.json"))).unwrap();

    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = bom["components"].as_array().unwrap();
    let names: Vec<_> = components.iter().map(|one| one["name"].as_str().unwrap()).collect();
    for linked in ["hyper", "netns", "rustls", "sqlite", "dbus"] {
        assert!(names.contains(&linked), "{linked}");
    }
    for absent in ["clap_derive", "cc", "windows-sys", "authsome"] {
        assert!(!names.contains(&absent), "{absent}");
    }
    let mut references: Vec<_> = components.iter().map(|one| &one["bom-ref"]).collect();
    references.push(&bom["metadata"]["component"]["bom-ref"]);
    for component in components {
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
    for dependency in bom["dependencies"].as_array().unwrap() {
        for reference in dependency["dependsOn"].as_array().unwrap() {
            assert!(references.contains(&reference), "{reference}");
        }
    }
}

#[test]
fn scripts_have_no_finding_of_shellcheck() {
    let scripts =
        ["install.sh", "package", "release", "stage"].map(|name| root().join("scripts").join(name));
    let maintainers = ["postinst", "postrm"].map(|name| root().join("packaging/deb").join(name));

    output(Command::new("shellcheck").args(scripts).args(maintainers));
}
