//! Everything that must fail: an agent that looks for secrets, for control, or for a way out.

use std::os::unix::{fs::MetadataExt, process::CommandExt};

use crate::support::{As, KEY, Scene, find, text};

/// Runs a script as the agent; its output whatever its status.
fn agent(scene: &Scene, script: &str) -> String {
    let output = scene.run(["bash", "-c", script]).run();
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn no_secret_is_in_environment_processes_or_home() {
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        scene.login("openai", KEY);
        let script = "env; cat /proc/*/environ /proc/*/cmdline /proc/*/maps 2>&1 | tr '\\0' '\\n'; \
                      grep -ra . \"$HOME\" \"$AUTHSOME_HOME\" \"$XDG_RUNTIME_DIR\" /dev/shm 2>&1; \
                      cat /proc/keys; keyctl show 2>&1";
        let found = agent(&scene, script);
        assert!(found.contains("OPENAI_API_KEY"), "the script saw something");
        assert!(!found.contains(KEY));
        assert!(!found.contains("PRIVATE KEY"));
    }
}

#[test]
fn the_vaults_directory_is_covered_and_stays_so() {
    let scene = Scene::connected();
    let script = "ls -A \"$AUTHSOME_HOME\"; umount \"$AUTHSOME_HOME\"; \
                  unshare -Urm sh -c 'umount \"$AUTHSOME_HOME\"; umount -l \"$AUTHSOME_HOME\"; ls -A \"$AUTHSOME_HOME\"'; \
                  unshare -Urmpf --mount-proc ls -A \"$AUTHSOME_HOME\"; touch \"$AUTHSOME_HOME/x\"";
    let seen = agent(&scene, script);
    for name in ["master.key", "daemon.sock", "profiles", "audit.log"] {
        assert!(scene.home().join(name).exists(), "{name} is there outside");
        assert!(!seen.contains(name), "{name} is seen inside: {seen}");
    }
    assert!(!scene.home().join("x").exists());
}

#[test]
fn the_program_gives_an_agent_no_control() {
    let scene = Scene::connected();
    let program = scene.authsome::<[&str; 0]>([]).command.get_program().to_owned();
    let program = program.to_string_lossy();
    let script = format!(
        "{program} list; {program} get openai --show-secret; {program} export; {program} daemon stop"
    );
    let seen = agent(&scene, &script);
    assert!(!seen.contains(KEY), "{seen}");
    assert!(scene.daemon_pid().is_some());
    assert!(scene.authsome(["get", "openai", "--show-secret"]).success().contains(KEY));
}

#[test]
fn processes_outside_are_neither_seen_nor_signalled() {
    let scene = Scene::connected();
    let daemon = scene.daemon_pid().unwrap();
    let script = format!(
        "kill -9 {daemon}; cat /proc/{daemon}/environ; ls -d /proc/[0-9]* | wc -l; \
         cat /proc/1/comm; cat /proc/1/environ; gdb -p 1 2>&1; kill -9 1; kill -9 -1"
    );
    agent(&scene, &script);
    assert_eq!(scene.daemon_pid(), Some(daemon));
}

#[test]
fn the_agent_has_no_capability_and_cannot_gain_any() {
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        let status = scene.run(["cat", "/proc/self/status"]).success();
        let value = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(value(set), "0000000000000000", "{set}");
        }
        assert_eq!(value("NoNewPrivs:"), "1");
    }
}

#[test]
fn every_address_leads_to_the_interceptor() {
    let scene = Scene::connected();
    for flags in [
        ["--connect-to", "::93.184.216.34:443"],
        ["--connect-to", "::[2001:4860:4860::8888]:443"],
        ["--resolve", "api.openai.com:443:127.0.0.1"],
        ["--resolve", "api.openai.com:443:10.1.2.3"],
    ] {
        let before = scene.upstream.seen().len();
        let url = "https://api.openai.com/v1/models";
        scene.run(["curl", "-sS", flags[0], flags[1], url]).success();
        let seen = scene.upstream.seen();
        assert_eq!(seen.len(), before + 1, "{flags:?}");
        let bearer = format!("Bearer {KEY}");
        assert_eq!(seen[before].header("authorization"), Some(bearer.as_str()));
    }
}

