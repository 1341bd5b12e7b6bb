//! Putting a credential into the vault, for `login` and `scan --import`.
//!
//! Storing what is stored already is no error: scripts may log in again.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;

use super::Error;
use crate::{
    daemon::client::Client,
    protocol::{ConnectionView, Credential, ErrorKind, ErrorReply, Request, Secret},
    provider::Values,
};

/// What became of it.
#[derive(Debug)]
pub(super) enum Stored {
    /// The connection is new.
    New(ConnectionView),
    /// It has another value than before.
    Replaced(ConnectionView),
    /// It had this value already.
    Unchanged(ConnectionView),
    /// It has another value and was left as it is; says so.
    Different(ErrorReply),
}

/// Stores `values`; a connection with other values is replaced only if `replace`.
pub(super) fn store(
    client: &mut Client,
    provider: &str,
    connection: &str,
    values: &Values,
    replace: bool,
) -> Result<Stored, Error> {
    let put = |replace| Request::PutConnection {
        provider: provider.to_owned(),
        connection: connection.to_owned(),
        fields: values.iter().map(|(name, value)| (name.clone(), Secret(value.clone()))).collect(),
        replace,
    };
    let exists = match client.call(put(false)) {
        Ok(view) => return Ok(Stored::New(view)),
        Err(error) if error.kind == ErrorKind::Exists => error,
        Err(error) => return Err(error.into()),
    };
    let present: Credential = client.call(Request::GetConnection {
        provider: provider.to_owned(),
        connection: Some(connection.to_owned()),
        reveal: true,
        purpose: "login".to_owned(),
    })?;
    if same(&present, values) {
        return Ok(Stored::Unchanged(present.view));
    }
    if replace {
        Ok(Stored::Replaced(client.call(put(true))?))
    } else {
        Ok(Stored::Different(exists))
    }
}

fn same(present: &Credential, values: &Values) -> bool {
    let secrets = present.secrets.iter().map(|(name, value)| (name, value.0.expose_secret()));
    let plain = present.view.fields.iter().map(|(name, value)| (name, value.as_str()));
    let present: BTreeMap<_, _> = secrets.chain(plain).collect();
    present.len() == values.len()
        && values.iter().all(|(name, value)| present.get(name) == Some(&value.expose_secret()))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn credential(secret: &str) -> Credential {
        Credential {
            view: ConnectionView {
                reason: None,
                scopes: Vec::new(),
                provider: "twilio".into(),
                connection: "default".into(),
                default: true,
                status: "connected".into(),
                fields: [("account_sid".into(), "AC1".into())].into(),
                secret_fields: vec!["auth_token".into()],
                sources: BTreeMap::new(),
                created_at: String::new(),
                last_used_at: None,
                expires_at: None,
            },
            secrets: [("auth_token".into(), Secret(SecretString::from(secret)))].into(),
        }
    }

    fn values(sid: &str, token: &str) -> Values {
        let value = |text: &str| SecretString::from(text);
        [("account_sid".into(), value(sid)), ("auth_token".into(), value(token))].into()
    }

    #[test]
    fn the_same_values_are_the_same_credential() {
        assert!(same(&credential("token-1"), &values("AC1", "token-1")));
    }

    #[test]
    fn one_other_value_makes_another_credential() {
        assert!(!same(&credential("token-1"), &values("AC1", "token-2")));
        assert!(!same(&credential("token-1"), &values("AC2", "token-1")));
    }

    #[test]
    fn a_missing_value_makes_another_credential() {
        let mut fewer = values("AC1", "token-1");
        fewer.remove("account_sid");

        assert!(!same(&credential("token-1"), &fewer));
    }
}
