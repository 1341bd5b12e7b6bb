//! A login by OAuth: begun in the daemon, followed here until it has ended.
//!
//! What there is to do is said on standard error (or, with `--json`, step by step on standard output),
//! so that standard output holds the outcome. The tokens never come here.

use std::{
    env,
    io::BufRead as _,
    thread,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    super::{Context, Error},
    person, tell, usage_error,
};
use crate::{
    cli::LoginArgs,
    config::run::RunConfig,
    daemon::client::Client,
    output,
    protocol::{
        ErrorKind, Request, Secret,
        login::{BeginLogin, ClientCredentials, LoginInput, LoginNetwork, LoginStep, LoginView},
    },
    provider::{Definition, Flow},
    runner::proxy_variables,
};

/// Longest wait for a step in one question to the daemon, in seconds.
const LOOK: u32 = 20;

/// Logs in. `definition`: the provider's, if it is one that is defined.
pub(super) fn login(
    args: &LoginArgs,
    definition: Option<&Definition>,
    context: &Context,
) -> Result<(), Error> {
    let given = given_client(args)?;
    let browser = !args.no_browser && has_browser();
    let begin = BeginLogin {
        provider: definition.map_or(&args.provider, |definition| &definition.name).clone(),
        connection: args.connection.clone(),
        flow: flow(args, definition, browser),
        scopes: (!args.scopes.is_empty()).then(|| args.scopes.clone()),
        base_url: args.base_url.clone(),
        client: given,
        replace: args.force,
        fields: args.fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect(),
        network: network(args)?,
    };
    let mut client = context.client()?;
    let mut view: LoginView = client.call(Request::BeginLogin(Box::new(begin)))?;
    let deadline = args.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let token = definition.filter(|definition| definition.fields.iter().any(|field| field.secret));
    let token = token.map(|definition| definition.name.as_str());
    let follow = Follow { args, context, browser, token };
    let mut pasting = false;
    loop {
        match &view.step {
            LoginStep::Failed { error } => return Err(Error::from(error.clone())),
            LoginStep::Done { status, connection } => {
                let hosts = context
                    .registry()
                    .get(&view.provider)
                    .map(|definition| super::super::hosts(definition))
                    .unwrap_or_default();
                let members = json!({
                    "step": "done", "status": status, "hosts": hosts, "connection": connection
                });
                return Ok(context
                    .output
                    .result(members, |text| tell(text, status, connection, &hosts))?);
            }
            LoginStep::Working => {}
            LoginStep::NeedsClient { redirect_uri, hint, needs_secret } => {
                follow.step(&view)?;
                let given =
                    follow.ask_client(&view, redirect_uri, hint.as_deref(), *needs_secret)?;
                let input = LoginInput::Client { client: given };
                let id = view.id.clone();
                let next: LoginView = client.call(Request::LoginInput { id, input })?;
                if next.revision != view.revision {
                    view = next;
                    continue;
                }
            }
            LoginStep::Browser { url, .. } => {
                follow.step(&view)?;
                follow.browser(url, &view.display_name);
                if !pasting && !browser {
                    pasting = true;
                    follow.paste(&view.id);
                }
            }
            LoginStep::Device { user_code, verification_uri, verification_uri_complete } => {
                follow.step(&view)?;
                follow.device(user_code, verification_uri, verification_uri_complete.as_deref());
            }
        }
        let seen = view.revision;
        while view.revision == seen && !view.step.is_over() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                let input = LoginInput::Cancel;
                let _: LoginView = client.call(Request::LoginInput { id: view.id, input })?;
                let message = "nobody finished the login in time";
                return Err(Error::new(ErrorKind::Failed, message).hint("--timeout waits longer"));
            }
            let seconds = left
                .map_or(LOOK, |left| u32::try_from(left.as_secs()).unwrap_or(LOOK).clamp(1, LOOK));
            view = client.call(Request::AwaitLogin { id: view.id, seen, seconds })?;
        }
    }
}

/// The client the flags bring.
fn given_client(args: &LoginArgs) -> Result<Option<ClientCredentials>, Error> {
    let Some(id) = args.client_id.clone() else {
        if args.client_secret_stdin {
            return Err(usage_error("--client-secret-stdin needs --client-id", "add --client-id"));
        }
        return Ok(None);
    };
    let secret = args.client_secret_stdin.then(super::sources::read_stdin).transpose()?;
    Ok(Some(ClientCredentials { id, secret: secret.map(Secret) }))
}

/// The flow the flags ask for; where no browser is at hand, the one that needs none.
fn flow(args: &LoginArgs, definition: Option<&Definition>, browser: bool) -> Option<String> {
    if let Some(flow) = &args.flow {
        return Some(flow.clone());
    }
    let oauth = definition?.oauth.as_ref()?;
    let device = oauth.supports_device_code && oauth.device_authorization_url.is_some();
    (!browser && device && oauth.flow == Flow::Pkce).then(|| Flow::DeviceCode.as_str().to_owned())
}

