//! One login from beginning to end.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use tokio::{
    sync::mpsc::Receiver,
    time::{sleep, timeout},
};

use super::{
    super::{
        super::{Broker, connections::failed},
        Grant, auth_error,
        client::KnownClient,
        grant::StoredClient,
        store::NewConnection,
    },
    LIFE, Login, query_of,
    server::{Destination, Plan, settings},
    usage,
};
use crate::{
    auth::{self, Authorization, Client, DeviceGrant, Fault, Http, TokenSet},
    paths,
    protocol::{
        ErrorKind, ErrorReply,
        login::{BeginLogin, ClientCredentials, LoginInput, LoginStep},
    },
    provider::{ClientAuthentication, Flow},
};

/// What a client that is registered for us is called.
const CLIENT_NAME: &str = "authsome";

/// A login's work: what it needs at every step.
struct Drive<'a> {
    broker: &'a Arc<Broker>,
    login: &'a Login,
    begin: BeginLogin,
    http: &'a dyn Http,
    inputs: Receiver<LoginInput>,
}

impl Broker {
    /// Goes through the steps; the last one is the result.
    pub(super) async fn drive(
        self: &Arc<Self>,
        login: &Login,
        plan: Plan,
        begin: BeginLogin,
        inputs: Receiver<LoginInput>,
    ) -> LoginStep {
        let work = async {
            let http = self.oauth.http_with(&begin.network)?;
            let drive = Drive { broker: self, login, begin, http: &http, inputs };
            drive.run(plan).await
        };
        let ended = tokio::select! {
            ended = timeout(LIFE, work) => {
                ended.unwrap_or_else(|_| Err(failed("nobody finished the login in time")))
            }
            () = login.cancelled.notified() => Err(failed("the login was cancelled")),
        };
        ended.unwrap_or_else(|error| LoginStep::Failed { error })
    }
}

