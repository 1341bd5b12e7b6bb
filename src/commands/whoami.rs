//! `authsome whoami`: user, profile, identity, home, daemon, version.

use serde_json::{Value, json};

use super::{Context, Error, connections};
use crate::protocol::{
    Request, Status,
    identity::{ProfileRequest, Whoami},
};

pub(super) fn whoami(context: &Context) -> Result<(), Error> {
    let home = context.home.root().display().to_string();
    let user = user();
    // A daemon that does not start is something to show here, not something to fail of.
    let asked = context.client().and_then(|mut client| {
        let status: Status = client.call(Request::Status)?;
        let who: Whoami = client.call(Request::Profile(ProfileRequest::Whoami))?;
        let count = connections(&mut client, None)?.len();
        Ok((status, who, count))
    });
    let (daemon, who, count) = match &asked {
        Ok((status, who, count)) => (running(status), Some(who), Some(*count)),
        Err(error) => (json!({ "running": false, "error": error.message }), None, None),
    };
    let profile = who.map(|who| who.profile.clone());
    let identity = who.and_then(|who| who.identity.as_ref());
    let members = json!({
        "user": user,
        "home": home,
        "profile": profile,
        "identity": identity,
        "version": env!("CARGO_PKG_VERSION"),
        "daemon": daemon,
        "connections": count,
    });
    Ok(context.output.result(members, |text| {
        let daemon = match &asked {
            Ok((status, ..)) => format!("running, pid {}, version {}", status.pid, status.version),
            Err(error) => format!("not running: {}", error.message),
        };
        text.pairs([
            ("user", user.clone()),
            ("home", home.clone()),
            ("profile", profile.clone().unwrap_or_else(|| "unknown".to_owned())),
            (
                "identity",
                identity.map_or_else(
                    || "none in use: a run's is called after its command".to_owned(),
                    |identity| identity.agent.clone(),
                ),
            ),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("daemon", daemon),
            ("connections", count.map_or_else(|| "unknown".to_owned(), |n| n.to_string())),
        ]);
        if count == Some(0) {
            text.blank();
            text.dim("Connect a provider: authsome login PROVIDER");
        }
    })?)
}

/// A daemon's status as a JSON object with `running`.
pub(super) fn running(status: &Status) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_else(|_| json!({}));
    if let Value::Object(members) = &mut value {
        members.insert("running".to_owned(), json!(true));
    }
    value
}

pub(super) fn user() -> String {
    let uid = nix::unistd::Uid::current();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}