fn network(args: &LoginArgs) -> Result<LoginNetwork, Error> {
    // The daemon reads the configuration itself; these are the flags' own.
    let flags = RunConfig {
        resolve: args.resolve.clone(),
        upstream_ca: args.upstream_ca.clone(),
        ..RunConfig::default()
    };
    let settings = flags.settings(|path| std::fs::read_to_string(path))?;
    Ok(LoginNetwork {
        resolve: settings.options.resolve,
        upstream_ca: settings.options.upstream_ca,
        proxy: proxy_variables(&env::vars_os().collect()),
    })
}

/// Could a browser show itself here? Over SSH it would on another machine's screen, if at all.
fn has_browser() -> bool {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let remote = set("SSH_CONNECTION") || set("SSH_TTY");
    cfg!(target_os = "macos") && !remote
        || set("BROWSER")
        || (!remote && (set("DISPLAY") || set("WAYLAND_DISPLAY")))
}

/// What the person at the terminal is told and asked.
struct Follow<'a> {
    args: &'a LoginArgs,
    context: &'a Context,
    browser: bool,
    /// The provider's name, if it takes a token of the user's as well.
    token: Option<&'a str>,
}

impl Follow<'_> {
    /// A step in JSON.
    fn step(&self, view: &LoginView) -> Result<(), Error> {
        if !self.context.output.is_json() {
            return Ok(());
        }
        let mut members = serde_json::to_value(&view.step).unwrap_or_default();
        if let Value::Object(members) = &mut members {
            for (name, value) in [
                ("provider", &view.provider),
                ("login", &view.id),
                ("expires_at", &view.expires_at),
            ] {
                members.insert(name.to_owned(), value.as_str().into());
            }
        }
        Ok(self.context.output.line(members)?)
    }

    fn browser(&self, url: &str, name: &str) {
        let output = &self.context.output;
        if self.browser && open::that_detached(url).is_ok() {
            output.note(format!("log in to {name} in the browser; if none has opened, open"));
        } else {
            output.note(format!("to log in to {name}, open this in a browser:"));
        }
        output.note(url);
        if !self.browser {
            output.note(
                "if the browser is on another machine, it ends on an address it cannot reach: \
                 paste that here",
            );
        }
    }

    fn device(&self, user_code: &str, uri: &str, complete: Option<&str>) {
        let output = &self.context.output;
        output.note(format!("open {uri} and enter the code {user_code}"));
        if self.browser {
            // A convenience: the address has been said.
            let _ = open::that_detached(complete.unwrap_or(uri));
        }
    }

    /// Takes the address that a browser elsewhere ended on. In a thread: nobody may ever paste one.
    fn paste(&self, id: &str) {
        if self.args.client_secret_stdin {
            return;
        }
        let (context, id) = (self.context.clone(), id.to_owned());
        let Ok(acting) = context.acting() else { return };
        let read = move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if line.trim().is_empty() {
                    continue;
                }
                let url = Secret(SecretString::from(line));
                let input = LoginInput::Redirect { url };
                let request = Request::LoginInput { id: id.clone(), input };
                let added = Client::connect(&context.home).and_then(|client| match client {
                    Some(client) => {
                        client.acting(acting.clone()).call::<LoginView>(request).map(drop)
                    }
                    None => Ok(()),
                });
                match added {
                    Ok(()) => return,
                    Err(error) => context.output.warning(error.message),
                }
            }
        };
        // Without the thread the browser can still come back by itself.
        drop(thread::Builder::new().name("paste".to_owned()).spawn(read));
    }

    fn ask_client(
        &self,
        view: &LoginView,
        redirect_uri: &str,
        hint: Option<&str>,
        needs_secret: bool,
    ) -> Result<ClientCredentials, Error> {
        let output = &self.context.output;
        let name = &view.display_name;
        let token = self.token.map(|name| format!("authsome login {name} --flow api_key"));
        if !person() || output.is_json() {
            let mend = format!(
                "register one with the redirect URI {redirect_uri}{}, then add --client-id ID \
                 --client-secret-stdin{}",
                hint.map(|hint| format!(" ({hint})")).unwrap_or_default(),
                token.map(|command| format!("; or store a token: {command}")).unwrap_or_default()
            );
            let message = format!("{name} wants a client of your own");
            return Err(Error::new(ErrorKind::Usage, message).hint(mend));
        }
        output.note(format!("{name} wants a client of your own, registered once"));
        if let Some(hint) = hint {
            output.note(hint);
        }
        output.note(format!("its redirect URI: {redirect_uri}"));
        if let Some(command) = token {
            output.note(format!("or store a token instead: {command}"));
        }
        let id = output::prompt_line("Client id: ")?;
        let secret = needs_secret
            .then(|| output::prompt_secret("Client secret (empty if it has none): "))
            .transpose()?;
        Ok(ClientCredentials { id, secret: secret.map(Secret) })
    }
}
