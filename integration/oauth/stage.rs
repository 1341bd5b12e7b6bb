//! A user's home with authsome in it, in a world where `*.example.test` is the authorization server.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Output, Stdio},
    sync::Mutex,
};

use serde_json::{Value, json};

use super::server::Server;
use crate::support::{Scene, text, write};

/// A provider whose client needs no secret.
pub(super) const ACME: &str = r#"
name = "acme"
display_name = "Acme"
auth_type = "oauth2"
hosts = ["api.example.test"]
[[fields]]
name = "access_token"
env = ["ACME_TOKEN"]
[[inject]]
kind = "bearer"
[oauth]
authorization_url = "https://auth.example.test/auth"
token_url = "https://auth.example.test/token"
revocation_url = "https://auth.example.test/token/revocation"
device_authorization_url = "https://auth.example.test/device/auth"
registration_endpoint = "https://auth.example.test/reg"
supports_device_code = true
supports_dcr = true
scopes = ["api:read"]
"#;

/// Its client, to be appended to it.
pub(super) const PUBLIC: &str = "client_id = \"public\"\nauthorization_method = \"none\"\n";

/// Asks the API, and tells what it said and how.
pub(super) const ASK: &str = "curl -sS -m 20 -w '%{http_code}' https://api.example.test/api/me";

/// The home, the server, and everything that authsome has shown so far.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) scene: Scene,
    shown: Mutex<String>,
}

impl Stage {
    /// With a server that consents to everything by itself, and the provider `acme`.
    pub(super) fn new() -> Self {
        let stage = Self::bare(&json!({ "auto": true }));
        stage.define("acme", &format!("{ACME}{PUBLIC}"));
        stage
    }

    /// `acme` is connected.
    pub(super) fn connected() -> Self {
        let stage = Self::new();
        stage.connect(&["acme"]);
        stage
    }

    /// No provider but those that come with authsome.
    pub(super) fn bare(config: &Value) -> Self {
        let server = Server::start(config);
        let scene = Scene::new();
        write(&scene.ca_file(), server.ca_pem.as_bytes());
        scene.authsome(["init"]).success();
        let stage = Self { server, scene, shown: Mutex::default() };
        stage.configure("");
        stage
    }

    /// Writes `config.toml`; `more` goes to its top.
    pub(super) fn configure(&self, more: &str) {
        let text = format!(
            "dashboard_port = 0\n{more}\n[run]\nresolve = [\"*:443:127.0.0.1:{}\"]\nupstream_ca = [\"{}\"]\n",
            self.server.port,
            self.scene.ca_file().display()
        );
        self.place(&self.scene.home().join("config.toml"), &text);
    }

    /// Defines a provider.
    pub(super) fn define(&self, name: &str, definition: &str) {
        let directory = self.scene.home().join("providers");
        self.make(&directory);
        self.place(&directory.join(format!("{name}.toml")), definition);
    }

    fn make(&self, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        self.give(directory);
    }

    fn place(&self, path: &Path, contents: &str) {
        write(path, contents.as_bytes());
        self.give(path);
    }

    /// Makes the scene's user the owner.
    fn give(&self, path: &Path) {
        let owner = fs::metadata(self.scene.user_home()).unwrap();
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    /// Runs `authsome ARGS…` to its end.
    pub(super) fn authsome(&self, args: &[&str]) -> Output {
        self.authsome_with(args, "")
    }

    /// The same, with something on standard input.
    pub(super) fn authsome_with(&self, args: &[&str], input: &str) -> Output {
        let output = self.scene.authsome(args).stdin_text(input).run();
        self.saw(&text(&output.stdout));
        self.saw(&text(&output.stderr));
        output
    }

    /// Runs a shell script as an agent; what it wrote to standard output.
    pub(super) fn agent(&self, script: &str) -> String {
        let output = self.authsome(&["run", "--", "sh", "-c", script]);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Asks the API as an agent and insists on its yes: what it said.
    pub(super) fn ask(&self) -> Value {
        let answer = self.agent(ASK);
        let body = answer.strip_suffix("200").unwrap_or_else(|| panic!("the API said {answer}"));
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["known"], true, "{body}");
        body
    }

    /// Begins `authsome login --json ARGS…`.
    pub(super) fn login(&self, args: &[&str]) -> Login<'_> {
        self.login_with(args, "")
    }

