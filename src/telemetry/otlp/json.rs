//! OTLP's JSON: the protobuf mapping with ids in hexadecimal and 64-bit numbers as text
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use std::time::SystemTime;

use serde_json::{Value, json};

/// Version of the conventions by which attributes are named.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

/// An attribute with a text.
pub(super) fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// An attribute with a number.
pub(super) fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// Nanoseconds since 1970, as text.
pub(super) fn nanos(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}

/// What sends: the same for everything one process sends. `instance` tells processes apart.
pub(super) fn resource(instance: &str) -> Value {
    json!({ "attributes": [
        text("service.name", "authsome"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", instance),
    ]})
}

/// A document: `resource` with what one scope has to say.
pub(super) fn document(
    outer: &str,
    inner: &str,
    member: &str,
    resource: &Value,
    items: Vec<Value>,
) -> Vec<u8> {
    let scope = json!({ "name": "authsome", "version": env!("CARGO_PKG_VERSION") });
    let scoped = json!({ "scope": scope, member: items, "schemaUrl": SCHEMA });
    let document =
        json!({ outer: [{ "resource": resource, inner: [scoped], "schemaUrl": SCHEMA }] });
    document.to_string().into_bytes()
}
