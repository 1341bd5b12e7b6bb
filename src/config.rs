//! `config.toml` → [`Config`], or an error that names the file, the line and the mend.
//!
//! ```toml
//! master_key = "file"              # or "keyring", "passphrase"
//! dashboard_port = 7998            # 0: any that is free
//! profile = "work"                 # where neither flag nor AUTHSOME_PROFILE names one
//!
//! [policy]
//! ask_seconds = 120                # how long a request waits for a person
//!
//! [audit]
//! max_size = "64MB"                # of one file
//! keep = 16                        # full files, or "all"
//! when_unwritable = "deny"         # or "allow"
//!
//! [run]                            # each key is a flag of `authsome run`
//! connection = { github = "work" }
//! env = { HOME_TOKEN = "github/home" }
//! egress = "open"                  # or "providers"
//! redirect = "auto"                # or a way of this system's: "namespace", "seccomp"
//! allow = ["registry.internal:5000"]
//! resolve = ["api.example.com:443:127.0.0.1:8443"]
//! upstream_ca = ["~/company-ca.pem"]
//! host_port = [5432]
//! publish = ["auto", 3000, "8080:9090"]
//! expose = ["~/.docker/run/docker.sock"]
//! hide = ["~/.aws"]
//!
//! [telemetry]                      # traces and metrics, to a collector of OpenTelemetry's
//! endpoint = "http://127.0.0.1:4318"
//! headers_file = "~/.config/otlp-headers"
//! ```
//!
//! A key that is not known is an error, never ignored: a misspelt `egress` must not leave it open.
//! Knows nothing of flags; [`run`] joins the two.

mod audit;
pub mod edit;
pub mod run;
pub mod telemetry;
pub mod values;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use self::{run::RunConfig, telemetry::TelemetryConfig};
use crate::protocol::{EnvFrom, vault::KeyPlace};

/// What `config.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Where the master key is kept; none: not said.
    pub master_key: Option<KeyPlace>,
    /// Port of 127.0.0.1 for the dashboard and logins by browser; none: not said.
    pub dashboard_port: Option<u16>,
    /// Seconds that a request waits for a person where its policy does not say; none: not said.
    pub ask_seconds: Option<u32>,
    /// Profile where none is named; none: not said.
    pub profile: Option<String>,
    /// How the audit log is kept.
    pub audit: crate::audit::Settings,
    /// Settings of `authsome run`.
    pub run: RunConfig,
    /// Where telemetry goes.
    pub telemetry: TelemetryConfig,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be changed.
    #[error("cannot change {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<crate::paths::Error>,
    },
    /// The file says something that means nothing.
    #[error("{}:{line}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
        /// What to write instead.
        mend: Option<String>,
    },
}

impl Error {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Read { .. } | Self::Write { .. } => None,
            Self::Invalid { mend, .. } => mend.as_deref(),
        }
    }
}

impl Config {
    /// Reads `path`; a file that does not exist says nothing.
    ///
    /// # Errors
    ///
    /// [`Error`] if it cannot be read or means nothing.
    pub fn load(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text, std::env::home_dir().as_deref()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Read { path: path.to_owned(), source }),
        }
    }

    /// Reads `text`, the contents of `path`; a leading `~/` in a path becomes `user_home`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] at the first thing that means nothing.
    pub fn parse(path: &Path, text: &str, user_home: Option<&Path>) -> Result<Self, Error> {
        let reader = Reader { path, text, user_home };
        let document = DeTable::parse(text).map_err(|error| {
            reader.invalid(error.span().unwrap_or(0..0), error.message().to_owned(), None)
        })?;
        let mut config = Self::default();
        for (key, value) in document.get_ref() {
            match key.get_ref().as_ref() {
                "master_key" => config.master_key = Some(reader.one(key, value, str::parse)?),
                "dashboard_port" => config.dashboard_port = Some(reader.one(key, value, any_port)?),
                "policy" => config.ask_seconds = reader.policy(key, value)?,
                "profile" => config.profile = Some(reader.one(key, value, values::profile_name)?),
                "audit" => config.audit = reader.audit(key, value)?,
                "run" => config.run = reader.run(key, value)?,
                "telemetry" => config.telemetry = reader.telemetry(key, value)?,
                _ => {
                    let known = &[
                        "master_key",
                        "dashboard_port",
                        "policy",
                        "profile",
                        "audit",
                        "run",
                        "telemetry",
                    ];
                    return Err(reader.unknown(key, "", known));
                }
            }
        }
        Ok(config)
    }
}

/// From a second to an hour.
fn ask_seconds(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|seconds| (1..=3600).contains(seconds))
        .ok_or_else(|| "a number of seconds from 1 to 3600".to_owned())
}

