//! What each connection will be called here, and what it consists of. Pure.

use std::collections::BTreeSet;

use secrecy::SecretString;

use crate::{
    import::{FoundClient, FoundConnection, FoundCredential, Profile, Tokens},
    protocol::{
        self,
        login::{ClientCredentials, ImportTokens},
    },
    provider::{Definition, Values},
};

/// Names that changed since.
const RENAMED: [(&str, &str); 1] = [("notion_dcr", "notion-mcp")];

/// A connection on its way.
#[derive(Debug)]
pub(super) struct Planned {
    /// Whose it was.
    pub(super) profile: Profile,
    /// Provider and connection as they were called there.
    pub(super) from: String,
    /// Provider's name here.
    pub(super) provider: String,
    /// Connection's name here.
    pub(super) connection: String,
    /// Is it to be the provider's default, if there is none yet?
    pub(super) default: bool,
    /// Why it is not worth storing.
    pub(super) useless: Option<String>,
    /// What is stored.
    pub(super) secret: Secret,
}

/// What is stored.
#[derive(Debug)]
pub(super) enum Secret {
    /// One value that a person entered.
    Key(SecretString),
    /// An OAuth login.
    Tokens(Box<ImportTokens>),
}

impl Planned {
    /// For JSON.
    pub(super) fn kind(&self) -> &'static str {
        match self.secret {
            Secret::Key(_) => "api_key",
            Secret::Tokens(_) => "tokens",
        }
    }
}

/// Names the connections of `profile`, or of all. One that would have the name of another gets its
/// profile's before its own.
pub(super) fn connections(
    found: Vec<FoundConnection>,
    profile: Option<&str>,
    replace: bool,
    name_here: impl Fn(&str) -> String,
) -> Vec<Planned> {
    let mut taken = BTreeSet::new();
    let mut planned = Vec::new();
    for found in found {
        if profile.is_some_and(|wanted| wanted != found.profile.name) {
            continue;
        }
        let provider = name_here(&found.provider);
        let plain = found.profile.active || profile.is_some();
        let long = format!("{}-{}", found.profile.name, found.name);
        let mut connection = if plain { found.name.clone() } else { long.clone() };
        if taken.contains(&(provider.clone(), connection.clone())) {
            connection = long;
        }
        let first = taken.insert((provider.clone(), connection.clone()));
        planned.push(Planned {
            from: format!("{}/{}", found.provider, found.name),
            default: found.default && plain,
            useless: useless(&found, first),
            secret: secret(found.credential, found.base_url, &provider, &connection, replace),
            profile: found.profile,
            provider,
            connection,
        });
    }
    planned
}

/// The name here of a bundled provider there.
pub(super) fn renamed(provider: &str) -> &str {
    RENAMED.iter().find(|(old, _)| *old == provider).map_or(provider, |(_, new)| new)
}

fn useless(found: &FoundConnection, first: bool) -> Option<String> {
    if !first {
        return Some("another connection has its name".to_owned());
    }
    match (found.status.as_str(), &found.credential) {
        ("revoked" | "invalid" | "not_connected", _) => {
            Some(format!("the earlier authsome calls it {}", found.status.replace('_', " ")))
        }
        ("expired", FoundCredential::Tokens(Tokens { refresh_token: None, .. })) => {
            Some("it expired and cannot be refreshed".to_owned())
        }
        _ => None,
    }
}

fn secret(
    credential: FoundCredential,
    base_url: Option<String>,
    provider: &str,
    connection: &str,
    replace: bool,
) -> Secret {
    match credential {
        FoundCredential::ApiKey(key) => Secret::Key(key),
        FoundCredential::Tokens(tokens) => Secret::Tokens(Box::new(ImportTokens {
            provider: provider.to_owned(),
            connection: connection.to_owned(),
            access_token: Some(protocol::Secret(tokens.access_token)),
            refresh_token: tokens.refresh_token.map(protocol::Secret),
            expires_at: tokens.expires_at.map(|time| time.to_string()),
            scopes: tokens.scopes,
            base_url,
            client: None,
            replace,
        })),
    }
}

/// Gives each login the client it was made with. Clients no login was made with come back, for the
/// next one.
pub(super) fn with_clients(
    mut planned: Vec<Planned>,
    clients: Vec<FoundClient>,
    profile: Option<&str>,
    name_here: impl Fn(&str) -> String,
) -> (Vec<Planned>, Vec<ImportTokens>) {
    let mut unused = Vec::new();
    for found in clients {
        let owner = found.profile.as_ref();
        if owner.is_some_and(|owner| profile.is_some_and(|wanted| wanted != owner.name)) {
            continue;
        }
        let provider = name_here(&found.provider);
        let client = ClientCredentials { id: found.id, secret: found.secret.map(protocol::Secret) };
        let mut used = false;
        for planned in &mut planned {
            if planned.provider == provider
                && owner.is_none_or(|owner| *owner == planned.profile)
                && let Secret::Tokens(tokens) = &mut planned.secret
                && tokens.client.is_none()
            {
                tokens.client = Some(client.clone());
                // An older login has its base URL only here.
                tokens.base_url = tokens.base_url.take().or_else(|| found.base_url.clone());
                used = true;
            }
        }
        if !used {
            unused.push(ImportTokens {
                provider,
                connection: "default".to_owned(),
                access_token: None,
                refresh_token: None,
                expires_at: None,
                scopes: found.scopes.unwrap_or_default(),
                base_url: found.base_url,
                client: Some(client),
                replace: false,
            });
        }
    }
    (planned, unused)
}

