//! Requests about agent identities and profiles.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::session::json;
use crate::{
    broker::{Broker, Profiles},
    protocol::{
        ErrorReply,
        identity::{IdentityRequest, ProfileRequest, ProfileView, Whoami},
    },
};

/// Answers a request about the identities of a profile; `named` is the one that the client acts as.
pub(super) fn answer(
    broker: &Broker,
    named: Option<&str>,
    request: IdentityRequest,
) -> Result<Value, ErrorReply> {
    match request {
        IdentityRequest::Create { name } => json(broker.create_identity(&name)?),
        IdentityRequest::List => json(broker.identities()?),
        IdentityRequest::Show { name } => json(broker.identity(name.as_deref().or(named))?),
        IdentityRequest::Use { name } => json(broker.use_identity(&name)?),
        IdentityRequest::Token { name, seconds } => {
            let lifetime = Duration::from_secs(seconds);
            json(broker.identity_token(name.as_deref().or(named), lifetime)?)
        }
        IdentityRequest::Verify { token } => json(broker.verify_token(&token)?),
    }
}

/// Answers a request about the profiles; `broker` opens the one that the client asks in.
pub(super) fn profiles(
    profiles: &Profiles,
    broker: &dyn Fn() -> Result<Arc<Broker>, ErrorReply>,
    named: Option<&str>,
    request: ProfileRequest,
) -> Result<Value, ErrorReply> {
    let view =
        |name: &str| ProfileView { name: name.to_owned(), in_use: *name == *profiles.in_use() };
    match request {
        ProfileRequest::Create { name } => {
            profiles.create(&name)?;
            json(view(&name))
        }
        ProfileRequest::List => {
            json(profiles.names().iter().map(|name| view(name)).collect::<Vec<_>>())
        }
        ProfileRequest::Use { name } => {
            profiles.choose(&name)?;
            json(view(&name))
        }
        ProfileRequest::Delete { name } => json(profiles.delete(&name)?),
        ProfileRequest::Whoami => {
            let broker = broker()?;
            json(Whoami {
                profile: broker.profile().to_string(),
                identity: broker.identity_in_use(named)?,
            })
        }
    }
}
