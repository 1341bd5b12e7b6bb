//! The statements that may match one request, made ready for Cedar.
//!
//! Most requests meet few of a policy's statements, and many requests the same ones. What Cedar is given
//! is made once for each combination and kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use cedar_policy::PolicySet;

use super::{Error, path_glob::PathGlob, statement::Statement, verdict::RuleVerdict};

/// Statements in all combinations that are kept: an agent chooses its paths as it likes.
const MOST: usize = 1 << 16;

/// Statements that may match, given to Cedar.
#[derive(Debug)]
pub(super) struct Candidates {
    /// All of them.
    pub(super) policies: PolicySet,
    /// Those that approve what others ask about; none: there are none.
    pub(super) approving: Option<PolicySet>,
    /// Patterns that their conditions look up, by what they are called.
    pub(super) globs: Vec<(String, PathGlob)>,
}

/// The combinations met so far.
#[derive(Debug, Default)]
pub(super) struct Combinations {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By the statements' places.
    by_places: HashMap<Box<[usize]>, Arc<Candidates>>,
    /// Statements in all of them.
    statements: usize,
}

impl Combinations {
    /// The candidates at `places`, which ascend.
    ///
    /// # Errors
    /// [`Error::Internal`] if Cedar does not take them.
    pub(super) fn of(
        &self,
        statements: &[Statement],
        places: &[usize],
    ) -> Result<Arc<Candidates>, Error> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(candidates) = kept.by_places.get(places) {
            return Ok(Arc::clone(candidates));
        }
        drop(kept);
        let candidates = Arc::new(Candidates::new(statements, places)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.statements + places.len() > MOST {
            *kept = Kept::default();
        }
        if kept.by_places.insert(places.into(), Arc::clone(&candidates)).is_none() {
            kept.statements += places.len();
        }
        Ok(candidates)
    }
}

impl Candidates {
    fn new(statements: &[Statement], places: &[usize]) -> Result<Self, Error> {
        let chosen: Vec<_> = places.iter().filter_map(|place| statements.get(*place)).collect();
        let mut globs: Vec<(String, PathGlob)> = Vec::new();
        for glob in chosen.iter().flat_map(|statement| &statement.condition.paths) {
            let Some(name) = glob.native() else { continue };
            if globs.iter().all(|(known, _)| *known != name) {
                globs.push((name, glob.clone()));
            }
        }
        let approves = |statement: &&&Statement| statement.verdict == RuleVerdict::Approve;
        let approving: Vec<_> = chosen.iter().filter(approves).copied().collect();
        Ok(Self {
            policies: set(&chosen)?,
            approving: if approving.is_empty() { None } else { Some(set(&approving)?) },
            globs,
        })
    }
}

fn set(statements: &[&Statement]) -> Result<PolicySet, Error> {
    PolicySet::from_policies(statements.iter().map(|statement| statement.policy.clone()))
        .map_err(|error| Error::Internal { message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::rules;

    #[test]
    fn what_is_kept_is_bounded_by_its_statements() {
        let policy = rules(&"[[rule]]\nverdict = \"deny\"\n".repeat(64));
        let combinations = Combinations::default();
        for combination in 0..MOST / 32 {
            // The first places spell its number: no two are the same.
            let chosen = |place: &usize| *place >= 12 || (combination >> place) & 1 == 1;
            let places: Vec<_> = (0..64).filter(chosen).collect();
            let candidates = combinations.of(policy.statements(), &places).unwrap();
            assert_eq!(candidates.policies.num_of_policies(), places.len());
        }
        let kept = combinations.kept.into_inner().unwrap();
        assert!(kept.statements <= MOST, "{}", kept.statements);
        let held: usize = kept.by_places.keys().map(|places| places.len()).sum();
        assert_eq!(kept.statements, held);
    }

    #[test]
    fn who_approves_stands_in_a_set_of_its_own() {
        let policy = rules(
            "[[rule]]\nverdict = \"ask\"\n[[rule]]\nverdict = \"approve\"\n[[rule]]\nverdict = \"allow\"\n",
        );
        let candidates = |places| Candidates::new(policy.statements(), places).unwrap();
        assert_eq!(candidates(&[0, 1, 2]).approving.unwrap().num_of_policies(), 1);
        assert!(candidates(&[0, 2]).approving.is_none());
    }
}
