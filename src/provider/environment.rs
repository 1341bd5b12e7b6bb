//! What an agent's environment holds for the providers: placeholders where clients look for secrets,
//! settings where they look for those, and no secret variable of any provider besides.
//!
//! Where a provider has several connections, the variables of each can also be told apart by a suffix:
//! `GITHUB_TOKEN_WORK`.

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
    /// Are the variables set as the definition names them?
    pub plain: bool,
    /// Are they set with the connection's name as a suffix?
    pub suffixed: bool,
}

impl Connected<'_> {
    /// Variables as the definition names them, with their values.
    fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.definition.fields.iter().flat_map(|field| {
            let values = if field.secret { self.placeholders } else { self.settings };
            let value = values.get(&field.name);
            field.env.iter().filter_map(move |variable| Some((variable.as_str(), value?.as_str())))
        })
    }
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
    let mut owners: BTreeMap<&str, &Connected<'a>> = BTreeMap::new();
    let mut ordered: Vec<&Connected<'a>> = connected.iter().collect();
    ordered.sort_by_key(|member| &member.definition.name);

    for member in ordered.iter().filter(|member| member.plain) {
        for (variable, value) in member.variables() {
            match owners.get(variable) {
                Some(owner) if owner.definition.name == member.definition.name => {}
                Some(owner) => plan.warnings.push(format!(
                    "{variable} is claimed by {}/{} and {}/{}; it holds the placeholder of {0}/{1}",
                    owner.definition.name,
                    owner.connection,
                    member.definition.name,
                    member.connection,
                )),
                None => {
                    owners.insert(variable, member);
                    plan.set.insert(variable.to_owned(), value.to_owned());
                }
            }
        }
    }

    let mut secret = BTreeSet::new();
    let mut taken = BTreeSet::new();
    let definitions = known.into_iter().chain(ordered.iter().map(|member| member.definition));
    for field in definitions.flat_map(|definition| &definition.fields) {
        secret.extend(&field.env_remove);
        if field.secret {
            secret.extend(&field.env);
        }
        taken.extend(field.env.iter().chain(&field.env_remove).map(String::as_str));
    }
    for member in ordered.iter().filter(|member| member.suffixed) {
        let suffix = suffix(member.connection);
        for (variable, value) in member.variables() {
            let name = format!("{variable}_{suffix}");
            if taken.contains(name.as_str()) || plan.set.contains_key(&name) {
                plan.warnings.push(format!(
                    "{name} is taken, so it does not hold {}/{}: use --env NAME={0}/{1}",
                    member.definition.name, member.connection,
                ));
            } else {
                plan.set.insert(name, value.to_owned());
            }
        }
    }
    let unset = secret.into_iter().filter(|variable| !plan.set.contains_key(*variable));
    plan.remove = unset.cloned().collect();
    plan
}

/// A connection's name as the end of a variable's.
fn suffix(connection: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    connection.chars().map(letter).collect()
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

    fn plain<'a>(
        definition: &'a Definition,
        connection: &'a str,
        placeholders: &'a BTreeMap<String, String>,
        settings: &'a BTreeMap<String, String>,
    ) -> Connected<'a> {
        Connected { definition, connection, placeholders, settings, plain: true, suffixed: false }
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
            plain: true,
            suffixed: false,
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
        let one = plain(&a, "x", &of_a, &none);
        let two = plain(&b, "y", &of_b, &none);
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
        let one = plain(&a, "x", &placeholders, &none);
        let plan = environment([&a, &b], &[one]);
        assert!(plan.remove.iter().all(|variable| !plan.set.contains_key(variable)));
        assert!(plan.remove.contains(&"OTHER".to_owned()));
    }

    #[test]
    fn a_further_connection_has_its_name_in_its_variables() {
        let a = definition("a", r#"["A_KEY", "A_TOKEN"]"#);
        let (first, second) = (values("api_key", "fake-1"), values("api_key", "fake-2"));
        let none = BTreeMap::new();
        let one = plain(&a, "default", &first, &none);
        let further = plain(&a, "my-work.2", &second, &none);
        let two = Connected { plain: false, suffixed: true, ..further };
        let plan = environment([&a], &[one, two]);
        let set: Vec<_> = plan.set.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected = [
            ("A_KEY", "fake-1"),
            ("A_KEY_MY_WORK_2", "fake-2"),
            ("A_TOKEN", "fake-1"),
            ("A_TOKEN_MY_WORK_2", "fake-2"),
        ];
        assert_eq!(set, expected);
        assert!(plan.warnings.is_empty());
    }

    #[test]
    fn a_name_that_is_taken_is_left_to_its_owner_with_a_warning() {
        let (a, b) = (definition("a", r#"["A"]"#), definition("b", r#"["A_B"]"#));
        let (fake, none) = (values("api_key", "fake"), BTreeMap::new());
        let further =
            |name| Connected { plain: false, suffixed: true, ..plain(&a, name, &fake, &none) };
        // `A_B` is another provider's, and two connections can end in one name.
        let plan = environment([&a, &b], &[further("b"), further("x-1"), further("x_1")]);
        assert_eq!(plan.set.keys().collect::<Vec<_>>(), ["A_X_1"]);
        assert_eq!(plan.warnings.len(), 2);
        assert!(plan.warnings[0].contains("--env NAME=a/b"), "{}", plan.warnings[0]);
    }
}
