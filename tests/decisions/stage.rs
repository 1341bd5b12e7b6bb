//! A user's home with a policy and connections, served as the daemon serves it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authsome::{
    audit::{self, Entry, read},
    broker::{Broker, ChooseKey, Common, KeyKeeper, Network, OAuthOptions, Profiles},
    interceptor::{Dialer, Workers},
    paths::{self, Home},
    protocol::{ErrorKind, ErrorReply, Secret, login::LoginNetwork, vault::KeyPlace},
};
use tempfile::TempDir;

use super::{
    agent::{Agent, Options},
    server::Server,
};

/// Two services of the user's own: one with two accounts, one with one.
const PROVIDERS: [(&str, &str); 2] = [("acme", "api.acme.test"), ("other", "other.acme.test")];
/// Which accounts there are; of a provider's the first is its default.
const CONNECTIONS: [(&str, &str); 3] =
    [("acme", "default"), ("acme", "work"), ("other", "default")];

/// Leads nowhere: nothing here logs in.
#[derive(Debug)]
struct NoNetwork;

impl Network for NoNetwork {
    fn dialer(&self, _: &LoginNetwork) -> Result<Arc<Dialer>, ErrorReply> {
        let message = "there is no network here".to_owned();
        Err(ErrorReply { kind: ErrorKind::Unavailable, message, hint: None })
    }
}

/// A home, its services, and whoever serves its runs.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) workers: Workers,
    pub(crate) common: Arc<Common>,
    profiles: Profiles,
    home: Home,
    runs: AtomicU64,
    _directory: TempDir,
}

/// The secret of a connection.
pub(crate) fn secret(connection: &str) -> String {
    format!("secret-of-{}-0123456789", connection.replace('/', "-"))
}

impl Stage {
    /// A home whose policy has these files.
    pub(crate) async fn new(policy: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::for_user(directory.path(), |_| None).unwrap();
        home.ensure().unwrap();
        paths::create_private_dir(&home.providers()).unwrap();
        for (name, host) in PROVIDERS {
            let file = home.providers().join(format!("{name}.toml"));
            paths::write_private(&file, definition(name, host).as_bytes()).unwrap();
        }
        paths::create_private_dir(&home.policy()).unwrap();
        for (name, text) in policy {
            paths::write_private(&home.policy().join(name), text.as_bytes()).unwrap();
        }
        let oauth = OAuthOptions {
            runtime: tokio::runtime::Handle::current(),
            network: Arc::new(NoNetwork),
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            unreachable: None,
        };
        let chosen: ChooseKey = Arc::new(|_| Ok(()));
        let keeper = Arc::new(KeyKeeper::new(&home, KeyPlace::File, chosen));
        let common = Common::open(&home, &keeper, audit::Settings::default(), oauth).unwrap();
        let stage = Self {
            server: Server::start().await,
            workers: Workers::start(1).unwrap(),
            profiles: Profiles::new(&common),
            common,
            home,
            runs: AtomicU64::new(0),
            _directory: directory,
        };
        for (provider, connection) in CONNECTIONS {
            stage.connect(&stage.broker(), provider, connection);
        }
        stage
    }

    fn connect(&self, broker: &Broker, provider: &str, connection: &str) {
        let secret = Secret(secret(&format!("{provider}/{connection}")).into());
        let fields = BTreeMap::from([("api_key".to_owned(), secret)]);
        broker.put(provider, connection, fields, false).unwrap();
    }

    /// A profile with a connection of its own.
    pub(crate) fn profile(&self, name: &str) {
        self.profiles.create(name).unwrap();
        self.connect(&self.profiles.get(Some(name)).unwrap(), "acme", "default");
    }

    /// The default profile.
    pub(crate) fn broker(&self) -> Arc<Broker> {
        self.profiles.get(None).unwrap()
    }

    /// A profile.
    pub(crate) fn broker_of(&self, profile: &str) -> Arc<Broker> {
        self.profiles.get(Some(profile)).unwrap()
    }

    /// Begins a run.
    pub(crate) fn agent(&self, name: &str) -> Agent {
        self.agent_with(name, Options::default())
    }

    /// Begins a run that was asked for more than an agent.
    pub(crate) fn agent_with(&self, name: &str, options: Options) -> Agent {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        Agent::begin(self, name, &format!("{run:016x}"), options)
    }

    /// Writes a file of the policy, as an editor does.
    pub(crate) fn write_policy(&self, text: &str) {
        paths::write_private(&self.policy_file(), text.as_bytes()).unwrap();
    }

    /// `policy.toml`.
    pub(crate) fn policy_file(&self) -> PathBuf {
        self.home.policy().join("policy.toml")
    }

    /// The whole audit log, which must hold.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.common.close();
        assert_eq!(read::verify(&self.home.audit_log()).unwrap().first_problem, None);
        read::tail(&self.home.audit_log(), 10_000).unwrap()
    }
}

/// A definition as a user writes one.
fn definition(name: &str, host: &str) -> String {
    format!(
        "name = \"{name}\"\ndisplay_name = \"{name}\"\nauth_type = \"api_key\"\n\
         docs_url = \"https://{host}/docs\"\nhosts = [\"{host}\"]\n\n\
         [[fields]]\nname = \"api_key\"\nlabel = \"API key\"\nenv = [\"{}_KEY\"]\n\n\
         [[inject]]\nkind = \"bearer\"\n",
        name.to_uppercase()
    )
}

/// Looks until there is something, which must not take long.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), found).await;
    found.unwrap_or_else(|_| panic!("in vain: {what}"))
}
