//! A home with everything shared, for the tests of this module.

use std::{collections::BTreeMap, sync::Arc};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Broker, ChooseKey, Common, KeyKeeper, Network, OAuthOptions};
use crate::{
    audit,
    interceptor::Dialer,
    paths::Home,
    protocol::{ErrorKind, ErrorReply, Secret, login::LoginNetwork, vault::KeyPlace},
};

/// A key in the shape of OpenAI's.
pub(super) const KEY: &str = "sk-proj-Zk3vQ9wX7tB2nM5cR8yU1oP4aS6dF0gH";

/// Leads nowhere.
#[derive(Debug)]
struct NoNetwork;

impl Network for NoNetwork {
    fn dialer(&self, _: &LoginNetwork) -> Result<Arc<Dialer>, ErrorReply> {
        let message = "there is no network here".to_owned();
        Err(ErrorReply { kind: ErrorKind::Unavailable, message, hint: None })
    }
}

/// A home that ends with the test.
pub(super) struct Stage {
    pub(super) common: Arc<Common>,
    runtime: Runtime,
    pub(super) directory: TempDir,
}

impl Stage {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        home(&directory).ensure().unwrap();
        Self::within(directory)
    }

    /// As the next daemon finds it, after `meanwhile`. Nobody may hold on to anything of this one.
    pub(super) fn again(self, meanwhile: impl FnOnce(&Home)) -> Self {
        self.common.close();
        let Self { common, directory, .. } = self;
        drop(common);
        meanwhile(&home(&directory));
        Self::within(directory)
    }

    /// What opens a home.
    pub(super) fn open(&self, home: &Home) -> Arc<Common> {
        open(home, &self.runtime)
    }

    fn within(directory: TempDir) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let common = open(&home(&directory), &runtime);
        Self { common, runtime, directory }
    }
}

fn home(directory: &TempDir) -> Home {
    Home::for_user(directory.path(), |_| None).unwrap()
}

fn open(home: &Home, runtime: &Runtime) -> Arc<Common> {
    let oauth = OAuthOptions {
        runtime: runtime.handle().clone(),
        network: Arc::new(NoNetwork),
        redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
        unreachable: None,
    };
    let chosen: ChooseKey = Arc::new(|_| Ok(()));
    let keeper = Arc::new(KeyKeeper::new(home, KeyPlace::File, chosen));
    Common::open(home, &keeper, audit::Settings::default(), oauth).unwrap()
}

/// Stores [`KEY`] for a provider.
pub(super) fn connect(broker: &Broker, provider: &str) {
    let fields = BTreeMap::from([("api_key".to_owned(), Secret(KEY.into()))]);
    broker.put(provider, "default", fields, false).unwrap();
}
