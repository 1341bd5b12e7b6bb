//! Names and quoting of exported credentials. Pure.

use std::fmt::Write as _;

/// `NAME='value'` with `export`, for any POSIX shell's `eval`.
pub(super) fn shell(variables: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        let quoted = value.replace('\'', r"'\''");
        let _: std::fmt::Result = writeln!(text, "export {name}='{quoted}'");
    }
    text
}

/// `NAME=value` as .env readers take it: bare where that is safe (so that `docker --env-file`, which
/// knows no quotes, reads it too), else in single quotes, else in double quotes with escapes.
pub(super) fn dotenv(variables: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        let _: std::fmt::Result = writeln!(text, "{name}={}", dotenv_value(value));
    }
    text
}

fn dotenv_value(value: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(&byte);
    if value.bytes().all(bare) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\n', '\r', '\\']) {
        return format!("'{value}'");
    }
    let mut quoted = String::from("\"");
    for character in value.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' | '$' | '`' => quoted.extend(['\\', character]),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Name of the variable for a field: the provider's own for its default connection, with the
/// connection's name appended for others; made from provider and field where there is none.
pub(super) fn variable(
    known: Option<&str>,
    provider: &str,
    field: &str,
    other_connection: Option<&str>,
) -> String {
    let mut name = known.map_or_else(|| upper(&format!("{provider}_{field}")), str::to_owned);
    if let Some(connection) = other_connection {
        name.push('_');
        name.push_str(&upper(connection));
    }
    name
}

fn upper(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: &str) -> Vec<(String, String)> {
        vec![("KEY".into(), value.into())]
    }

    #[test]
    fn a_shell_reads_back_every_value() {
        for value in ["plain", "it's", "$(reboot) `x` \"y\" \\", "two\nlines", "", "--", "ü '' '"]
        {
            let script = format!("{}printf %s \"$KEY\"", shell(&one(value)));

            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();

            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }

    #[test]
    fn an_ordinary_key_is_bare_in_an_env_file() {
        assert_eq!(dotenv(&one("sk-ant-x_1/2+3=")), "KEY=sk-ant-x_1/2+3=\n");
    }

    #[test]
    fn what_an_env_file_reader_would_expand_is_quoted() {
        assert_eq!(dotenv(&one("a b#$c")), "KEY='a b#$c'\n");
        assert_eq!(dotenv(&one("it's $x\n")), "KEY=\"it's \\$x\\n\"\n");
    }

    #[test]
    fn only_connections_beside_the_default_carry_their_name() {
        assert_eq!(variable(Some("GH_TOKEN"), "github", "token", None), "GH_TOKEN");
        assert_eq!(
            variable(Some("GH_TOKEN"), "github", "token", Some("my-work")),
            "GH_TOKEN_MY_WORK"
        );
    }

    #[test]
    fn a_field_without_variable_gets_a_name_a_shell_accepts() {
        assert_eq!(variable(None, "1password", "api.key", None), "_1PASSWORD_API_KEY");
    }
}
