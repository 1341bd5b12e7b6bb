//! Evaluates a query against the statements.
//!
//! Which of them Cedar is asked about is chosen in two steps, each of which leaves out only what Cedar
//! would find unsatisfied: by scope ([`super::slice`], kept), then of rules by what they say about paths,
//! times and the like ([`super::condition`], compared every time). Where none is left, Cedar is not asked.
//! Of a policy that is written in Cedar's language only the scope is looked at: its condition may be
//! anything.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision as CedarDecision, PolicyId, Request,
    Response, RestrictedExpression as Expression,
};

use super::{
    Error,
    candidates::Combinations,
    facts::{self, Facts},
    path_glob::PathGlob,
    query::{Decision, Query, Resource},
    slice::{Slice, Slices},
    statement::Statement,
    verdict::Verdict,
};

/// The statements, ready to be asked.
#[derive(Debug, Default)]
pub(super) struct Engine {
    authorizer: Authorizer,
    statements: Vec<Statement>,
    by_id: HashMap<Arc<str>, usize>,
    slices: Slices,
    combinations: Combinations,
}

impl Engine {
    pub(super) fn new(statements: Vec<Statement>) -> Self {
        let ids = statements.iter().enumerate();
        let by_id = ids.map(|(at, statement)| (Arc::clone(&statement.id), at)).collect();
        Self { statements, by_id, ..Self::default() }
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The statement that a decision names.
    pub(super) fn decided_by(&self, decision: &Decision) -> Option<&Statement> {
        self.statements.get(*self.by_id.get(decision.policy.as_ref()?)?)
    }

    /// What the statements decide; `None`: none of them matches.
    pub(super) fn decide(&self, query: &Query<'_>) -> Option<Decision> {
        if self.statements.is_empty() {
            return None;
        }
        let slice = match self.slices.of(&self.statements, query) {
            Ok(slice) => slice,
            Err(error) => return Some(failed(None, &error)),
        };
        if slice.admitted.is_empty() {
            return None;
        }
        let lower = facts::lower(query.path);
        let facts = Facts::new(query, &lower);
        let admits = |place: &usize| {
            let statement = self.statements.get(*place);
            statement.is_none_or(|statement| statement.condition.admits(&facts))
        };
        let places: Vec<_> = slice.admitted.iter().copied().filter(admits).collect();
        if places.is_empty() {
            return None;
        }
        self.evaluate(&slice, &places, &facts)
    }

    /// What all statements decide, those that cannot match too.
    #[cfg(test)]
    pub(super) fn decide_whole(&self, query: &Query<'_>) -> Option<Decision> {
        let slice = Slice::whole(&self.statements, query).unwrap();
        let lower = facts::lower(query.path);
        self.evaluate(&slice, &slice.admitted, &Facts::new(query, &lower))
    }

    fn evaluate(&self, slice: &Slice, places: &[usize], facts: &Facts<'_>) -> Option<Decision> {
        let asked = self.combinations.of(&self.statements, places).and_then(|candidates| {
            let request = request(slice, &candidates.globs, facts, None)?;
            Ok((candidates, request))
        });
        let (candidates, request) = match asked {
            Ok(asked) => asked,
            Err(error) => return Some(failed(None, &error)),
        };
        let decide = |policies| {
            self.decision(&self.authorizer.is_authorized(&request, policies, &slice.entities))
        };
        let decision = decide(&candidates.policies)?;
        // In Cedar nothing beats a `forbid`: of those that permit, it says nothing then.
        let approved = match &candidates.approving {
            Some(approving) if decision.verdict == Verdict::Ask => decide(approving),
            _ => None,
        };
        Some(approved.unwrap_or(decision))
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
        // Of those that decide, one is named: a denial before a question, then the first.
        let reasons = diagnostics.reason().filter_map(|id| self.statement(id));
        let named = reasons.min_by_key(|statement| {
            (std::cmp::Reverse(statement.verdict), self.by_id.get(&statement.id))
        });
        let Some(statement) = named else {
            // A denial without a reason: nothing matched.
            return match response.decision() {
                CedarDecision::Deny => None,
                CedarDecision::Allow => Some(failed(
                    None,
                    &Error::Internal { message: "a decision has no reason".to_owned() },
                )),
            };
        };
        Some(Decision {
            verdict: statement.verdict.decides(),
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
    globs: &[(String, PathGlob)],
    facts: &Facts<'_>,
    schema: Option<&cedar_policy::Schema>,
) -> Result<Request, Error> {
    let context = context(globs, facts)?;
    let (principal, action) = (slice.principal.clone(), slice.action.clone());
    Request::new(principal, action, slice.resource.clone(), context, schema)
        .map_err(|error| Error::Internal { message: error.to_string() })
}

fn context(globs: &[(String, PathGlob)], facts: &Facts<'_>) -> Result<Context, Error> {
    let text = |text: &str| Expression::new_string(text.to_owned());
    let number = |number: i8| Expression::new_long(number.into());
    let query = facts.query;
    let globs = globs.iter().filter(|(_, glob)| glob.matches(facts));
    let globs = Expression::new_set(globs.map(|(name, _)| text(name)));
    let depth = query.path.bytes().filter(|byte| *byte == b'/').count();
    let pairs = [
        ("host", text(query.host)),
        ("port", Expression::new_long(query.port.into())),
        ("egress", Expression::new_bool(query.resource == Resource::Host)),
        ("method", text(query.method.unwrap_or_default())),
        ("path", text(query.path)),
        ("lower_path", text(facts.lower.text)),
        ("depth", Expression::new_long(i64::try_from(depth).unwrap_or(i64::MAX))),
        ("globs", globs),
        ("query", Expression::new_set(query.query_keys.iter().map(|key| text(key)))),
        ("run", text(query.run)),
        ("profile", text(query.profile)),
        ("time", Expression::new_long(query.time.as_second())),
        ("hour", number(facts.local.hour())),
        ("minute", number(facts.local.minute())),
        ("weekday", Expression::new_long(facts.weekday().into())),
    ];
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)))
        .map_err(|error| Error::Internal { message: error.to_string() })
}

#[cfg(test)]
mod tests;