impl Drive<'_> {
    async fn run(mut self, plan: Plan) -> Result<LoginStep, ErrorReply> {
        let to = plan.resolve(self.http, &self.begin).await?;
        if matches!(to.flow, Flow::Pkce | Flow::DcrPkce)
            && let Some(why) = &self.broker.oauth.unreachable
        {
            return Err(ErrorReply {
                kind: ErrorKind::Unavailable,
                message: format!("a browser could not come back: {why}"),
                hint: Some("free the port, or set `dashboard_port` in config.toml".to_owned()),
            });
        }
        let (client, registered) = self.client(&to).await?;
        let tokens = match self.tokens(&to, &client).await {
            Ok(tokens) => tokens,
            Err(error) => {
                // A server may have forgotten a client it registered; the next login gets another.
                if registered && error.kind() == Fault::Client {
                    self.broker.forget_client(&to.definition.name, self.base_url())?;
                }
                return Err(auth_error(&error));
            }
        };
        self.store(to, &client, tokens)
    }

    fn base_url(&self) -> Option<&str> {
        self.begin.base_url.as_deref()
    }

    /// The client to log in with, and whether a server registered it for us.
    async fn client(&mut self, to: &Destination) -> Result<(Client, bool), ErrorReply> {
        if let Some(given) = self.begin.client.take() {
            return self.keep(to, given).map(|client| (client, false));
        }
        let name = &to.definition.name;
        let redirect = &self.broker.oauth.redirect_uri;
        if let Some(known) = self.broker.known_client(name, self.base_url())? {
            let ours = known.registered_for.is_some();
            if known.registered_for.as_ref().is_none_or(|registered| registered == redirect) {
                return Ok((known.client.client(), ours));
            }
        }
        let oauth = to.definition.oauth.as_ref();
        if let Some(id) = oauth.and_then(|oauth| oauth.client_id.clone()) {
            let method = ClientAuthentication::None;
            return Ok((Client { id, secret: None, method }, false));
        }
        if to.flow == Flow::DcrPkce || (to.discovered && to.server.can_register()) {
            let now = Timestamp::now();
            let client =
                auth::register(self.http, &to.server, CLIENT_NAME, redirect, &to.scopes, now)
                    .await
                    .map_err(|error| auth_error(&error))?;
            let known = KnownClient {
                base_url: self.begin.base_url.clone(),
                client: StoredClient::new(&client),
                registered_for: Some(redirect.clone()),
            };
            self.broker.keep_client(name, &known)?;
            return Ok((client, true));
        }
        let method = to.server.client_authentication(true);
        self.login.show(LoginStep::NeedsClient {
            redirect_uri: redirect.clone(),
            hint: oauth.and_then(|oauth| oauth.client_hint.clone()),
            needs_secret: method != ClientAuthentication::None,
        });
        loop {
            match self.inputs.recv().await {
                Some(LoginInput::Client { client }) => {
                    self.login.show(LoginStep::Working);
                    return self.keep(to, client).map(|client| (client, false));
                }
                Some(LoginInput::Redirect { .. } | LoginInput::Cancel) => {}
                None => return Err(failed("the login was given up")),
            }
        }
    }

    /// Keeps a client that the user brought for the next login.
    fn keep(&self, to: &Destination, given: ClientCredentials) -> Result<Client, ErrorReply> {
        let id = given.id.trim();
        if id.is_empty() || id.chars().any(char::is_control) {
            return Err(usage("the client id is empty or has a control character"));
        }
        let secret = given.secret.map(|secret| secret.0).filter(|s| !s.expose_secret().is_empty());
        let method = to.server.client_authentication(secret.is_some());
        let client = Client { id: id.to_owned(), secret, method };
        let known = KnownClient {
            base_url: self.begin.base_url.clone(),
            client: StoredClient::new(&client),
            registered_for: None,
        };
        self.broker.keep_client(&to.definition.name, &known)?;
        Ok(client)
    }

    async fn tokens(&mut self, to: &Destination, client: &Client) -> Result<TokenSet, auth::Error> {
        match to.flow {
            Flow::Pkce | Flow::DcrPkce => self.by_browser(to, client).await,
            Flow::DeviceCode => self.by_device(to, client).await,
            Flow::ClientCredentials => {
                let (http, now) = (self.http, Timestamp::now());
                auth::client_credentials(http, &to.server, client, &to.scopes, now).await
            }
        }
    }

    async fn by_browser(
        &mut self,
        to: &Destination,
        client: &Client,
    ) -> Result<TokenSet, auth::Error> {
        let redirect_uri = &self.broker.oauth.redirect_uri;
        let (url, authorization) =
            Authorization::begin(&to.server, client, redirect_uri, &to.scopes)?;
        self.login.expect(Some(authorization.state()));
        self.login.show(LoginStep::Browser { url, redirect_uri: redirect_uri.clone() });
        let query = loop {
            match self.inputs.recv().await {
                Some(LoginInput::Redirect { url }) => break url,
                Some(LoginInput::Client { .. } | LoginInput::Cancel) => {}
                // Cannot be: the login holds the other end.
                None => std::future::pending().await,
            }
        };
        self.login.show(LoginStep::Working);
        let query = query_of(query.0.expose_secret());
        authorization.finish(self.http, &to.server, client, query, Timestamp::now()).await
    }

    async fn by_device(&self, to: &Destination, client: &Client) -> Result<TokenSet, auth::Error> {
        let (http, server, now) = (self.http, &to.server, Timestamp::now());
        let mut grant = DeviceGrant::begin(http, server, client, &to.scopes, now).await?;
        self.login.show(LoginStep::Device {
            user_code: grant.user_code.clone(),
            verification_uri: grant.verification_uri.clone(),
            verification_uri_complete: grant.verification_uri_complete.clone(),
        });
        loop {
            sleep(grant.interval().max(Duration::from_millis(100))).await;
            if let Some(tokens) = grant.poll(http, server, client, Timestamp::now()).await? {
                return Ok(tokens);
            }
        }
    }

    /// Keeps the definition of a server that was discovered.
    fn define(&self, provider: &str, text: &str) -> Result<PathBuf, ErrorReply> {
        let failed =
            |error: paths::Error| ErrorReply::caused(ErrorKind::Failed, &error, error.hint());
        let providers = self.broker.common.providers();
        paths::create_private_dir(&providers).map_err(failed)?;
        let path = providers.join(format!("{provider}.toml"));
        paths::write_private(&path, text.as_bytes()).map_err(failed)?;
        self.broker.reload_providers()?;
        Ok(path)
    }

    fn store(
        self,
        to: Destination,
        client: &Client,
        tokens: TokenSet,
    ) -> Result<LoginStep, ErrorReply> {
        let server = to.discovered.then(|| to.server.clone());
        let grant = Grant::new(to.flow, &tokens, client, server, Timestamp::now());
        let provider = to.definition.name.clone();
        let written = match &to.new_definition {
            Some(text) => Some(self.define(&provider, text)?),
            None => None,
        };
        let connection = self.begin.connection.clone();
        let mut settings = settings(&self.begin);
        settings.extend(to.definition.settings_from_response(&tokens.settings));
        let replaced = self.broker.store_login(NewConnection {
            definition: to.definition,
            connection: connection.clone(),
            settings,
            tokens,
            grant,
            replace: self.begin.replace,
        });
        let replaced = match (replaced, written) {
            (Err(error), Some(path)) => {
                // A definition without a connection is nothing anybody asked for.
                let _ = std::fs::remove_file(path);
                self.broker.reload_providers()?;
                return Err(error);
            }
            (replaced, _) => replaced?,
        };
        let view = self.broker.view(&provider, &connection)?;
        let status = if replaced { "replaced" } else { "stored" }.to_owned();
        Ok(LoginStep::Done { status, connection: Box::new(view) })
    }
}
