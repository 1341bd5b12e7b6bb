//! Connections that the audit log knows and the vault does not: a store whose end was damaged takes that for
//! never written, and says nothing.

use std::collections::BTreeMap;

use crate::{
    audit::{Entry, Kind, read},
    commands::Context,
    daemon::client::Client,
    doctor::Finding,
    protocol::{
        ConnectionView, Request,
        identity::{ProfileRequest, Whoami},
        login_command,
    },
    provider::Registry,
};

/// No more events are looked at.
const MOST: usize = 50_000;

/// What is missing, if something is.
pub(super) fn check(context: &Context, client: &mut Client) -> Option<Finding> {
    let whoami: Whoami = client.call(Request::Profile(ProfileRequest::Whoami)).ok()?;
    let views: Vec<ConnectionView> = client.call(Request::Connections { provider: None }).ok()?;
    let entries = read::matching(&context.home.audit_log(), MOST, |entry| {
        matches!(entry.event.kind, Kind::Vault)
    });
    let (registry, _) = Registry::load(Some(&context.home.providers()));
    let lost: Vec<String> = known(&entries.ok()?, &whoami.profile)
        .into_iter()
        .filter(|name| {
            let Some((provider, connection)) = name.split_once('/') else { return false };
            // Of one without a definition nothing is shown, but it is there.
            registry.get(provider).is_some()
                && !views.iter().any(|v| v.provider == provider && v.connection == connection)
        })
        .collect();
    let (provider, connection) = lost.first()?.split_once('/')?;
    Some(Finding::fail(
        "lost connections",
        format!("on record and not in the vault, whose store was damaged: {}", lost.join(", ")),
        Some(format!("authsome vault restore BACKUP, or {}", login_command(provider, connection))),
    ))
}

/// The connections of a profile that the last event about each does not delete.
fn known(entries: &[Entry], profile: &str) -> Vec<String> {
    let mut there = BTreeMap::new();
    // What failed may be about one that never was.
    let done = entries.iter().filter(|entry| entry.event.error.is_none());
    for entry in done.filter(|entry| entry.event.profile.as_deref() == Some(profile)) {
        let operation = entry.event.operation.as_deref().unwrap_or_default();
        match &entry.event.connection {
            Some(connection) => {
                there.insert(connection.to_string(), operation != "delete");
            }
            None if operation == "delete-profile" => there.clear(),
            None => {}
        }
    }
    there.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Event;

    fn entry(operation: &'static str, connection: Option<&str>) -> Entry {
        let event = Event {
            profile: Some("default".into()),
            operation: Some(operation.into()),
            connection: connection.map(Into::into),
            ..Event::new(Kind::Vault)
        };
        Entry { v: 1, seq: 1, event, prev: String::new(), hash: String::new() }
    }

    #[test]
    fn what_was_stored_last_is_there_and_what_was_deleted_last_is_not() {
        let put = |name| entry("put", Some(name));
        let delete = |name| entry("delete", Some(name));
        let log = [put("a/x"), put("b/x"), delete("a/x"), delete("c/x"), put("c/x")];
        assert_eq!(known(&log, "default"), ["b/x", "c/x"]);
        assert!(known(&log, "work").is_empty());
    }

    #[test]
    fn a_profile_that_was_deleted_has_nothing_and_a_failure_proves_nothing() {
        let log = [entry("put", Some("a/x")), entry("delete-profile", None)];
        assert!(known(&log, "default").is_empty());
        let mut failed = entry("login", Some("a/x"));
        failed.event.error = Some("denied".into());
        assert!(known(&[failed], "default").is_empty());
    }
}