#[test]
fn only_the_loopback_interface_is_there() {
    let scene = Scene::new();
    let output = scene.run(["cat", "/proc/net/dev"]).success();
    let names: Vec<_> = output
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    assert_eq!(names, ["lo"]);
}

#[test]
fn quic_is_refused_at_once() {
    let scene = Scene::new();
    let script = "import socket\n\
                  for family, address in ((socket.AF_INET, '1.1.1.1'), (socket.AF_INET6, '2606:4700::1111')):\n\
                  \x20   s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(5)\n\
                  \x20   s.connect((address, 443)); s.send(b'x')\n\
                  \x20   try: s.recv(1); print('answered')\n\
                  \x20   except ConnectionRefusedError: print('refused')\n";
    assert_eq!(scene.run(["/usr/bin/python3", "-c", script]).success(), "refused\nrefused\n");
}

#[test]
fn cloud_metadata_is_refused() {
    let scene = Scene::new();
    for address in ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"] {
        let output = scene
            .authsome([
                "run",
                "--",
                "curl",
                "-sS",
                "-m",
                "10",
                &format!("http://{address}/latest/meta-data/"),
            ])
            .run();
        assert!(!output.status.success(), "{address}: {}", text(&output.stdout));
    }
    crate::support::eventually("the record", || {
        scene.authsome(["log", "--json"]).success().contains("address-blocked")
    });
}

#[test]
fn the_hosts_own_loopback_is_out_of_reach() {
    let scene = Scene::connected();
    let port = scene.upstream.address.port();
    let output = agent(
        &scene,
        &format!("curl -sS -m 5 -k https://127.0.0.1:{port}/; curl -sS 127.0.0.1:7998"),
    );
    assert_eq!(output.matches("curl: (7)").count(), 2, "{output}");
}

#[test]
fn a_credential_never_goes_to_another_host_by_name_or_header() {
    let scene = Scene::connected();
    for (url, header) in [
        ("https://api.openai.com.evil.example/", "Accept: */*"),
        ("https://xapi.openai.com/", "Accept: */*"),
        ("https://evil.example/", "Host: api.openai.com"),
        ("https://api.openai.com/", "Host: evil.example"),
    ] {
        scene.run(["curl", "-sSk", "-H", header, url]).run();
    }
    for seen in scene.upstream.seen() {
        assert!(!format!("{:?}", seen.headers).contains(KEY), "{seen:?}");
    }
}

#[test]
fn port_80_never_carries_a_credential() {
    let scene = Scene::connected();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rule = format!("api.openai.com:80:127.0.0.1:{}", listener.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let count = stream.read(&mut head).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        text(&head[..count])
    });
    scene.run_with(["--resolve", &rule], ["curl", "-sS", "http://api.openai.com/"]).success();
    let head = server.join().unwrap();
    assert!(head.starts_with("GET / HTTP/1.1"), "{head}");
    assert!(!head.contains("Bearer"), "{head}");
}

#[test]
fn a_host_without_a_provider_shows_its_own_certificate() {
    let scene = Scene::connected();
    let script = |host: &str| {
        format!(
            "echo | openssl s_client -connect {host}:443 -servername {host} 2>/dev/null | \
             openssl x509 -noout -issuer"
        )
    };
    assert!(agent(&scene, &script("example.com")).contains("Upstream Test CA"));
    assert!(!agent(&scene, &script("api.openai.com")).contains("Upstream Test CA"));
    crate::support::eventually("the record", || {
        scene.authsome(["log", "--json"]).success().contains("\"splice\"")
    });
}

