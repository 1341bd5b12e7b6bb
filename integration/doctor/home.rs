//! What lies in the home is broken.

use std::{
    fs,
    io::{BufRead as _, Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
};

use super::{Report, doctor, doctor_in, unshared};
use crate::support::{Scene, eventually, is_root, write};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// A scene whose home exists, with no daemon.
fn resting() -> Scene {
    let scene = Scene::connected();
    scene.authsome(["daemon", "stop"]).success();
    eventually("the daemon's end", || scene.daemon_pid().is_none());
    scene
}

/// Makes a file that belongs to the scene's user.
fn put(scene: &Scene, path: &Path, contents: &[u8]) {
    let owner = fs::metadata(scene.home()).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write(path, contents);
    for path in [path.parent().unwrap(), path] {
        if is_root() {
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }
    set_mode(path, 0o600);
    set_mode(path.parent().unwrap(), 0o700);
}

fn fixed(scene: &Scene) -> Report {
    Report::of(scene.authsome(["doctor", "--json", "--quick", "--fix"]))
}

#[test]
fn a_home_and_a_key_that_others_can_read_are_named_and_closed() {
    for name in ["", "master.key"] {
        let scene = resting();
        let path = scene.home().join(name);
        set_mode(&path, 0o755);
        let command =
            format!("chmod {} {}", if name.is_empty() { "700" } else { "600" }, path.display());
        let check = if name.is_empty() { "home" } else { "daemon" };
        let report = doctor(&scene);
        let found = report.checks().iter().any(|check| {
            let hint = check["hint"].as_str().unwrap_or_default();
            check["status"] == "fail" && hint.trim_end_matches('/') == command.trim_end_matches('/')
        });
        assert!(found, "{check}, {command} in {:#}", report.json);
        let report = fixed(&scene);
        assert_eq!(report.code, Some(0), "{:#}", report.json);
        assert!(report.json["fixed"][0]["message"].as_str().unwrap().contains("755"));
        assert_eq!(mode(&path) & 0o077, 0);
    }
}

#[test]
fn a_home_of_somebody_else_is_named() {
    let scene = Scene::new();
    let home = scene.home();
    fs::create_dir(&home).unwrap();
    set_mode(&home, 0o700);
    let other = if is_root() {
        std::os::unix::fs::chown(&home, Some(54_321), None).unwrap();
        home
    } else {
        // Root's, and nobody else's to write to.
        "/usr/lib".into()
    };
    let program = scene.authsome(["doctor", "--json", "--quick"]).env("AUTHSOME_HOME", &other);
    Report::of(program).says("home", "fail", "belongs to user", "sudo chown -R");
}

#[test]
fn a_full_disk_is_named() {
    let scene = Scene::new();
    let home = scene.home();
    let home = home.display();
    let script = format!(
        "mkdir -m 700 {home}; mount -t tmpfs -o size=64k,mode=700 none {home}; \
         head -c 60000 /dev/zero > {home}/filling || true"
    );
    let report = doctor_in(&scene, unshared(&script));
    report.says("disk", "fail", "full", "df -h");
}

#[test]
fn what_the_user_wrote_wrong_is_named_with_its_line() {
    for (name, contents, check, status, cause) in [
        ("config.toml", "[run]\negress = maybe\n", "configuration", "fail", "config.toml"),
        (
            "policy/policy.toml",
            "default = \"perhaps\"\n",
            "policy",
            "fail",
            "every request is denied",
        ),
        ("providers/broken.toml", "name = \n", "providers", "warn", "broken.toml"),
    ] {
        let scene = resting();
        put(&scene, &scene.home().join(name), contents.as_bytes());
        let report = doctor(&scene);
        report.says(check, status, cause, "");
        let check = report.checks().iter().find(|found| found["name"] == check).unwrap();
        assert!(check["hint"].is_string(), "{check:#}");
    }
}

#[test]
fn two_providers_of_one_host_are_named() {
    let scene = Scene::connected();
    let definition = "name = \"openai-too\"\ndisplay_name = \"Other\"\nauth_type = \"api_key\"\n\
        hosts = [\"api.openai.com\"]\n[[fields]]\nname = \"api_key\"\nlabel = \"Key\"\n\
        env = [\"OTHER_KEY\"]\nplaceholder = \"other_{random}\"\n[[inject]]\nkind = \"bearer\"\n";
    let path = scene.directory.path().join("openai-too.toml");
    write(&path, definition.as_bytes());
    scene.authsome(["register", path.to_str().unwrap(), "--yes"]).success();
    scene.login("openai-too", "other-key-0123456789");
    let report = doctor(&scene);
    let said = report.json.to_string();
    assert!(said.contains("api.openai.com is claimed by openai and openai-too"), "{said}");
    assert!(said.contains("--connection"), "{said}");
}

#[test]
fn a_missing_or_a_wrong_key_is_named() {
    let scene = resting();
    let key = scene.home().join("master.key");
    let contents = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    doctor(&scene).says("vault", "fail", "master key is missing", "put the key back");
    let other = resting();
    put(&scene, &key, &fs::read(other.home().join("master.key")).unwrap());
    doctor(&scene).says(
        "vault",
        "fail",
        "made with another master key",
        "then authsome daemon stop",
    );
    put(&scene, &key, &contents);
    scene.authsome(["daemon", "stop"]).success();
    doctor(&scene).says("vault", "ok", "all readable", "");
}

#[test]
fn a_daemon_of_another_version_is_named_and_replaced() {
    let scene = resting();
    let socket = scene.home().join("daemon.sock");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    put_owner(&scene, &socket);
    let place = socket;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let place = place.clone();
            std::thread::spawn(move || old_daemon(stream, &place));
        }
    });
    doctor(&scene).says("daemon", "fail", "version 0.0.1, this is", "authsome daemon stop");
    let report = fixed(&scene);
    let message = report.json["fixed"][0]["message"].as_str().unwrap();
    assert!(message.contains("0.0.1"), "{message}");
    report.says("daemon", "ok", env!("CARGO_PKG_VERSION"), "");
}