/// The values of a connection that has been one key.
///
/// # Errors
///
/// The name of a field that the key alone does not fill.
pub(super) fn values(definition: &Definition, key: &SecretString) -> Result<Values, String> {
    let needed =
        || definition.fields.iter().filter(|field| !field.optional && field.derive.is_none());
    let secrets = || definition.fields.iter().filter(|field| field.secret);
    let field = needed().find(|field| field.secret).or_else(|| secrets().next());
    let Some(field) = field else { return Err("a secret".to_owned()) };
    match needed().find(|other| other.name != field.name) {
        Some(other) => Err(format!("`{}`", other.name)),
        None => Ok([(field.name.clone(), key.clone())].into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(profile: &str, active: bool, provider: &str, name: &str) -> FoundConnection {
        FoundConnection {
            profile: Profile { name: profile.into(), active },
            provider: provider.into(),
            name: name.into(),
            default: true,
            status: "connected".into(),
            credential: FoundCredential::ApiKey("made up".into()),
            base_url: None,
            created: None,
        }
    }

    fn login(profile: &str, provider: &str, refresh: Option<&str>) -> FoundConnection {
        let tokens = Tokens {
            access_token: "made up".into(),
            refresh_token: refresh.map(SecretString::from),
            expires_at: None,
            scopes: Vec::new(),
            token_type: None,
        };
        let credential = FoundCredential::Tokens(tokens);
        FoundConnection { credential, ..found(profile, true, provider, "default") }
    }

    fn client(profile: Option<&str>, provider: &str) -> FoundClient {
        FoundClient {
            profile: profile.map(|name| Profile { name: name.into(), active: true }),
            provider: provider.into(),
            id: "id".into(),
            secret: None,
            base_url: Some("https://git.example.com".into()),
            scopes: None,
        }
    }

    fn name(provider: &str) -> String {
        renamed(provider).to_owned()
    }

    fn names(planned: &[Planned]) -> Vec<String> {
        planned.iter().map(|one| format!("{}/{}", one.provider, one.connection)).collect()
    }

    #[test]
    fn only_other_profiles_connections_get_its_name_before_theirs() {
        let all = || {
            vec![found("me", true, "openai", "default"), found("work", false, "openai", "default")]
        };

        let planned = connections(all(), None, false, name);
        assert_eq!(names(&planned), ["openai/default", "openai/work-default"]);
        assert_eq!([planned[0].default, planned[1].default], [true, false]);
        assert_eq!(names(&connections(all(), Some("work"), false, name)), ["openai/default"]);
    }

    #[test]
    fn no_two_connections_get_the_same_name() {
        let all = vec![
            found("new", true, "openai", "default"),
            found("default", true, "openai", "default"),
            found("default", false, "openai", "default"),
        ];

        let planned = connections(all, None, false, name);

        assert_eq!(names(&planned[..2]), ["openai/default", "openai/default-default"]);
        assert!(planned[1].useless.is_none() && planned[2].useless.is_some());
    }

    #[test]
    fn what_is_of_no_use_is_not_stored() {
        let with = |status: &str, found: FoundConnection| FoundConnection {
            status: status.into(),
            ..found
        };
        let useless = |found| connections(vec![found], None, false, name)[0].useless.is_some();

        assert!(useless(with("revoked", found("me", true, "openai", "default"))));
        assert!(useless(with("expired", login("me", "github", None))));
        assert!(!useless(with("expired", login("me", "github", Some("made up")))));
    }

    #[test]
    fn a_login_gets_its_own_profiles_client() {
        let planned = connections(vec![login("me", "notion_dcr", None)], None, false, name);
        let clients = vec![client(Some("other"), "notion_dcr"), client(Some("me"), "notion_dcr")];

        let (planned, unused) = with_clients(planned, clients, None, name);

        let Secret::Tokens(tokens) = &planned[0].secret else { panic!() };
        assert!(tokens.client.is_some());
        assert_eq!(tokens.base_url.as_deref(), Some("https://git.example.com"));
        assert_eq!(tokens.provider, "notion-mcp");
        assert_eq!(unused.len(), 1);
    }

    #[test]
    fn a_client_of_everybody_is_given_to_every_login() {
        let all = vec![login("me", "github", None), login("you", "github", None)];

        let (planned, unused) = with_clients(
            connections(all, None, false, name),
            vec![client(None, "github")],
            None,
            name,
        );

        let with_client =
            |one: &Planned| matches!(&one.secret, Secret::Tokens(t) if t.client.is_some());
        assert!(planned.iter().all(with_client) && unused.is_empty());
    }

    #[test]
    fn a_key_alone_does_not_make_a_connection_of_two_values() {
        let definition = |fields: &str| {
            let text = format!(
                "name = \"x\"\ndisplay_name = \"X\"\nauth_type = \"api_key\"\n\
                 hosts = [\"api.example.com\"]\n{fields}\n[[inject]]\nkind = \"bearer\"\n\
                 field = \"token\""
            );
            Definition::parse_toml(&text, "x.toml").unwrap()
        };
        let token = "[[fields]]\nname = \"token\"\n";
        let region = "[[fields]]\nname = \"region\"\nsecret = false\n";
        let key = SecretString::from("made up");

        assert!(values(&definition(token), &key).unwrap().contains_key("token"));
        let two = definition(&format!("{region}{token}"));
        assert_eq!(values(&two, &key).unwrap_err(), "`region`");
    }
}
