//! Evaluates a query against the statements.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as CedarDecision, PolicyId, Request,
    Response, RestrictedExpression as Expression,
};

use super::{
    Error,
    query::{Decision, Query, Resource, Verdict},
    slice::{Slice, Slices},
    statement::Statement,
};

/// The statements, ready to be asked.
#[derive(Debug, Default)]
pub(super) struct Engine {
    authorizer: Authorizer,
    statements: Vec<Statement>,
    by_id: HashMap<Arc<str>, usize>,
    slices: Slices,
}

impl Engine {
    pub(super) fn new(statements: Vec<Statement>) -> Result<Self, Error> {
        // Said when a policy is read rather than when it is asked.
        super::schema::parsed()?;
        let ids = statements.iter().enumerate();
        let by_id = ids.map(|(at, statement)| (Arc::clone(&statement.id), at)).collect();
        Ok(Self { authorizer: Authorizer::new(), statements, by_id, slices: Slices::default() })
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// What the statements decide; `None`: none of them matches.
    pub(super) fn decide(&self, query: &Query<'_>) -> Option<Decision> {
        if self.statements.is_empty() {
            return None;
        }
        match self.slices.of(&self.statements, query) {
            Ok(slice) if slice.policies.is_empty() => None,
            Ok(slice) => self.evaluate(&slice, query),
            Err(error) => Some(failed(None, &error)),
        }
    }

    /// What all statements decide, those that cannot match too.
    #[cfg(test)]
    pub(super) fn decide_whole(&self, query: &Query<'_>) -> Option<Decision> {
        let slice = Slice::whole(&self.statements, query).unwrap();
        self.evaluate(&slice, query)
    }

    fn evaluate(&self, slice: &Slice, query: &Query<'_>) -> Option<Decision> {
        match request(slice, query, None) {
            Ok(request) => {
                let (policies, entities) = (&slice.policies, &slice.entities);
                self.decision(&self.authorizer.is_authorized(&request, policies, entities))
            }
            Err(error) => Some(failed(None, &error)),
        }
    }

    fn decision(&self, response: &Response) -> Option<Decision> {
        let diagnostics = response.diagnostics();
        // Cedar leaves out what it cannot evaluate. A forbid that is left out is no forbid.
        let errors = diagnostics.errors().map(|error| {
            let AuthorizationError::PolicyEvaluationError(of) = error;
            (self.place(of.policy_id()), error)
        });
        if let Some((place, error)) = errors.min_by_key(|(place, _)| *place) {
            let id = self.statements.get(place).map(|statement| Arc::clone(&statement.id));
            return Some(failed(id, error));
        }
        let verdict = match response.decision() {
            CedarDecision::Allow => Verdict::Allow,
            CedarDecision::Deny => Verdict::Deny,
        };
        // Of those that decide, one is named: a denial before a question, then the first.
        let reasons = diagnostics.reason().filter_map(|id| self.statement(id));
        let named = reasons.min_by_key(|statement| {
            (std::cmp::Reverse(statement.verdict), self.by_id.get(&statement.id))
        });
        let Some(statement) = named else {
            // A denial without a reason: nothing matched.
            return match verdict {
                Verdict::Deny => None,
                Verdict::Allow | Verdict::Ask => Some(failed(
                    None,
                    &Error::Internal { message: "a decision has no reason".to_owned() },
                )),
            };
        };
        Some(Decision {
            verdict: statement.verdict,
            policy: Some(Arc::clone(&statement.id)),
            reason: statement.reason.clone(),
            ask_seconds: statement.seconds,
        })
    }

    fn place(&self, id: &PolicyId) -> usize {
        self.by_id.get(AsRef::<str>::as_ref(id)).copied().unwrap_or(usize::MAX)
    }

    fn statement(&self, id: &PolicyId) -> Option<&Statement> {
        self.statements.get(self.place(id))
    }
}

/// Whatever cannot be decided is denied.
fn failed(policy: Option<Arc<str>>, error: &dyn std::error::Error) -> Decision {
    let reason = format!("the policy cannot be evaluated: {error}");
    Decision { verdict: Verdict::Deny, policy, reason: Some(reason.into()), ask_seconds: None }
}

/// What Cedar is asked. `schema` checks that it is what policies were checked against.
fn request(
    slice: &Slice,
    query: &Query<'_>,
    schema: Option<&cedar_policy::Schema>,
) -> Result<Request, Error> {
    let context = context(slice, query)?;
    let (principal, action) = (slice.principal.clone(), slice.action.clone());
    Request::new(principal, action, slice.resource.clone(), context, schema)
        .map_err(|error| Error::Internal { message: error.to_string() })
}

fn context(slice: &Slice, query: &Query<'_>) -> Result<Context, Error> {
    let text = |text: &str| Expression::new_string(text.to_owned());
    let number = |number: i8| Expression::new_long(number.into());
    let lower = query.path.to_ascii_lowercase();
    let globs = slice.globs.iter().filter(|(_, glob)| glob.matches(query.path, &lower));
    let globs = Expression::new_set(globs.map(|(name, _)| text(name)));
    let depth = query.path.bytes().filter(|byte| *byte == b'/').count();
    let local = query.zone.to_datetime(query.time);
    let pairs = [
        ("host", text(query.host)),
        ("port", Expression::new_long(query.port.into())),
        ("egress", Expression::new_bool(query.resource == Resource::Host)),
        ("method", text(query.method.unwrap_or_default())),
        ("path", text(query.path)),
        ("lower_path", Expression::new_string(lower)),
        ("depth", Expression::new_long(i64::try_from(depth).unwrap_or(i64::MAX))),
        ("globs", globs),
        ("query", Expression::new_set(query.query_keys.iter().map(|key| text(key)))),
        ("run", text(query.run)),
        ("profile", text(query.profile)),
        ("time", Expression::new_long(query.time.as_second())),
        ("hour", number(local.hour())),
        ("minute", number(local.minute())),
        ("weekday", number(local.weekday().to_monday_one_offset())),
    ];
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)))
        .map_err(|error| Error::Internal { message: error.to_string() })
}

#[cfg(test)]
mod tests;
