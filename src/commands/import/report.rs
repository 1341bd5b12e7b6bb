//! What `import` says: a table of everything there was, and what became of it.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use serde_json::{Value, json};

use super::{Outcome, Status, definitions::Taken, plan::Planned};
use crate::{
    cli::ImportArgs,
    commands::{Context, Error, chain, count},
    import::Unreadable,
    output::{Table, Text},
    protocol::login::ImportTokens,
};

/// Everything there was.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) home: PathBuf,
    pub(super) connections: Vec<(Planned, Outcome)>,
    pub(super) clients: Vec<(ImportTokens, Outcome)>,
    pub(super) definitions: Vec<Taken>,
    pub(super) unreadable: Vec<Unreadable>,
}

impl Report {
    /// Writes it; the exit code says whether everything went in.
    pub(super) fn tell(&self, args: &ImportArgs, context: &Context) -> Result<ExitCode, Error> {
        let complete = self.unreadable.is_empty()
            && self.outcomes().all(|outcome| outcome.status.is_settled());
        let members = json!({
            "home": self.home.display().to_string(),
            "complete": complete,
            "connections": self.connections.iter().map(connection_json).collect::<Vec<_>>(),
            "clients": self.clients.iter().map(client_json).collect::<Vec<_>>(),
            "definitions": self.definitions.iter().map(definition_json).collect::<Vec<_>>(),
            "unreadable": self.unreadable.iter().map(unreadable_json).collect::<Vec<_>>(),
        });
        context.output.result(members, |text| self.human(text, args, complete))?;
        Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        let definitions = self.definitions.iter().map(|taken| &taken.outcome);
        let connections = self.connections.iter().map(|(_, outcome)| outcome);
        let clients = self.clients.iter().map(|(_, outcome)| outcome);
        definitions.chain(connections).chain(clients)
    }

    fn human(&self, text: &mut Text, args: &ImportArgs, complete: bool) {
        if self.outcomes().next().is_none() && self.unreadable.is_empty() {
            return text.line(format!("Nothing is stored in {}.", self.home.display()));
        }
        let mut table = Table::new(["WHAT", "PROFILE", "HERE", "STATUS", ""]);
        for taken in &self.definitions {
            let what = format!("definition of {}", taken.provider);
            let hosts = taken.hosts.join(", ");
            row(&mut table, &what, "", &hosts, &taken.outcome);
        }
        for (planned, outcome) in &self.connections {
            let here = format!("{}/{}", planned.provider, planned.connection);
            row(&mut table, &planned.from, &planned.profile.name, &here, outcome);
        }
        for (client, outcome) in &self.clients {
            row(&mut table, &format!("OAuth client of {}", client.provider), "", "", outcome);
        }
        for unreadable in &self.unreadable {
            let why = match unreadable.why.hint() {
                Some(hint) => format!("{} ({hint})", chain(&unreadable.why)),
                None => chain(&unreadable.why),
            };
            table.row([&unreadable.what, "", "", "unreadable", &why]);
        }
        text.table(&table);
        text.blank();
        text.line(self.counts());
        if args.dry_run {
            text.line("Nothing was changed.");
            return;
        }
        let home = self.home.display();
        let delete = if complete { "delete it, or " } else { "" };
        text.line(format!("{home} was not changed, and an agent can read the secrets in it:"));
        text.line(format!("{delete}authsome run --hide {home} -- CMD"));
    }

    /// `2 imported, 1 unchanged, 1 unreadable`.
    fn counts(&self) -> String {
        let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
        for outcome in self.outcomes() {
            *counts.entry(outcome.status).or_default() += 1;
        }
        let mut words: Vec<String> =
            counts.iter().map(|(status, number)| format!("{number} {}", status.word())).collect();
        if !self.unreadable.is_empty() {
            words.push(format!("{} unreadable", self.unreadable.len()));
        }
        let total = self.outcomes().count() + self.unreadable.len();
        format!("{}: {}.", count(total, "thing"), words.join(", "))
    }
}

fn row(table: &mut Table, what: &str, profile: &str, here: &str, outcome: &Outcome) {
    let note = outcome.note.as_deref().unwrap_or_default();
    table.row([what, profile, here, outcome.status.word(), note]);
}

fn connection_json((planned, outcome): &(Planned, Outcome)) -> Value {
    json!({
        "profile": planned.profile.name,
        "from": planned.from,
        "provider": planned.provider,
        "connection": planned.connection,
        "kind": planned.kind(),
        "status": outcome.status,
        "note": outcome.note,
    })
}

fn client_json((client, outcome): &(ImportTokens, Outcome)) -> Value {
    json!({ "provider": client.provider, "status": outcome.status, "note": outcome.note })
}

fn definition_json(taken: &Taken) -> Value {
    json!({
        "provider": taken.provider,
        "origin": taken.origin,
        "hosts": taken.hosts,
        "status": taken.outcome.status,
        "note": taken.outcome.note,
    })
}

fn unreadable_json(unreadable: &Unreadable) -> Value {
    json!({
        "what": unreadable.what,
        "why": chain(&unreadable.why),
        "hint": unreadable.why.hint(),
    })
}
