//! Logins under way: each a task that goes from step to step, looked at by whoever has its id.

mod drive;
mod server;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout},
};

use super::super::{
    Broker,
    connections::{check_name, failed},
};
use crate::{
    auth::callback_state,
    protocol::{
        ErrorKind, ErrorReply, Secret,
        login::{BeginLogin, LoginInput, LoginStep, LoginView},
    },
};

/// Longest life of a login.
const LIFE: Duration = Duration::from_secs(30 * 60);
/// Logins under way at once.
const MAX_LOGINS: usize = 64;
/// How long one that has ended can still be looked at.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// How long a browser that came back waits for what comes of it.
const CALLBACK_WAIT: Duration = Duration::from_secs(35);
/// How long whoever adds something waits for what comes of it.
const INPUT_WAIT: Duration = Duration::from_secs(2);

/// All logins.
#[derive(Debug, Default)]
pub(super) struct Logins {
    all: Mutex<BTreeMap<String, Arc<Login>>>,
}

/// One login.
#[derive(Debug)]
struct Login {
    begun: Instant,
    view: watch::Sender<LoginView>,
    /// What a person adds.
    inputs: mpsc::Sender<LoginInput>,
    cancelled: Notify,
    /// The `state` (RFC 6749 §4.1.1) it waits for; taken by the first callback that has it.
    state: Mutex<Option<String>>,
}

impl Login {
    /// Goes on to the next step.
    fn show(&self, step: LoginStep) {
        self.view.send_modify(|view| {
            view.step = step;
            view.revision += 1;
        });
    }

    fn view(&self) -> LoginView {
        self.view.borrow().clone()
    }

    fn expect(&self, state: Option<&str>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state.map(str::to_owned);
    }

    /// Is it this login that waits for `state`? Not a second time.
    fn take_state(&self, state: &str) -> bool {
        let mut expected = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let same = expected.as_deref() == Some(state);
        if same {
            *expected = None;
        }
        same
    }

    /// The view once it is another than `seen`, or after `wait`.
    async fn after(&self, seen: u64, wait: Duration) -> LoginView {
        let mut view = self.view.subscribe();
        let changed = view.wait_for(|view| view.revision != seen || view.step.is_over());
        let _ = timeout(wait, changed).await;
        self.view()
    }
}

impl Logins {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Login>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &str) -> Option<Arc<Login>> {
        self.lock().get(id).cloned()
    }

    /// Takes one more, if there is room.
    fn insert(&self, id: String, login: Arc<Login>) -> Result<(), ErrorReply> {
        let mut all = self.lock();
        all.retain(|_, login| {
            let over = login.view.borrow().step.is_over();
            login.begun.elapsed() < if over { REMEMBERED } else { LIFE + REMEMBERED }
        });
        if all.len() >= MAX_LOGINS {
            return Err(ErrorReply {
                kind: ErrorKind::Unavailable,
                message: format!("{MAX_LOGINS} logins are under way"),
                hint: Some("finish or cancel one".to_owned()),
            });
        }
        all.insert(id, login);
        Ok(())
    }
}

impl Broker {
    /// Begins a login; it goes on by itself.
    ///
    /// # Errors
    /// No such provider, one without OAuth, a connection that exists, a name that is none.
    pub fn begin_login(self: &Arc<Self>, begin: BeginLogin) -> Result<LoginView, ErrorReply> {
        check_name(&begin.connection)?;
        let plan = self.plan(&begin)?;
        let id = new_id()?;
        let now = Timestamp::now();
        let life = SignedDuration::try_from(LIFE).unwrap_or_default();
        let (inputs, inbox) = mpsc::channel(4);
        let view = LoginView {
            id: id.clone(),
            revision: 0,
            provider: plan.provider().to_owned(),
            display_name: plan.display_name().to_owned(),
            connection: begin.connection.clone(),
            expires_at: now.checked_add(life).unwrap_or(now).to_string(),
            step: LoginStep::Working,
        };
        let login = Arc::new(Login {
            begun: Instant::now(),
            view: watch::Sender::new(view.clone()),
            inputs,
            cancelled: Notify::new(),
            state: Mutex::new(None),
        });
        self.oauth.logins.insert(id, Arc::clone(&login))?;
        let broker = Arc::clone(self);
        drop(self.oauth.runtime.spawn(async move {
            let step = broker.drive(&login, plan, begin, inbox).await;
            login.expect(None);
            login.show(step);
        }));
        Ok(view)
    }

