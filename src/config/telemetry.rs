//! `[telemetry]` of `config.toml`: where traces and metrics go.

use std::path::PathBuf;

use toml::de::DeValue;

use super::{Error, Key, Reader, Value};
use crate::telemetry::otlp::Endpoint;

const KEYS: &[&str] = &["endpoint", "headers_file", "protocol"];

/// Where telemetry goes, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// The collector; none: not said.
    pub endpoint: Option<Endpoint>,
    /// A private file with headers to send along; none: not said.
    pub headers_file: Option<PathBuf>,
}

impl Reader<'_> {
    pub(super) fn telemetry(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
    ) -> Result<TelemetryConfig, Error> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong(key, value, "expected a table: [telemetry]"));
        };
        let mut telemetry = TelemetryConfig::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "endpoint" => telemetry.endpoint = Some(self.one(key, value, Endpoint::parse)?),
                "headers_file" => {
                    telemetry.headers_file = Some(self.one(key, value, |text| self.file(text))?);
                }
                "protocol" => self.one(key, value, protocol)?,
                _ => return Err(self.unknown(key, "telemetry.", KEYS)),
            }
        }
        Ok(telemetry)
    }
}

/// There is one protocol, which may be named.
fn protocol(text: &str) -> Result<(), String> {
    match text {
        "http/json" => Ok(()),
        _ => Err("expected `http/json`, which every receiver of OTLP over HTTP takes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Config, *};

    fn parse(text: &str) -> Result<TelemetryConfig, Error> {
        let config = Config::parse(Path::new("/h/config.toml"), text, Some(Path::new("/home/u")))?;
        Ok(config.telemetry)
    }

    #[test]
    fn every_key_is_read() {
        let telemetry = parse(
            "[telemetry]\nendpoint = \"http://127.0.0.1:4318\"\nheaders_file = \"~/headers\"\n\
             protocol = \"http/json\"\n",
        )
        .unwrap();

        assert_eq!(telemetry.endpoint.unwrap().target(), ("127.0.0.1", 4318));
        assert_eq!(telemetry.headers_file.unwrap(), Path::new("/home/u/headers"));
    }

    #[test]
    fn what_means_nothing_is_named_with_line_and_mend() {
        for (line, named, mend) in [
            ("endpoint = \"collector:4318\"", "`endpoint`", "such as http://127.0.0.1:4318"),
            ("protocol = \"grpc\"", "`protocol`", "http/json"),
            ("headers_file = \"headers\"", "`headers_file`", "absolute path"),
            ("endpiont = \"x\"", "`telemetry.endpiont`", "did you mean `endpoint`?"),
        ] {
            let error = parse(&format!("[telemetry]\n{line}\n")).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with("/h/config.toml:2: ") && said.contains(named), "{said}");
            assert!(error.hint().unwrap().contains(mend), "{:?}", error.hint());
        }
    }
}