/// As a daemon does: to another version it says how it is, and stops when it is told to.
fn old_daemon(stream: UnixStream, place: &Path) {
    let mut answers = stream.try_clone().unwrap();
    for asked in std::io::BufReader::new(stream).lines().map_while(Result::ok) {
        let answer = if asked.contains("\"stop\"") {
            fs::remove_file(place).unwrap();
            "{\"ok\":null}\n"
        } else if asked.contains("\"status\"") {
            "{\"ok\":{\"version\":\"0.0.1\",\"pid\":1,\"uptime_seconds\":1,\"runs\":[],\
             \"master_key\":\"file\"}}\n"
        } else {
            "{\"error\":{\"kind\":\"unavailable\",\"message\":\"the running daemon is version 0.0.1\",\
             \"hint\":\"authsome daemon stop\"}}\n"
        };
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn put_owner(scene: &Scene, path: &Path) {
    if is_root() {
        let owner = fs::metadata(scene.home()).unwrap();
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

#[test]
fn a_daemon_that_is_stopped_is_named() {
    let scene = Scene::connected();
    let daemon = scene.daemon_pid().unwrap();
    let signal = |name: &str| {
        Command::new("kill").arg(name).arg(daemon.to_string()).status().unwrap();
    };
    signal("-STOP");
    let report = doctor(&scene);
    signal("-CONT");
    report.says("daemon", "fail", "is stopped", &format!("kill -CONT {daemon}"));
}

#[test]
fn a_lock_that_another_program_holds_is_named_with_its_process() {
    let scene = resting();
    let mut command = Command::new("flock");
    command.arg("--no-fork").arg(scene.home().join("daemon.lock"));
    command.args(["sh", "-c", "echo held; exec sleep 60"]);
    scene.as_user(&mut command);
    let mut holder = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut held = [0; 5];
    holder.stdout.take().unwrap().read_exact(&mut held).unwrap();
    let report = doctor(&scene);
    holder.kill().unwrap();
    holder.wait().unwrap();
    report.says("daemon", "fail", "daemon.lock is held by", "kill ");
}

#[test]
fn a_dashboard_whose_port_is_taken_is_named() {
    let scene = resting();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    put(&scene, &scene.home().join("config.toml"), format!("dashboard_port = {port}\n").as_bytes());
    doctor(&scene).says("dashboard", "warn", "another program's", "dashboard_port");
}

#[test]
fn a_damaged_store_is_named() {
    let scene = resting();
    let vault = scene.home().join("profiles/default/vault");
    let snapshot = fs::read_dir(&vault).unwrap().flatten().map(|entry| entry.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."))
    });
    // Without one it is made again from the log of the store, whose damaged end counts as never written.
    let snapshot = snapshot.unwrap_or_else(|| vault.join("snap.0000000000001000"));
    put(&scene, &snapshot, b"garbage");
    let report = doctor(&scene);
    report.says("vault", "fail", "corrupted", "authsome vault restore BACKUP");
    report.says("redirection", "fail", "profiles/default/vault", "");
}

#[test]
fn connections_that_a_damaged_store_has_lost_are_named() {
    let scene = resting();
    let vault = scene.home().join("profiles/default/vault");
    // As after a bad sector: what comes after it in the store counts as never written.
    for entry in fs::read_dir(&vault).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") {
            fs::remove_file(entry.path()).unwrap();
        } else if name == "db" {
            let length = fs::metadata(entry.path()).unwrap().len();
            put(&scene, &entry.path(), &vec![0xff; length.try_into().unwrap()]);
        }
    }
    let report = doctor(&scene);
    report.says("lost connections", "fail", "openai/default", "authsome login openai");
    scene.authsome(["login", "openai", "--secret-stdin"]).stdin_text(crate::support::KEY).run();
    let again = doctor(&scene);
    assert!(!again.json.to_string().contains("lost connections"), "{:#}", again.json);
}
