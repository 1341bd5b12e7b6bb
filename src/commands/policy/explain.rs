//! `authsome policy explain`: which policy decides about a request, and which one did.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ask::{Asked, Wish, claiming, routes},
    load,
};
use crate::{
    audit::{Entry, Kind, read},
    cli::PolicyExplainArgs,
    commands::{Context, Error, whoami},
    policy::{DEFAULT_ID, Decision, Policy, Statement, agent_id},
    protocol::ErrorKind,
    provider::Routes,
};

pub(super) fn explain(args: &PolicyExplainArgs, context: &Context) -> Result<(), Error> {
    let (_, policy) = load(args.policy.as_deref(), context)?;
    let routes = routes(&context.registry());
    let user = whoami::user();
    let (asked, entry) = match args.what.parse::<u64>() {
        Ok(seq) => {
            let entry = entry(seq, context)?;
            (recorded(&entry, &routes, &user)?, Some(entry))
        }
        Err(_) => {
            let wish = Wish {
                agent: &args.agent,
                user: &user,
                profile: &args.profile,
                method: args.method.as_deref(),
                url: &args.what,
                connection: args.connection.as_deref(),
                time: args.at,
            };
            let asked = Asked::of(wish, &routes);
            (asked.map_err(|message| Error::new(ErrorKind::Usage, message))?, None)
        }
    };
    if entry.as_ref().is_some_and(|entry| entry.event.cut.iter().any(|member| member == "path")) {
        context.output.warning("the path on record was cut: a rule about its end cannot be seen");
    }
    let decision =
        asked.decide(&policy).map_err(|why| Error::failed(format!("it is not sent: {why}")))?;
    let members = json!({
        "query": asked.json(),
        "decision": decision_json(&decision, &policy),
        "recorded": entry.as_ref().map(|entry| json!({
            "seq": entry.seq,
            "decision": entry.event.decision,
            "policy": entry.event.policy,
            "error": entry.event.error,
        })),
    });
    Ok(context.output.result(members, |text| {
        let mut pairs = vec![
            ("request", asked.line()),
            ("agent", asked.agent.clone()),
            ("decision", decision.verdict.as_str().to_owned()),
            ("by", by(&decision)),
        ];
        if let Some((_, name)) = &asked.connection {
            pairs.insert(2, ("connection", name.clone()));
        }
        let reason = decision.reason.iter().map(|reason| ("reason", reason.to_string()));
        pairs.extend(reason);
        if let Some(entry) = &entry {
            let event = &entry.event;
            let how = event.decision.as_deref().unwrap_or("nothing");
            let by = event.policy.as_deref().map(|id| format!(" by {id}")).unwrap_or_default();
            let error = event.error.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
            pairs.push(("then", format!("{how}{by}{error}")));
        }
        text.pairs(pairs);
        if let Some(statement) = statement(&decision, &policy) {
            text.blank();
            text.dim(format!("{}", statement.place()));
            text.block(statement.cedar());
        }
        if entry.is_some() {
            text.blank();
            text.dim(
                "Names of query parameters are not on record: a rule about them is not seen here.",
            );
        }
    })?)
}

fn by(decision: &Decision) -> String {
    match decision.policy.as_deref() {
        None | Some(DEFAULT_ID) => "the default: no rule matches".to_owned(),
        Some(id) => id.to_owned(),
    }
}

fn statement<'p>(decision: &Decision, policy: &'p Policy) -> Option<&'p Statement> {
    policy.statements().iter().find(|statement| Some(statement.id()) == decision.policy.as_ref())
}

fn decision_json(decision: &Decision, policy: &Policy) -> Value {
    let statement = statement(decision, policy);
    let place = statement.map(Statement::place);
    json!({
        "verdict": decision.verdict,
        "policy": decision.policy,
        "reason": decision.reason,
        "seconds": decision.ask_seconds,
        "file": place.map(|place| place.path.display().to_string()),
        "line": place.map(|place| place.line),
        "cedar": statement.map(Statement::cedar),
    })
}

/// The entry of that number.
fn entry(seq: u64, context: &Context) -> Result<Entry, Error> {
    let mut found = read::matching(&context.home.audit_log(), 1, |entry| entry.seq == seq)?;
    found.pop().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("the audit log has no entry {seq}"))
            .hint("authsome log")
    })
}

/// The request of an entry.
fn recorded(entry: &Entry, routes: &Routes, user: &str) -> Result<Asked, Error> {
    let event = &entry.event;
    let (Kind::Request | Kind::Splice | Kind::Connection, Some(host)) = (event.kind, &event.host)
    else {
        let message = format!("entry {} is about no request or connection", entry.seq);
        return Err(Error::new(ErrorKind::Usage, message).hint("authsome log"));
    };
    let path = event.path.as_deref().unwrap_or_default();
    let method = event.method.as_deref().map(str::to_owned);
    let connection = match &event.connection {
        Some(name) => name.split_once('/').map(|(of, _)| (of.to_owned(), name.to_string())),
        // A request that was denied used none: the one it would have used by default.
        None if method.is_some() => claiming(routes, host, path),
        None => None,
    };
    let text = |text: &Option<std::sync::Arc<str>>, other: &str| {
        text.as_deref().unwrap_or(other).to_owned()
    };
    Ok(Asked {
        agent: agent_id(&text(&event.agent, "default")),
        user: text(&event.user, user),
        profile: text(&event.profile, "default"),
        run: text(&event.run, ""),
        method,
        host: host.to_string(),
        port: event.port.unwrap_or(443),
        path: path.to_owned(),
        query_keys: Vec::new(),
        connection,
        time: Timestamp::try_from(event.time).unwrap_or_else(|_| Timestamp::now()),
    })
}
