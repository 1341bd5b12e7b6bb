//! PEM bundles: reading the roots there are, and merging them with the run's.

use std::{collections::BTreeSet, path::Path};

use memchr::{memchr, memmem};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Bytes; all public roots together have a fortieth of it.
const LARGEST: u64 = 8 * 1024 * 1024;

/// What a file holds; empty if it cannot be read, or is none that a run should wait for: variables and
/// configurations name it, and a pipe or a disk image would be read to its end.
pub(super) fn read(path: &Path) -> String {
    let readable =
        std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
    if readable { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() }
}

/// The certificates of `roots`, each once, and then `ca`.
pub(super) fn merge(roots: &str, ca: &str) -> String {
    let mut seen = BTreeSet::new();
    let mut merged = String::with_capacity(roots.len() + ca.len());
    for certificate in certificates(roots).chain(certificates(ca)) {
        if seen.insert(certificate) {
            merged.push_str(BEGIN);
            merged.push_str(certificate);
            merged.push_str(END);
            merged.push('\n');
        }
    }
    merged
}

/// What stands between the markers of each certificate, line breaks included.
pub(super) fn certificates(pem: &str) -> impl Iterator<Item = &str> {
    memmem::find_iter(pem.as_bytes(), BEGIN).filter_map(move |at| {
        let rest = pem.get(at + BEGIN.len()..)?;
        // Base64 has no hyphen: the next one begins the end, or the certificate is cut off.
        let (body, after) = rest.split_at_checked(memchr(b'-', rest.as_bytes())?)?;
        after.starts_with(END).then_some(body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_or_too_large_a_one_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let large = directory.path().join("large.pem");
        std::fs::File::create(&large).unwrap().set_len(LARGEST + 1).unwrap();
        assert_eq!(read(&large), "");
        assert_eq!(read(Path::new("/dev/zero")), "");
    }

    #[test]
    fn merging_keeps_each_certificate_once_and_drops_what_is_none() {
        let one = format!("{BEGIN}\nQQ==\n{END}\n");
        let two = format!("{BEGIN}\nQg==\n{END}\n");
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        let merged = merge(&format!("# comment\n{one}{key}{one}"), &two);
        assert_eq!(merged, format!("{one}{two}"));
    }

    #[test]
    fn a_cut_off_certificate_is_left_out() {
        assert_eq!(merge(&format!("{BEGIN}\nQQ=="), ""), "");
    }
}