#[test]
fn what_comes_back_holds_the_placeholder() {
    let scene = Scene::connected();
    let script = "curl -sSi --compressed https://api.openai.com/reflect";
    let seen = agent(&scene, script);
    assert!(!seen.contains(KEY), "{seen}");
    let placeholder = agent(&scene, "printf %s \"$OPENAI_API_KEY\"");
    assert!(seen.contains(&format!("x-reflected: Bearer {placeholder}")), "{seen}");
    assert!(seen.contains(&format!("plain Bearer {placeholder}")), "{seen}");
    let encoded = seen.lines().find_map(|line| line.strip_prefix("base64 ")).unwrap();
    let decoded =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded.trim());
    assert_eq!(text(&decoded.unwrap()), format!("Bearer {placeholder}"));
}

#[test]
fn nested_sandboxes_work_and_lead_nowhere_either() {
    let scene = Scene::connected();
    let script = "bwrap --dev-bind / / --unshare-user --unshare-pid --proc /proc \
                  curl -sS https://api.openai.com/v1/models && \
                  bwrap --dev-bind / / --unshare-net curl -sS -m 5 https://api.openai.com/v1/models";
    agent(&scene, script);
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[test]
fn without_a_namespace_there_is_no_agent() {
    let scene = Scene::new();
    let witness = scene.user_home().join("ran");
    // A filter that a container may well have: no new namespaces.
    let mut program = scene.run(["touch", witness.to_str().unwrap()]);
    let limited = "echo 0 > /proc/sys/user/max_user_namespaces 2>/dev/null; exec \"$0\" \"$@\"";
    let inner = std::mem::replace(&mut program.command, std::process::Command::new("unshare"));
    // Inside a user namespace of its own, where the limit of namespaces below can be set to none.
    program
        .command
        .args(["-Ur", "sh", "-c", limited])
        .arg(inner.get_program())
        .args(inner.get_args());
    program.command.env_clear();
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            program.command.env(name, value);
        }
    }
    if crate::support::is_root() {
        let owner = std::fs::metadata(scene.user_home()).unwrap();
        program.command.uid(owner.uid());
        program.command.gid(owner.gid());
    }
    let output = program.run();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("hint: "), "{}", text(&output.stderr));
    assert!(!witness.exists());
}

#[test]
fn hidden_paths_are_empty_and_exposed_ones_are_not() {
    let scene = Scene::new();
    let secrets = scene.user_home().join(".aws");
    std::fs::create_dir(&secrets).unwrap();
    crate::support::write(&secrets.join("credentials"), b"aws_secret");
    let list = ["sh", "-c", "ls -A ~/.aws"];
    assert_eq!(scene.run(list).success(), "credentials\n");
    assert_eq!(scene.run_with(["--hide", "~/.aws"], list).success(), "");
    let refused = scene.run_with(["--expose", scene.home().to_str().unwrap()], list).run();
    assert_eq!(refused.status.code(), Some(125));
}