    /// A login at this moment.
    #[must_use]
    pub fn login(&self, id: &str) -> Option<LoginView> {
        self.oauth.logins.get(id).map(|login| login.view())
    }

    /// A login once its revision is another than `seen`, or after `wait`.
    ///
    /// # Errors
    /// There is no such login (any more).
    pub async fn await_login(
        &self,
        id: &str,
        seen: u64,
        wait: Duration,
    ) -> Result<LoginView, ErrorReply> {
        let login = self.oauth.logins.get(id).ok_or_else(no_login)?;
        Ok(login.after(seen, wait).await)
    }

    /// Adds to a login.
    ///
    /// # Errors
    /// There is no such login, it does not wait for that, or the redirect is not for it.
    pub async fn login_input(&self, id: &str, input: LoginInput) -> Result<LoginView, ErrorReply> {
        let login = self.oauth.logins.get(id).ok_or_else(no_login)?;
        let seen = login.view().revision;
        match &input {
            LoginInput::Cancel => login.cancelled.notify_one(),
            LoginInput::Redirect { url } => {
                use secrecy::ExposeSecret as _;
                let state = callback_state(query_of(url.0.expose_secret()));
                if !state.is_some_and(|state| login.take_state(&state)) {
                    return Err(usage("that is not the address this login leads back to"));
                }
                login.send(input)?;
            }
            LoginInput::Client { .. } => {
                if !matches!(login.view().step, LoginStep::NeedsClient { .. }) {
                    return Err(usage("the login does not wait for a client"));
                }
                login.send(input)?;
            }
        }
        Ok(login.after(seen, INPUT_WAIT).await)
    }

    /// Ends a login whose command has gone, if it has not ended by itself.
    pub fn cancel_login(&self, id: &str) {
        if let Some(login) = self.oauth.logins.get(id) {
            login.cancelled.notify_one();
        }
    }

    /// A browser came back with this query; the login it is for, once something came of it.
    pub async fn callback(&self, query: &str) -> Option<LoginView> {
        let state = callback_state(query)?;
        let waiting: Vec<_> = self.oauth.logins.lock().values().cloned().collect();
        let login = waiting.into_iter().find(|login| login.take_state(&state))?;
        let seen = login.view().revision;
        login.send(LoginInput::Redirect { url: Secret(query.into()) }).ok()?;
        let begun = Instant::now();
        let mut view = login.after(seen, CALLBACK_WAIT).await;
        while !view.step.is_over() && begun.elapsed() < CALLBACK_WAIT {
            view = login.after(view.revision, CALLBACK_WAIT).await;
        }
        Some(view)
    }
}

impl Login {
    fn send(&self, input: LoginInput) -> Result<(), ErrorReply> {
        self.inputs.try_send(input).map_err(|_| usage("the login has ended"))
    }
}

/// The query of an address that was pasted; the text itself if it is only that.
fn query_of(text: &str) -> &str {
    let text = text.trim();
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    text.split_once('?').map_or(text, |(_, query)| query)
}

fn new_id() -> Result<String, ErrorReply> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| failed("the kernel gives no random numbers"))?;
    Ok(hex::encode(bytes))
}

fn no_login() -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::NotFound,
        message: "there is no such login any more".to_owned(),
        hint: Some("begin again with `authsome login`".to_owned()),
    }
}

fn usage(message: &str) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Usage, message: message.to_owned(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_address_may_be_whole_or_only_its_query() {
        assert_eq!(query_of(" http://127.0.0.1:7998/cb?code=1&state=2#x\n"), "code=1&state=2");
        assert_eq!(query_of("code=1&state=2"), "code=1&state=2");
    }
}
