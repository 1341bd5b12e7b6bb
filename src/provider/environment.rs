//! What an agent's environment holds for the providers: placeholders where clients look for secrets,
//! settings where they look for those, and no secret variable of any provider besides.

use std::collections::{BTreeMap, BTreeSet};

use super::Definition;

/// A connection whose variables a run sets.
#[derive(Clone, Copy, Debug)]
pub struct Connected<'a> {
    /// Its provider.
    pub definition: &'a Definition,
    /// Its name.
    pub connection: &'a str,
    /// Placeholders of its secrets, by field name.
    pub placeholders: &'a BTreeMap<String, String>,
    /// Its values that are no secrets, by field name.
    pub settings: &'a BTreeMap<String, String>,
}

/// What to do to an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvPlan {
    /// Variables to set.
    pub set: BTreeMap<String, String>,
    /// Variables to remove; none of them is in `set`. Sorted.
    pub remove: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Plans an environment. `known` is every provider there is: what one of them calls secret does not
/// reach the agent, connected or not. Of several claims on a variable, that of the provider first in
/// the alphabet counts, and of one provider's connections the one that is given first.
#[must_use]
pub fn environment<'a>(
    known: impl IntoIterator<Item = &'a Definition>,
    connected: &[Connected<'a>],
) -> EnvPlan {
    let mut plan = EnvPlan::default();
    let mut owners: BTreeMap<&str, Connected<'a>> = BTreeMap::new();
    let mut ordered: Vec<&Connected<'a>> = connected.iter().collect();
    ordered.sort_by_key(|member| &member.definition.name);

    for member in &ordered {
        for field in &member.definition.fields {
            let values = if field.secret { member.placeholders } else { member.settings };
            let Some(value) = values.get(&field.name) else { continue };
            for variable in &field.env {
                match owners.get(variable.as_str()) {
                    Some(owner) if owner.definition.name == member.definition.name => {}
                    Some(owner) => plan.warnings.push(format!(
                        "{variable} is claimed by {}/{} and {}/{}; it holds the placeholder of {0}/{1}",
                        owner.definition.name,
                        owner.connection,
                        member.definition.name,
                        member.connection,
                    )),
                    None => {
                        owners.insert(variable, **member);
                        plan.set.insert(variable.clone(), value.clone());
                    }
                }
            }
        }
    }

    let mut secret = BTreeSet::new();
    let definitions = known.into_iter().chain(ordered.iter().map(|member| member.definition));
    for field in definitions.flat_map(|definition| &definition.fields) {
        secret.extend(&field.env_remove);
        if field.secret {
            secret.extend(&field.env);
        }
    }
    let unset = secret.into_iter().filter(|variable| !plan.set.contains_key(*variable));
    plan.remove = unset.cloned().collect();
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, secret_env: &str) -> Definition {
        let text = format!(
            "name = \"{name}\"\ndisplay_name = \"x\"\nauth_type = \"api_key\"\nhosts = [\"x.com\"]\n\
             [[fields]]\nenv = {secret_env}\nenv_remove = [\"{name}_OTHER\"]\n\
             [[fields]]\nname = \"site\"\nsecret = false\noptional = true\nenv = [\"{name}_SITE\"]\n"
        );
        Definition::parse_toml(&text, "test").unwrap()
    }

    fn values(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn sets_placeholders_and_settings_and_removes_every_other_secret() {
        let (a, b) = (definition("a", r#"["A_KEY"]"#), definition("b", r#"["B_KEY"]"#));
        let (placeholders, settings) = (values("api_key", "fake"), values("site", "eu"));
        let connected = Connected {
            definition: &a,
            connection: "default",
            placeholders: &placeholders,
            settings: &settings,
        };
        let plan = environment([&a, &b], &[connected]);
        let set: Vec<_> = plan.set.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(set, [("A_KEY", "fake"), ("a_SITE", "eu")]);
        assert_eq!(plan.remove, ["B_KEY", "a_OTHER", "b_OTHER"]);
        assert!(plan.warnings.is_empty());
    }

    #[test]
    fn two_claims_on_a_variable_give_one_value_and_a_warning_in_any_order() {
        let (a, b) = (definition("a", r#"["KEY"]"#), definition("b", r#"["KEY"]"#));
        let (of_a, of_b, none) =
            (values("api_key", "fake-a"), values("api_key", "fake-b"), BTreeMap::new());
        let one =
            Connected { definition: &a, connection: "x", placeholders: &of_a, settings: &none };
        let two =
            Connected { definition: &b, connection: "y", placeholders: &of_b, settings: &none };
        let plan = environment([&a, &b], &[two, one]);
        assert_eq!(plan, environment([&a, &b], &[one, two]));
        assert_eq!(plan.set["KEY"], "fake-a");
        assert_eq!(plan.warnings.len(), 1);
        assert!(plan.warnings[0].contains("a/x") && plan.warnings[0].contains("b/y"));
    }

    #[test]
    fn nothing_is_both_set_and_removed() {
        let (a, b) = (definition("a", r#"["KEY"]"#), definition("b", r#"["KEY", "OTHER"]"#));
        let (placeholders, none) = (values("api_key", "fake"), BTreeMap::new());
        let one = Connected {
            definition: &a,
            connection: "x",
            placeholders: &placeholders,
            settings: &none,
        };
        let plan = environment([&a, &b], &[one]);
        assert!(plan.remove.iter().all(|variable| !plan.set.contains_key(variable)));
        assert!(plan.remove.contains(&"OTHER".to_owned()));
    }
}