#[test]
fn the_name_a_credential_follows_is_verified_upstream() {
    // An upstream with a certificate nobody trusts: no request, and a problem that says why.
    let scene = Scene::connected();
    let output = scene
        .authsome(["run", "--resolve", &scene.upstream.resolve_flag(), "--", "curl", "-sS"])
        .run();
    assert!(!output.status.success());
    let output = scene
        .authsome([
            "run",
            "--resolve",
            &scene.upstream.resolve_flag(),
            "--",
            "curl",
            "-sS",
            "https://api.openai.com/v1/models",
        ])
        .success();
    let problem: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(find(&problem, "code").and_then(|code| code.as_str()), Some("upstream-tls"));
    assert_eq!(find(&problem, "status").and_then(|status| status.as_u64()), Some(502));
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn another_mount_of_the_vault_is_covered_too() {
    let scene = Scene::connected();
    let home = scene.home();
    let alias = scene.user_home().join("al ias");
    let part = scene.user_home().join("part");
    std::fs::create_dir_all(&alias).unwrap();
    std::fs::create_dir_all(&part).unwrap();
    let owner = std::fs::metadata(&home).unwrap();
    for path in [&alias, &part] {
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let program = scene.run(["sh", "-c", "ls -RA ~/al*ias ~/part; ls -d ~/al*ias"]);
    // Mounts of the user's own, in a namespace of theirs around the run.
    let mounts = format!(
        "mount --bind '{home}' '{alias}' && mount --bind '{home}/profiles' '{part}' && \
         ls -A '{alias}' && exec unshare --map-user={uid} --map-group={gid} \"$0\" \"$@\"",
        home = home.display(),
        alias = alias.display(),
        part = part.display(),
        uid = owner.uid(),
        gid = owner.gid(),
    );
    let output = around(&scene, program, &["-Urm"], &mounts);
    let outside = text(&output.stdout);
    assert_eq!(outside.matches("master.key").count(), 1, "outside, not inside: {outside}");
    assert!(outside.contains("al ias"), "{outside} {}", text(&output.stderr));
}

#[test]
fn another_mount_of_a_hidden_directory_is_covered_too() {
    let scene = Scene::new();
    let owner = std::fs::metadata(scene.user_home()).unwrap();
    let (secrets, alias) = (scene.user_home().join(".aws"), scene.user_home().join("alias"));
    for path in [&secrets, &alias] {
        std::fs::create_dir(path).unwrap();
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    crate::support::write(&secrets.join("credentials"), b"aws_secret");
    let script = "cat ~/.aws/* ~/alias/*; ls -d ~/alias";
    let program = scene.run_with(["--hide", "~/.aws"], ["sh", "-c", script]);
    let mounts = format!(
        "mount --bind '{secrets}' '{alias}' && cat '{alias}/credentials' && \
         exec unshare --map-user={uid} --map-group={gid} \"$0\" \"$@\"",
        secrets = secrets.display(),
        alias = alias.display(),
        uid = owner.uid(),
        gid = owner.gid(),
    );
    let output = around(&scene, program, &["-Urm"], &mounts);
    let outside = text(&output.stdout);
    assert_eq!(outside.matches("aws_secret").count(), 1, "outside, not inside: {outside}");
    assert!(outside.trim_end().ends_with("alias"), "{outside} {}", text(&output.stderr));
}

#[test]
fn a_directory_above_the_vault_cannot_be_moved_away() {
    let scene = Scene::connected();
    let script = "above=$(dirname \"$AUTHSOME_HOME\"); mv \"$above\" \"$above-moved\"; \
                  unshare -Urm mv \"$above\" \"$above-moved\"; \
                  unshare -Urm sh -c 'mount --rbind /tmp /mnt; mv /mnt/$(basename $0) /mnt/moved' \"$above\"; \
                  mv \"$AUTHSOME_HOME\" \"$AUTHSOME_HOME-moved\"; touch \"$above/still-usable\"";
    let seen = agent(&scene, script);
    assert!(scene.home().join("master.key").exists(), "{seen}");
    assert!(scene.directory.path().join("still-usable").exists(), "{seen}");
}

#[test]
fn an_agent_cannot_replace_the_program_that_runs_next() {
    let scene = Scene::new();
    // The user's own copy, and a link to it in the PATH.
    let (bin, link) = (scene.user_home().join("opt/bin"), scene.user_home().join("bin"));
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::create_dir(&link).unwrap();
    let own = bin.join("authsome");
    let built = scene.authsome::<[&str; 0]>([]).command.get_program().to_owned();
    std::fs::copy(built, &own).unwrap();
    std::os::unix::fs::symlink(&own, link.join("authsome")).unwrap();
    let owner = std::fs::metadata(scene.user_home()).unwrap();
    for path in [&bin, &own, &link, &link.join("authsome"), &scene.user_home().join("opt")] {
        std::os::unix::fs::lchown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let script = "for name in ~/opt/bin/authsome ~/bin/authsome; do \
                  cp /bin/true $name; cp --remove-destination /bin/true $name; rm -f $name; \
                  mv $name $name-old; ln -sf /bin/true $name; chmod 0 $name; done; \
                  mv ~/opt/bin ~/opt/old; mv ~/opt ~/old; mv ~/bin ~/old-bin; \
                  unshare -Urm sh -c 'umount ~/opt/bin/authsome; rm -f ~/opt/bin/authsome'; \
                  touch ~/opt/bin/usable ~/bin/usable; echo tried";
    let mut run = scene.run(["bash", "-c", script]);
    let path = format!("{}:/usr/bin:/bin", link.display());
    let arguments: Vec<_> = run.command.get_args().map(ToOwned::to_owned).collect();
    let mut program = std::process::Command::new(link.join("authsome"));
    program.args(arguments).env("PATH", path).current_dir(scene.user_home());
    for (name, value) in run.command.get_envs().filter(|(name, _)| *name != "PATH") {
        program.env(name, value.unwrap());
    }
    scene.as_user(&mut program);
    run.command = program;
    let before = std::fs::read(&own).unwrap();
    let said = run.success();
    assert_eq!(said, "tried\n");
    assert!(std::fs::read(link.join("authsome")).unwrap() == before, "another program");
    assert_eq!(std::fs::read_link(link.join("authsome")).unwrap(), own);
    assert_eq!(std::fs::metadata(&own).unwrap().mode() & 0o111, 0o111);
    assert!(bin.join("usable").exists() && link.join("usable").exists());
}

#[test]
fn an_agent_cannot_type_into_the_terminal() {
    let scene = Scene::new();
    // Not a terminal: without the filter the kernel would say so (ENOTTY).
    let script = "import fcntl, os\n\
                  for request in (0x5412, 0x541c, (1 << 32) | 0x5412):\n\
                  \x20   try: fcntl.ioctl(os.open('/dev/null', os.O_RDWR), request & 0xffffffff, b'x')\n\
                  \x20   except OSError as error: print(error.errno)\n";
    assert_eq!(scene.run(["/usr/bin/python3", "-c", script]).success(), "1\n1\n1\n");
}

#[test]
fn the_daemon_serves_no_client_in_a_namespace_below() {
    let scene = Scene::connected();
    assert!(scene.authsome(["list"]).success().contains("openai"));
    let list = scene.authsome(["get", "openai", "--show-secret"]);
    let output = around(&scene, list, &["-Urpf", "--mount-proc"], "\"$0\" \"$@\"");
    assert_eq!(output.status.code(), Some(5));
    assert!(!(text(&output.stdout) + &text(&output.stderr)).contains(KEY));
    assert!(
        text(&output.stderr).contains("does not serve a client inside a run or a container"),
        "at once, and why: {}",
        text(&output.stderr)
    );
}

/// Runs a program through `unshare FLAGS… sh -c SCRIPT`.
fn around(
    scene: &Scene,
    mut program: crate::support::Program,
    flags: &[&str],
    script: &str,
) -> std::process::Output {
    let outer = std::process::Command::new("unshare");
    let inner = std::mem::replace(&mut program.command, outer);
    program.command.args(flags).args(["sh", "-c", script]);
    program.command.arg(inner.get_program()).args(inner.get_args()).env_clear();
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            program.command.env(name, value);
        }
    }
    scene.as_user(&mut program.command);
    program.run()
}

#[test]
fn the_daemon_inherits_no_keys_from_the_shell_that_starts_it() {
    let scene = Scene::new();
    scene.authsome(["list"]).env("GROQ_API_KEY", "gsk-of-the-shell").success();
    let environ = format!("/proc/{}/environ", scene.daemon_pid().unwrap());
    // Root may look; for its own user the daemon is unreadable.
    match std::fs::read(environ) {
        Ok(environ) => assert!(!text(&environ).contains("gsk-of-the-shell")),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}
