//! A home with everything shared, for the tests of this module.

use std::{collections::BTreeMap, sync::Arc};

use tempfile::TempDir;

use super::{Broker, Common, KeyKeeper, Network, OAuthOptions};
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
    _runtime: tokio::runtime::Runtime,
    pub(super) directory: TempDir,
}

impl Stage {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::for_user(directory.path(), |_| None).unwrap();
        home.ensure().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let oauth = OAuthOptions {
            runtime: runtime.handle().clone(),
            network: Arc::new(NoNetwork),
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            unreachable: None,
        };
        let chosen = Arc::new(|_| Ok(()));
        let keeper = Arc::new(KeyKeeper::new(&home, KeyPlace::File, chosen));
        let common = Common::open(&home, &keeper, audit::Settings::default(), oauth).unwrap();
        Self { common, _runtime: runtime, directory }
    }
}

/// Stores [`KEY`] for a provider.
pub(super) fn connect(broker: &Broker, provider: &str) {
    let fields = BTreeMap::from([("api_key".to_owned(), Secret(KEY.into()))]);
    broker.put(provider, "default", fields, false).unwrap();
}
