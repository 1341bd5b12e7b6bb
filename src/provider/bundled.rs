//! The definitions that come with the program: the files of `providers/`, embedded by
//! `scripts/build.rs`.

/// (name, TOML text) of each bundled definition, sorted by name.
pub(super) const BUNDLED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/providers.rs"));