    /// The same, with a secret on standard input.
    pub(super) fn login_with(&self, args: &[&str], input: &str) -> Login<'_> {
        let mut program = self.scene.authsome(["login", "--json", "--no-browser"]);
        let command = program.command.args(args);
        // Without a browser of its own it would take the device's way.
        if !args.contains(&"--flow") && !args[0].starts_with("https:") {
            command.args(["--flow", "pkce"]);
        }
        if !args.contains(&"--timeout") {
            command.args(["--timeout", "30"]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take();
        if !input.is_empty() {
            stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        }
        let lines = BufReader::new(child.stdout.take().unwrap());
        Login { stage: self, child, stdin, lines, wrote: String::new() }
    }

    /// Logs in, consents, and insists on success: the last thing that the login said.
    pub(super) fn connect(&self, args: &[&str]) -> Value {
        self.connect_with(args, "")
    }

    /// The same, with a secret on standard input.
    pub(super) fn connect_with(&self, args: &[&str], input: &str) -> Value {
        let mut login = self.login_with(args, input);
        let arrived = self.visit(&login.browser());
        assert_eq!(arrived.status, 200, "{}", arrived.body);
        login.done()
    }

    /// Logs in to the end, by a person who clicks through the server's pages in Chromium.
    pub(super) fn connect_by_clicking(&self, args: &[&str]) -> Value {
        let mut login = self.login(args);
        let page = self.browse(&login.browser(), &[]);
        assert_eq!(page["pages"][0], "Sign in", "{page}");
        login.done()
    }

    /// What `list` says of a connection: `connected`, `needs_login`, or here `nothing`.
    pub(super) fn status(&self, connection: &str) -> String {
        let output = self.authsome(&["list", "--json"]);
        let list: Value = serde_json::from_slice(&output.stdout).unwrap();
        let (provider, name) = connection.split_once('/').unwrap();
        let is_it = |item: &&Value| item["provider"] == provider && item["connection"] == name;
        let found = list["connections"].as_array().unwrap().iter().find(is_it);
        found.map_or("nothing", |found| found["status"].as_str().unwrap()).to_owned()
    }

    /// Remembers something that authsome has shown.
    pub(super) fn saw(&self, shown: &str) {
        self.shown.lock().unwrap().push_str(shown);
    }

    /// Looks for every secret of the server's, of which there are some, in all that authsome has shown
    /// and written.
    pub(super) fn no_secret_got_out(&self) {
        assert!(self.search() > 0);
        assert_eq!(self.server.stats()["unknown_tokens"], 0, "a token that nobody gave was sent");
        assert_eq!(self.server.stats()["problems"], json!([]));
    }

    /// How many secrets were looked for, and not found.
    fn search(&self) -> usize {
        let mut places =
            vec![("what was shown".to_owned(), self.shown.lock().unwrap().clone().into_bytes())];
        let mut directories = vec![self.scene.home(), self.scene.user_home()];
        while let Some(directory) = directories.pop() {
            for entry in there(&directory, fs::read_dir(&directory)).into_iter().flatten() {
                let Some(entry) = there(&directory, entry) else { continue };
                let path = entry.path();
                let Some(kind) = there(&path, entry.file_type()) else { continue };
                if kind.is_dir() {
                    directories.push(path);
                } else if kind.is_file()
                    && let Some(contents) = there(&path, fs::read(&path))
                {
                    places.push((path.display().to_string(), contents));
                }
            }
        }
        let secrets = self.server.secrets();
        for (secret, kind) in &secrets {
            let encoded =
                percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC);
            for form in [secret, &encoded.to_string()] {
                for (place, contents) in &places {
                    let found = memchr::memmem::find(contents, form.as_bytes());
                    assert!(found.is_none(), "a secret ({kind}) is in {place}");
                }
            }
        }
        secrets.len()
    }
}

/// What was read, unless it is gone: the daemon writes a file beside another, and then in its place.
fn there<T>(path: &Path, read: io::Result<T>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

impl Drop for Stage {
    /// Whatever a test is about, no secret of its server's may have got out.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.search();
        }
    }
}

/// A login under way.
pub(super) struct Login<'a> {
    stage: &'a Stage,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
    wrote: String,
}

/// How a login ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    /// Everything on standard output.
    pub(super) stdout: String,
    /// Everything on standard error.
    pub(super) stderr: String,
}

impl Login<'_> {
    /// The next thing that it says; none: it has ended.
    pub(super) fn step(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.lines.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        self.wrote.push_str(&line);
        Some(serde_json::from_str(&line).unwrap())
    }

    /// Waits for the page to open in a browser.
    pub(super) fn browser(&mut self) -> String {
        self.wait_for("browser")["url"].as_str().unwrap().to_owned()
    }

    /// Types a line.
    pub(super) fn paste(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits until it has got so far.
    pub(super) fn wait_for(&mut self, step: &str) -> Value {
        while let Some(said) = self.step() {
            if said["step"] == step {
                return said;
            }
        }
        let mut error = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        panic!("never got to `{step}`: {}{error}", self.wrote);
    }

    /// Waits for its end, and insists on success.
    pub(super) fn done(mut self) -> Value {
        let said = self.wait_for("done");
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        said
    }

    /// Waits for its end.
    pub(super) fn end(mut self) -> Ended {
        while self.step().is_some() {}
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code();
        self.stage.saw(&self.wrote);
        self.stage.saw(&stderr);
        Ended { code, stdout: std::mem::take(&mut self.wrote), stderr }
    }
}
