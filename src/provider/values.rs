//! A connection's values on their way in: checked against the fields they are for.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::{Definition, Error, Values, base::BASE_URL, suggest};

impl Definition {
    /// Checks what a person entered and adds what can be derived from it. White space around a value
    /// is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a field the provider has not, one that is missing, one that does not
    /// match its pattern, and a setting that makes no host name.
    pub fn accept(&self, given: Values) -> Result<Values, Error> {
        self.check(given, None)
    }

    /// As [`Self::accept`], for a connection whose access token the provider itself has issued: that is
    /// what it is, whatever it looks like, and nobody enters another secret.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn accept_token(&self, settings: Values, token: SecretString) -> Result<Values, Error> {
        let Some(field) = self.token_field() else {
            return Err(self.value_error("oauth", "is not in the definition", None));
        };
        let mut given = settings;
        given.insert(field.name.clone(), token);
        self.check(given, Some(&field.name))
    }

    /// Checks the settings of a connection whose credential is still to be had.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a field the provider has not or that is a secret, and for a value that does
    /// not match its pattern.
    pub fn check_settings(&self, settings: &BTreeMap<String, String>) -> Result<(), Error> {
        for (name, value) in settings {
            let Some(field) = self.field(name) else {
                let plain = self.fields.iter().filter(|field| !field.secret);
                let near = suggest::closest(name, plain.map(|field| field.name.as_str()));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                return Err(self.value_error(name, "is not known", hint));
            };
            if field.secret {
                return Err(self.value_error(name, "is a secret, and comes from the login", None));
            }
            if field.pattern.as_ref().is_some_and(|pattern| !pattern.matches(value)) {
                let hint = field.pattern_hint.clone();
                return Err(self.value_error(name, "does not look like one", hint));
            }
        }
        Ok(())
    }

    fn check(&self, given: Values, issued: Option<&str>) -> Result<Values, Error> {
        let mut values = Values::new();
        for (name, value) in given {
            if self.field(&name).is_none() {
                let names = self.fields.iter().map(|field| field.name.as_str());
                let hint =
                    suggest::closest(&name, names).map(|near| format!("did you mean `{near}`?"));
                return Err(self.value_error(&name, "is not known", hint));
            }
            let trimmed = value.expose_secret().trim();
            if !trimmed.is_empty() {
                values.insert(name, SecretString::from(trimmed));
            }
        }
        for field in &self.fields {
            if let Some(derive) = &field.derive
                && !values.contains_key(&field.name)
                && let Some(found) =
                    values.get(&derive.from).and_then(|from| derive.find(from.expose_secret()))
            {
                values.insert(field.name.clone(), SecretString::from(found));
            }
            let Some(value) = values.get(&field.name) else {
                if field.optional || (issued.is_some() && field.secret) {
                    continue;
                }
                let hint = match &field.derive {
                    Some(derive) => field
                        .pattern_hint
                        .clone()
                        .or_else(|| Some(format!("it could not be found in `{}`", derive.from))),
                    None => None,
                };
                return Err(self.value_error(&field.name, "is missing", hint));
            };
            if value.expose_secret().chars().any(char::is_control) {
                return Err(self.value_error(&field.name, "has a control character", None));
            }
            let pattern = field.pattern.as_ref().filter(|_| issued != Some(&field.name));
            if pattern.is_some_and(|pattern| !pattern.matches(value.expose_secret())) {
                let hint = field.pattern_hint.clone();
                return Err(self.value_error(&field.name, "does not look like one", hint));
            }
        }
        self.settle_base_url(&mut values)?;
        self.claimed(&self.settings(&values))?;
        self.changes(&values)?;
        Ok(values)
    }

    /// The values that are no secrets.
    #[must_use]
    pub fn settings(&self, values: &Values) -> BTreeMap<String, String> {
        let plain = self.fields.iter().filter(|field| !field.secret);
        plain
            .filter_map(|field| {
                let value = values.get(&field.name)?.expose_secret();
                Some((field.name.clone(), value.to_owned()))
            })
            .collect()
    }

    /// Leaves a base URL in the form in which it is compared, and none that is the default.
    fn settle_base_url(&self, values: &mut Values) -> Result<(), Error> {
        if self.default_base_url().is_none() || !values.contains_key(BASE_URL) {
            return Ok(());
        }
        match self.own_base(&self.settings(values))? {
            Some(base) => values.insert(BASE_URL.to_owned(), SecretString::from(base.url)),
            None => values.remove(BASE_URL),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = r#"
        name = "shop"
        display_name = "Shop"
        auth_type = "api_key"
        hosts = ["{shop}.example.com"]
        [[fields]]
        name = "shop"
        secret = false
        [[fields]]
        name = "api_key"
        pattern = "k-[a-z]{4}-[a-z]{2}"
        pattern_hint = "starts with k-"
        [[fields]]
        name = "region"
        secret = false
        derive = { from = "api_key", capture = "-([a-z]{2})$" }
    "#;

    fn accept(pairs: &[(&str, &str)]) -> Result<Values, Error> {
        let definition = Definition::parse_toml(SHOP, "shop.toml")?;
        let given =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        definition.accept(given)
    }

    #[test]
    fn trims_values_and_derives_fields() {
        let values = accept(&[("shop", " acme\n"), ("api_key", "k-abcd-eu")]).unwrap();
        assert_eq!(values["shop"].expose_secret(), "acme");
        assert_eq!(values["region"].expose_secret(), "eu");
    }

    #[test]
    fn says_what_a_value_should_look_like_and_not_what_it_is() {
        let error = accept(&[("shop", "acme"), ("api_key", "wrong-key")]).unwrap_err();
        assert_eq!(error.hint(), Some("starts with k-"));
        assert!(!format!("{error} {error:?}").contains("wrong-key"));
    }

    #[test]
    fn refuses_unknown_and_missing_fields_and_bad_hosts() {
        let unknown = accept(&[("shpo", "acme"), ("api_key", "k-abcd-eu")]).unwrap_err();
        assert_eq!(unknown.hint(), Some("did you mean `shop`?"));
        assert!(accept(&[("shop", "acme")]).is_err());
        assert!(accept(&[("shop", " "), ("api_key", "k-abcd-eu")]).is_err());
        assert!(accept(&[("shop", "evil.com/"), ("api_key", "k-abcd-eu")]).is_err());
    }

    #[test]
    fn settings_hold_no_secret() {
        let values = accept(&[("shop", "acme"), ("api_key", "k-abcd-eu")]).unwrap();
        let definition = Definition::parse_toml(SHOP, "shop.toml").unwrap();
        let settings = definition.settings(&values);
        assert_eq!(settings.keys().collect::<Vec<_>>(), ["region", "shop"]);
    }
}
