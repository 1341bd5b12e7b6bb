//! The agent's environment: the user's, less what would lead round us or hold a secret, plus the
//! placeholders and what makes programs trust the run.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
};

use super::Actor;
use crate::protocol::RunOpened;

/// Variables that send clients to a proxy, lower case. They would only meet a closed door in the
/// namespace, where nothing needs to be told of a proxy.
const PROXY_VARIABLES: [&str; 12] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "ftp_proxy",
    "rsync_proxy",
    "grpc_proxy",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "npm_config_noproxy",
    "yarn_http_proxy",
    "yarn_https_proxy",
];

/// The ones the interceptor itself goes by when it dials out.
const UPSTREAM_VARIABLES: [&str; 4] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];

/// What an agent's environment is made from.
#[derive(Debug)]
pub struct Environment<'a> {
    /// The environment it would have without us.
    pub base: &'a BTreeMap<OsString, OsString>,
    /// Who it acts for.
    pub actor: &'a Actor,
    /// The run's id.
    pub run: &'a str,
}

impl Environment<'_> {
    /// The complete environment.
    pub fn compose(
        &self,
        opened: &RunOpened,
        trust: BTreeMap<String, OsString>,
    ) -> Vec<(OsString, OsString)> {
        let mut env = self.base.clone();
        env.retain(|name, _| !is_proxy_variable(name));
        for name in &opened.remove_env {
            env.remove(OsStr::new(name));
        }
        for (name, value) in self.actor.variables() {
            env.insert(name.into(), value);
        }
        for (name, value) in trust {
            env.insert(name.into(), value);
        }
        for (name, value) in &opened.set_env {
            env.insert(name.into(), value.into());
        }
        env.insert("AUTHSOME_RUN".into(), self.run.into());
        env.into_iter().collect()
    }
}

fn is_proxy_variable(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| PROXY_VARIABLES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy)))
}

/// The proxy variables that say how the machine reaches the world, in lower case. As curl has it,
/// the lower-case spelling wins.
#[must_use]
pub fn proxy_variables(env: &BTreeMap<OsString, OsString>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for name in UPSTREAM_VARIABLES {
        let value = env
            .get(OsStr::new(name))
            .or_else(|| env.get(OsStr::new(&name.to_ascii_uppercase())))
            .and_then(|value| value.to_str());
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

/// The file name of the program.
pub(super) fn agent_name(command: &[OsString]) -> String {
    command
        .first()
        .and_then(|program| Path::new(program).file_name())
        .map_or_else(|| "agent".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Home;

    fn compose(base: &[(&str, &str)], opened: &RunOpened) -> BTreeMap<OsString, OsString> {
        let base = base.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let actor = Actor::caller(Home::for_user(Path::new("/nowhere"), |_| None).unwrap());
        Environment { base: &base, actor: &actor, run: "0123456789abcdef" }
            .compose(opened, BTreeMap::new())
            .into_iter()
            .collect()
    }

    #[test]
    fn inherited_proxies_and_real_values_are_gone() {
        let opened = RunOpened {
            set_env: BTreeMap::from([("OPENAI_API_KEY".to_owned(), "sk-fake".to_owned())]),
            remove_env: vec!["GROQ_API_KEY".to_owned()],
            ..RunOpened::default()
        };
        let env = compose(
            &[
                ("HTTPS_PROXY", "http://proxy"),
                ("no_proxy", "*"),
                ("GROQ_API_KEY", "gsk-real"),
                ("OPENAI_API_KEY", "sk-real"),
                ("EDITOR", "vi"),
            ],
            &opened,
        );
        assert_eq!(env.get(OsStr::new("HTTPS_PROXY")), None);
        assert_eq!(env.get(OsStr::new("no_proxy")), None);
        assert_eq!(env.get(OsStr::new("GROQ_API_KEY")), None);
        assert_eq!(env.get(OsStr::new("OPENAI_API_KEY")), Some(&"sk-fake".into()));
        assert_eq!(env.get(OsStr::new("EDITOR")), Some(&"vi".into()));
    }

    #[test]
    fn the_lower_case_proxy_variable_wins() {
        let env = BTreeMap::from([
            ("https_proxy".into(), "http://lower".into()),
            ("HTTPS_PROXY".into(), "http://upper".into()),
            ("ALL_PROXY".into(), "http://all".into()),
        ]);
        let found = proxy_variables(&env);
        assert_eq!(found.get("https_proxy").map(String::as_str), Some("http://lower"));
        assert_eq!(found.get("all_proxy").map(String::as_str), Some("http://all"));
    }

    #[test]
    fn an_agent_is_called_after_its_program() {
        assert_eq!(agent_name(&["/usr/bin/curl".into(), "-s".into()]), "curl");
    }
}
