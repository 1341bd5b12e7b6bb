//! Of all statements, those that can match one agent's action on one resource.
//!
//! Cedar evaluates every policy it is given. It is given only those that may match: leaving out the
//! others cannot change an answer, since a policy whose scope or condition does not hold is not
//! satisfied. Here they are chosen by their scope, which needs no path and no clock. Slices are kept, for
//! agents do much of the same.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};

use super::{
    Error,
    action::Action,
    query::{Query, Resource},
    schema::{self, agent_name},
    statement::{Statement, Subject},
};

/// Slices that are kept. An agent can ask for as many hosts as it likes.
const MOST: usize = 1024;

/// What requests of one agent, action and resource are evaluated with.
#[derive(Debug)]
pub(super) struct Slice {
    key: Key,
    /// Places of the statements that may match, in ascending order.
    pub(super) admitted: Vec<usize>,
    pub(super) entities: Entities,
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
}

/// What slices differ by.
#[derive(Debug)]
struct Key {
    agent: String,
    user: String,
    profile: String,
    action: &'static str,
    /// Provider and connection.
    connection: Option<(String, String)>,
    host: String,
}

impl Key {
    fn of(query: &Query<'_>, action: Action) -> Self {
        Self {
            agent: query.agent.to_owned(),
            user: query.user.to_owned(),
            profile: query.profile.to_owned(),
            action: action.name,
            connection: match query.resource {
                Resource::Connection { provider, connection } => {
                    Some((provider.to_owned(), connection.to_owned()))
                }
                Resource::Host => None,
            },
            host: query.host.to_owned(),
        }
    }

    fn is(&self, query: &Query<'_>, action: Action) -> bool {
        let connection = match query.resource {
            Resource::Connection { provider, connection } => Some((provider, connection)),
            Resource::Host => None,
        };
        let own = self.connection.as_ref().map(|(of, name)| (of.as_str(), name.as_str()));
        self.action == action.name
            && own == connection
            && self.host == query.host
            && self.agent == query.agent
            && self.user == query.user
            && self.profile == query.profile
    }
}

/// The slices made so far.
#[derive(Debug, Default)]
pub(super) struct Slices {
    hasher: RandomState,
    kept: Mutex<HashMap<u64, Arc<Slice>>>,
}

impl Slices {
    /// The slice for a query.
    ///
    /// # Errors
    /// [`Error::Internal`] if Cedar does not take it.
    pub(super) fn of(
        &self,
        statements: &[Statement],
        query: &Query<'_>,
    ) -> Result<Arc<Slice>, Error> {
        let action = Action::of(query.method);
        let hash = self.hasher.hash_one((
            query.agent,
            query.user,
            query.profile,
            action.name,
            query.resource,
            query.host,
        ));
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if let Some(slice) = kept.filter(|slice| slice.key.is(query, action)) {
            return Ok(slice);
        }
        let slice = Arc::new(Slice::make(statements, query, action)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(hash, Arc::clone(&slice));
        Ok(slice)
    }
}

impl Slice {
    fn make(statements: &[Statement], query: &Query<'_>, action: Action) -> Result<Self, Error> {
        let scene = Scene::new(query, action)?;
        let subject = scene.subject(query);
        let admitted = statements
            .iter()
            .enumerate()
            .filter(|(_, statement)| statement.scope.admits(&subject))
            .map(|(place, _)| place)
            .collect();
        Ok(Self {
            key: Key::of(query, action),
            admitted,
            entities: scene.entities(query)?,
            principal: scene.agent,
            action: scene.action,
            resource: scene.resource,
        })
    }

    /// One in which no statement is left out: what slices are compared with.
    #[cfg(test)]
    pub(super) fn whole(statements: &[Statement], query: &Query<'_>) -> Result<Self, Error> {
        let slice = Self::make(statements, query, Action::of(query.method))?;
        Ok(Self { admitted: (0..statements.len()).collect(), ..slice })
    }
}

/// The entities of a query, by name.
struct Scene {
    types: &'static schema::Types,
    agent: EntityUid,
    user: EntityUid,
    action: EntityUid,
    group: Option<EntityUid>,
    resource: EntityUid,
    provider: Option<EntityUid>,
}

impl Scene {
    fn new(query: &Query<'_>, action: Action) -> Result<Self, Error> {
        let types = &schema::parsed()?.types;
        let (resource, provider) = match query.resource {
            Resource::Connection { provider, connection } => (
                schema::uid(&types.connection, connection),
                Some(schema::uid(&types.provider, provider)),
            ),
            Resource::Host => (schema::uid(&types.host, query.host), None),
        };
        Ok(Self {
            types,
            agent: schema::uid(&types.agent, query.agent),
            user: schema::uid(&types.user, query.user),
            action: schema::uid(&types.action, action.name),
            group: action.group.map(|group| schema::uid(&types.action, group)),
            resource,
            provider,
        })
    }

    fn subject<'a>(&'a self, query: &Query<'a>) -> Subject<'a> {
        Subject {
            agent_type: &self.types.agent,
            agent: &self.agent,
            agent_name: agent_name(query.agent),
            user: &self.user,
            profile: query.profile,
            action: &self.action,
            group: self.group.as_ref(),
            resource_type: self.resource_type(),
            resource: &self.resource,
            provider: self.provider.as_ref(),
            connection: match query.resource {
                Resource::Connection { provider, connection } => Some((provider, connection)),
                Resource::Host => None,
            },
            host: query.host,
        }
    }

    fn resource_type(&self) -> &'static cedar_policy::EntityTypeName {
        if self.provider.is_some() { &self.types.connection } else { &self.types.host }
    }

    fn entities(&self, query: &Query<'_>) -> Result<Entities, Error> {
        let text = |name: &str, text: &str| {
            (name.to_owned(), RestrictedExpression::new_string(text.to_owned()))
        };
        let entity = |uid: &EntityUid, attributes: Vec<_>, parent: Option<&EntityUid>| {
            let parents: HashSet<_> = parent.cloned().into_iter().collect();
            Entity::new(uid.clone(), attributes.into_iter().collect(), parents)
                .map_err(|error| Error::Internal { message: error.to_string() })
        };
        let attributes = match query.resource {
            Resource::Connection { provider, connection } => {
                vec![text("name", connection), text("provider", provider)]
            }
            Resource::Host => vec![text("name", query.host)],
        };
        let mut entities = vec![
            entity(&self.agent, vec![text("name", agent_name(query.agent))], Some(&self.user))?,
            entity(&self.user, Vec::new(), None)?,
            entity(&self.action, Vec::new(), self.group.as_ref())?,
            entity(&self.resource, attributes, self.provider.as_ref())?,
        ];
        for uid in [&self.group, &self.provider].into_iter().flatten() {
            entities.push(entity(uid, Vec::new(), None)?);
        }
        Entities::from_entities(entities, None)
            .map_err(|error| Error::Internal { message: error.to_string() })
    }
}