/// A port, or 0 for any.
fn any_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "a port is a number from 0 (any) to 65535".to_owned())
}

type Key<'i> = Spanned<Cow<'i, str>>;
type Value<'i> = Spanned<DeValue<'i>>;

const RUN_KEYS: &[&str] = &[
    "connection",
    "env",
    "egress",
    "redirect",
    "allow",
    "resolve",
    "upstream_ca",
    "host_port",
    "publish",
    "expose",
    "hide",
];

/// Turns values into types and places into line numbers.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    user_home: Option<&'a Path>,
}

impl Reader<'_> {
    fn run(&self, key: &Key<'_>, value: &Value<'_>) -> Result<RunConfig, Error> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong(key, value, "expected a table: [run]"));
        };
        let mut run = RunConfig::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "connection" => run.connection = self.connections(key, value)?,
                "env" => run.env = self.variables(key, value)?,
                "egress" => run.egress = Some(self.one(key, value, values::egress)?),
                "redirect" => run.redirect = Some(self.one(key, value, values::redirect)?),
                "allow" => run.allow = self.list(key, value, values::host_port)?,
                "resolve" => run.resolve = self.list(key, value, values::resolve)?,
                "host_port" => run.host_port = self.list(key, value, values::port)?,
                "publish" => run.publish = self.list(key, value, values::publish)?,
                "upstream_ca" => run.upstream_ca = self.list(key, value, |text| self.file(text))?,
                "expose" => run.expose = self.list(key, value, |text| self.file(text))?,
                "hide" => run.hide = self.list(key, value, |text| self.file(text))?,
                _ => return Err(self.unknown(key, "run.", RUN_KEYS)),
            }
        }
        Ok(run)
    }

    fn policy(&self, key: &Key<'_>, value: &Value<'_>) -> Result<Option<u32>, Error> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong(key, value, "expected a table: [policy]"));
        };
        let mut seconds = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "ask_seconds" => seconds = Some(self.one(key, value, ask_seconds)?),
                _ => return Err(self.unknown(key, "policy.", &["ask_seconds"])),
            }
        }
        Ok(seconds)
    }

    fn connections(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong(key, value, "expected a table, such as { github = \"work\" }"));
        };
        let mut connections = BTreeMap::new();
        for (provider, name) in table {
            let known = values::provider_name(provider.get_ref())
                .map_err(|error| self.wrong(provider, name, &error))?;
            connections.insert(known, self.one(provider, name, values::connection_name)?);
        }
        Ok(connections)
    }

    fn variables(&self, key: &Key<'_>, value: &Value<'_>) -> Result<Vec<EnvFrom>, Error> {
        let DeValue::Table(table) = value.get_ref() else {
            let mend = "expected a table, such as { WORK_TOKEN = \"github/work\" }";
            return Err(self.wrong(key, value, mend));
        };
        let read = |(name, from): (&Key<'_>, &Value<'_>)| {
            self.one(name, from, |text| values::env_from(name.get_ref(), text))
        };
        table.iter().map(read).collect()
    }

    /// A string (or a number, for ports), read by `parse`.
    fn one<T>(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Error> {
        let text = if let DeValue::String(text) = value.get_ref() {
            text.as_ref()
        } else if let DeValue::Integer(number) = value.get_ref() {
            number.as_str()
        } else {
            return Err(self.wrong(key, value, "expected a string"));
        };
        parse(text).map_err(|error| self.wrong(key, value, &error))
    }

    fn list<T>(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Error> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong(key, value, "expected a list: [ … ]"));
        };
        items.iter().map(|item| self.one(key, item, &parse)).collect()
    }

    fn file(&self, text: &str) -> Result<PathBuf, String> {
        let path = match (text.strip_prefix("~/"), self.user_home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_), None) => return Err("there is no home directory for `~`".to_owned()),
            (None, _) => PathBuf::from(text),
        };
        if path.is_absolute() {
            Ok(path)
        } else {
            Err("expected an absolute path, or one that begins with `~/`".to_owned())
        }
    }

    fn wrong(&self, key: &Key<'_>, value: &Value<'_>, error: &str) -> Error {
        let message = format!("bad value for `{}`", key.get_ref());
        self.invalid(value.span(), message, Some(error.to_owned()))
    }

    fn unknown(&self, key: &Key<'_>, table: &str, known: &[&str]) -> Error {
        let name = key.get_ref();
        let close = known
            .iter()
            .filter(|known| strsim::damerau_levenshtein(known, name) <= 2)
            .min_by_key(|known| strsim::damerau_levenshtein(known, name));
        let mend = match close {
            Some(known) => format!("did you mean `{known}`?"),
            None if table.is_empty() && RUN_KEYS.contains(&name.as_ref()) => {
                format!("`{name}` belongs below [run]")
            }
            None => format!("known here: {}", known.join(", ")),
        };
        self.invalid(key.span(), format!("unknown key `{table}{name}`"), Some(mend))
    }

    fn invalid(&self, span: Range<usize>, message: String, mend: Option<String>) -> Error {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Error::Invalid { path: self.path.to_owned(), line, message, mend }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Egress;

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(Path::new("/h/config.toml"), text, Some(Path::new("/home/u")))
    }

    fn refused(text: &str) -> (String, String) {
        let error = parse(text).unwrap_err();
        (error.to_string(), error.hint().unwrap_or_default().to_owned())
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn a_missing_file_says_nothing() {
        let home = tempfile::tempdir().unwrap();

        assert_eq!(Config::load(&home.path().join("none")).unwrap(), Config::default());
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            "master_key = \"keyring\"\nprofile = \"work\"\n[run]\nconnection = { github = \"work\" }\n\
             env = { HOME_TOKEN = \"github/home\" }\negress = \"providers\"\nallow = [\"a.example:5000\"]\n\
             resolve = [\"*:443:127.0.0.1:8443\"]\nupstream_ca = [\"/ca.pem\"]\n\
             host_port = [5432]\npublish = [\"auto\", 3000, \"8080:9090\"]\nexpose = [\"/run/x.sock\"]\nhide = [\"~/.aws\"]\n",
        )
        .unwrap();

        assert_eq!(config.master_key, Some(KeyPlace::Keyring));
        assert_eq!(config.profile.as_deref(), Some("work"));
        assert_eq!(config.run.connection.get("github").unwrap(), "work");
        assert_eq!(config.run.env, [values::env("HOME_TOKEN=github/home").unwrap()]);
        assert_eq!(config.run.egress, Some(Egress::Providers));
        assert_eq!(config.run.allow.len(), 1);
        assert_eq!(config.run.resolve.len(), 1);
        assert_eq!(config.run.upstream_ca, [PathBuf::from("/ca.pem")]);
        assert_eq!(config.run.host_port, [5432]);
        assert_eq!(config.run.publish.len(), 3);
        assert_eq!(config.run.expose, [PathBuf::from("/run/x.sock")]);
        assert_eq!(config.run.hide, [PathBuf::from("/home/u/.aws")]);
    }

    #[test]
    fn a_misspelt_key_is_named_with_line_and_mend() {
        let (error, hint) = refused("[run]\n\negres = \"open\"\n");

        assert_eq!(error, "/h/config.toml:3: unknown key `run.egres`");
        assert_eq!(hint, "did you mean `egress`?");
    }

    #[test]
    fn a_key_in_the_wrong_table_is_sent_to_the_right_one() {
        let (error, hint) = refused("allow = []\n");

        assert_eq!(error, "/h/config.toml:1: unknown key `allow`");
        assert_eq!(hint, "`allow` belongs below [run]");
    }

    #[test]
    fn a_bad_value_is_named_with_line_and_what_was_expected() {
        let (error, hint) = refused("[run]\negress = \"closed\"\n");

        assert_eq!(error, "/h/config.toml:2: bad value for `egress`");
        assert_eq!(hint, "expected `open` or `providers`");
    }

    #[test]
    fn a_bad_list_entry_is_named_with_its_own_line() {
        let (error, _) = refused("[run]\nallow = [\n  \"a.example\",\n  \"a..b\",\n]\n");

        assert_eq!(error, "/h/config.toml:4: bad value for `allow`");
    }

    #[test]
    fn a_relative_path_is_refused() {
        let (_, hint) = refused("[run]\nhide = [\"secrets\"]\n");

        assert!(hint.contains("absolute"), "{hint}");
    }

    #[test]
    fn what_is_no_toml_is_named_with_its_line() {
        let (error, _) = refused("[run]\negress = open\n");

        assert!(error.starts_with("/h/config.toml:2: "), "{error}");
    }

    #[test]
    fn a_request_waits_from_a_second_to_an_hour() {
        assert_eq!(parse("[policy]\nask_seconds = 600\n").unwrap().ask_seconds, Some(600));
        for seconds in ["0", "3601", "-1", "\"soon\""] {
            let (error, hint) = refused(&format!("[policy]\nask_seconds = {seconds}\n"));
            assert_eq!(error, "/h/config.toml:2: bad value for `ask_seconds`");
            assert!(hint.contains("from 1 to 3600"), "{hint}");
        }
    }

    #[test]
    fn a_port_that_is_none_is_refused() {
        let (error, _) = refused("[run]\nhost_port = [70000]\n");

        assert_eq!(error, "/h/config.toml:2: bad value for `host_port`");
    }
}
