//! One rule or Cedar policy, compiled, with what tells early that it cannot match.

use std::{fmt, sync::Arc};

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PrincipalConstraint,
    ResourceConstraint,
};

use super::{
    condition::Condition,
    error::Place,
    glob::{self, Glob},
    verdict::RuleVerdict,
};

/// One rule or Cedar policy.
pub struct Statement {
    pub(super) id: Arc<str>,
    pub(super) place: Place,
    pub(super) verdict: RuleVerdict,
    pub(super) reason: Option<Arc<str>>,
    pub(super) seconds: Option<u32>,
    /// For people, in one line.
    pub(super) summary: String,
    pub(super) policy: Policy,
    pub(super) source: String,
    /// The file that Cedar's errors about it count in; none: it was translated.
    pub(super) file: Option<Arc<str>>,
    pub(super) scope: Scope,
    /// What its `when` asks, of a rule.
    pub(super) condition: Condition,
}

impl Statement {
    /// What the audit log calls it: its `id`, or its file and line.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What it says about what it matches.
    #[must_use]
    pub fn verdict(&self) -> RuleVerdict {
        self.verdict
    }

    /// What its author gives as the reason.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What it matches, for people, in one line.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// It in Cedar's language.
    #[must_use]
    pub fn cedar(&self) -> &str {
        &self.source
    }

    /// Does it approve of a path that it names letter by letter?
    pub(super) fn approves_exactly(&self) -> bool {
        self.verdict == RuleVerdict::Approve && self.condition.is_about_exact_paths()
    }

    /// What a policy is for: the effect, or `ask` or `approve` where the annotation says so.
    pub(super) fn verdict_of(policy: &Policy) -> Result<RuleVerdict, String> {
        match (policy.effect(), policy.annotation("verdict")) {
            (Effect::Permit, None | Some("allow")) => Ok(RuleVerdict::Allow),
            (Effect::Permit, Some("approve")) => Ok(RuleVerdict::Approve),
            (Effect::Forbid, None | Some("deny")) => Ok(RuleVerdict::Deny),
            (Effect::Forbid, Some("ask")) => Ok(RuleVerdict::Ask),
            (Effect::Permit, Some("ask")) => Err("a `permit` cannot ask".to_owned()),
            (Effect::Forbid, Some("approve")) => Err("a `forbid` cannot approve".to_owned()),
            (_, Some(other)) => Err(format!("@verdict(\"{other}\") means nothing here")),
        }
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("id", &self.id)
            .field("verdict", &self.verdict)
            .finish_non_exhaustive()
    }
}

/// What has to hold before a statement can match: its Cedar scope, and of a rule its names.
#[derive(Debug)]
pub(super) struct Scope {
    principal: PrincipalConstraint,
    action: ActionConstraint,
    resource: ResourceConstraint,
    names: Names,
}

/// Names of a rule that its Cedar condition compares; none of a kind: any.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) agents: Vec<Glob>,
    pub(super) profiles: Vec<Glob>,
    pub(super) providers: Vec<Glob>,
    pub(super) connections: Vec<Glob>,
    pub(super) hosts: Vec<Glob>,
}

/// What a scope is compared with: one agent, action, resource and host.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) agent_type: &'a EntityTypeName,
    pub(super) agent: &'a EntityUid,
    pub(super) agent_name: &'a str,
    pub(super) user: &'a EntityUid,
    pub(super) profile: &'a str,
    pub(super) action: &'a EntityUid,
    pub(super) group: Option<&'a EntityUid>,
    pub(super) resource_type: &'a EntityTypeName,
    pub(super) resource: &'a EntityUid,
    pub(super) provider: Option<&'a EntityUid>,
    /// Names of provider and connection.
    pub(super) connection: Option<(&'a str, &'a str)>,
    pub(super) host: &'a str,
}

impl Scope {
    pub(super) fn of(policy: &Policy, names: Names) -> Self {
        Self {
            principal: policy.principal_constraint(),
            action: policy.action_constraint(),
            resource: policy.resource_constraint(),
            names,
        }
    }

    /// May the statement match? `false` only where it certainly does not.
    pub(super) fn admits(&self, subject: &Subject<'_>) -> bool {
        self.principal(subject)
            && self.action(subject)
            && self.resource(subject)
            && self.names(subject)
    }

    fn principal(&self, subject: &Subject<'_>) -> bool {
        let within = |uid: &EntityUid| uid == subject.agent || uid == subject.user;
        match &self.principal {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::In(uid) => within(uid),
            PrincipalConstraint::Eq(uid) => uid == subject.agent,
            PrincipalConstraint::Is(kind) => kind == subject.agent_type,
            PrincipalConstraint::IsIn(kind, uid) => kind == subject.agent_type && within(uid),
        }
    }

    fn action(&self, subject: &Subject<'_>) -> bool {
        match &self.action {
            ActionConstraint::Any => true,
            ActionConstraint::In(uids) => {
                uids.iter().any(|uid| uid == subject.action || Some(uid) == subject.group)
            }
            ActionConstraint::Eq(uid) => uid == subject.action,
        }
    }

    fn resource(&self, subject: &Subject<'_>) -> bool {
        let within = |uid: &EntityUid| uid == subject.resource || Some(uid) == subject.provider;
        match &self.resource {
            ResourceConstraint::Any => true,
            ResourceConstraint::In(uid) => within(uid),
            ResourceConstraint::Eq(uid) => uid == subject.resource,
            ResourceConstraint::Is(kind) => kind == subject.resource_type,
            ResourceConstraint::IsIn(kind, uid) => kind == subject.resource_type && within(uid),
        }
    }

    fn names(&self, subject: &Subject<'_>) -> bool {
        let Names { agents, profiles, providers, connections, hosts } = &self.names;
        let connected = match subject.connection {
            Some((provider, connection)) => {
                glob::any(providers, provider) && glob::any(connections, connection)
            }
            None => providers.is_empty() && connections.is_empty(),
        };
        connected
            && glob::any(hosts, subject.host)
            && glob::any(agents, subject.agent_name)
            && glob::any(profiles, subject.profile)
    }
}
