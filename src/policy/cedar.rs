//! Files in Cedar's language, and the check of everything against the schema.

use std::{collections::HashMap, path::Path, sync::Arc};

use cedar_policy::{PolicyId, PolicySet, ValidationMode, Validator};
use miette::Diagnostic;

use super::{
    Error, RuleVerdict, Statement, Warning,
    condition::Condition,
    error::Place,
    read::ask_seconds,
    schema,
    statement::{Names, Scope},
};

/// The policies of a file, in their order.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Statement>, Error> {
    let set: PolicySet = text.parse().map_err(|error| invalid(path, text, &error))?;
    if let Some(template) = set.templates().next() {
        let start = text.find(&template.to_string()).unwrap_or_default();
        return Err(Error::Invalid {
            place: Place::of(path, text, start),
            message: "a template is not a policy".to_owned(),
            mend: Some("write a principal or resource for ?principal and ?resource".to_owned()),
        });
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let whole: Arc<str> = text.into();
    let mut from = 0;
    let mut statements = Vec::new();
    // Cedar numbers them: `policy0`, `policy1`, …
    for number in 0..set.num_of_policies() {
        let given = PolicyId::new(format!("policy{number}"));
        let Some(policy) = set.policy(&given) else {
            return Err(Error::Internal { message: format!("{file} has no policy {number}") });
        };
        let source = policy.to_string();
        let start = text.get(from..).and_then(|rest| rest.find(&source)).map(|at| from + at);
        let start = start.unwrap_or(from);
        from = start + source.len();
        let place = Place::of(path, text, start);
        let refuse = |message: String, mend: &str| Error::Invalid {
            place: place.clone(),
            message,
            mend: Some(mend.to_owned()),
        };
        let verdict = Statement::verdict_of(policy).map_err(|message| {
            refuse(message, "a forbid may have @verdict(\"ask\"), a permit @verdict(\"approve\")")
        })?;
        let seconds = policy.annotation("seconds").map(|text| {
            if verdict != RuleVerdict::Ask {
                let mend = "it is for a forbid with @verdict(\"ask\")";
                return Err(refuse("@seconds where nobody is asked".to_owned(), mend));
            }
            ask_seconds(text).map_err(|expected| {
                refuse(format!("@seconds: {expected}"), "write such as @seconds(\"120\")")
            })
        });
        let id = match policy.annotation("id").filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => format!("{file}:policy{number}"),
        };
        let policy = policy.new_id(PolicyId::new(&id));
        statements.push(Statement {
            id: id.into(),
            verdict,
            reason: policy.annotation("reason").map(Arc::from),
            seconds: seconds.transpose()?,
            summary: summary(&source),
            scope: Scope::of(&policy, Names::default()),
            condition: Condition::default(),
            policy,
            source,
            file: Some(Arc::clone(&whole)),
            place,
        });
    }
    Ok(statements)
}

/// Its text without annotations, in one line.
fn summary(source: &str) -> String {
    let start = source.find("permit").into_iter().chain(source.find("forbid")).min();
    let body = source.get(start.unwrap_or_default()..).unwrap_or(source);
    body.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn invalid(path: &Path, text: &str, error: &cedar_policy::ParseErrors) -> Error {
    let Some(first) = error.iter().next() else {
        return Error::Internal { message: error.to_string() };
    };
    Error::Invalid {
        place: Place::of(path, text, offset(first).unwrap_or_default()),
        message: first.to_string(),
        mend: mend(first),
    }
}

fn offset(error: &dyn Diagnostic) -> Option<usize> {
    error.labels()?.next().map(|label| label.offset())
}

/// What Cedar proposes: what it expected there, or its advice.
fn mend(error: &dyn Diagnostic) -> Option<String> {
    let help = error.help().map(|help| help.to_string());
    let label = error.labels().and_then(|mut labels| labels.next()?.label().map(str::to_owned));
    help.or_else(|| label.filter(|label| label.starts_with("expected")))
}

/// Checks all statements against the schema, strictly.
///
/// # Errors
/// The first statement that does not hold, or a name that two have.
pub(super) fn validate(statements: &[Statement]) -> Result<Vec<Warning>, Error> {
    if statements.is_empty() {
        return Ok(Vec::new());
    }
    let mut places: HashMap<&str, &Statement> = HashMap::new();
    let mut set = PolicySet::new();
    for statement in statements {
        let twice = |mend: &str| Error::Invalid {
            place: statement.place.clone(),
            message: format!("another policy is called `{}`", statement.id),
            mend: Some(mend.to_owned()),
        };
        if &*statement.id == super::DEFAULT_ID {
            return Err(twice("the default is called so: choose another name"));
        }
        if places.insert(&statement.id, statement).is_some() {
            return Err(twice("choose another name"));
        }
        set.add(statement.policy.clone())
            .map_err(|error| Error::Internal { message: error.to_string() })?;
    }
    let validator = Validator::new(schema::parsed()?.schema.clone());
    let result = validator.validate(&set, ValidationMode::Strict);
    // Of several, the one that stands first.
    let first = result
        .validation_errors()
        .filter_map(|error| places.get(id_of(error.policy_id())).map(|at| (at, error)))
        .min_by_key(|(at, error)| (at.place.path.clone(), at.place.line, error.to_string()));
    if let Some((statement, error)) = first {
        return Err(Error::Invalid {
            place: within(statement, offset(error)),
            message: message(&error.to_string(), statement),
            mend: error.help().map(|help| help.to_string()).or_else(|| {
                Some("authsome policy schema shows what a policy can speak about".to_owned())
            }),
        });
    }
    if !result.validation_passed() {
        return Err(Error::Internal { message: result.to_string() });
    }
    Ok(result
        .validation_warnings()
        .filter_map(|warning| {
            let statement = places.get(id_of(warning.policy_id()))?;
            Some(Warning {
                place: within(statement, offset(warning)),
                message: message(&warning.to_string(), statement),
            })
        })
        .collect())
}

fn id_of(id: &PolicyId) -> &str {
    AsRef::<str>::as_ref(id)
}

/// Cedar's sentence without its beginning: which policy it is, the place says.
fn message(text: &str, statement: &Statement) -> String {
    let beginning = format!("for policy `{}`, ", statement.id);
    text.strip_prefix(&beginning).unwrap_or(text).to_owned()
}

/// The place that an error of Cedar's is about. A rule's is the rule: nobody has written its Cedar.
fn within(statement: &Statement, offset: Option<usize>) -> Place {
    match (&statement.file, offset) {
        (Some(text), Some(offset)) => Place::of(&statement.place.path, text, offset),
        _ => statement.place.clone(),
    }
}
