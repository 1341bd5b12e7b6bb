//! From what a client said to whether it trusts the run.

use super::{Trust, attempt::Attempt, table::Row};

/// Exit code of a row's program that says that what it needs is not installed, as automake has it.
pub(super) const MISSING: i32 = 77;
/// What is said of a client is no longer than this.
const LONGEST: usize = 240;

/// What TLS libraries say of a certificate whose issuer they do not know, in lower case: OpenSSL, GnuTLS,
/// NSS, Go, rustls, Java, Node, and what is built on them.
const DISTRUST: [&str; 20] = [
    "certificate verify failed",
    "certificate problem",
    "certificate verification failed",
    "server certificate verification",
    "unable to get local issuer",
    "unable to get issuer",
    "unable_to_get_issuer",
    "unable_to_verify",
    "unable to verify",
    "self-signed certificate",
    "self signed certificate",
    "self_signed_cert",
    "unknown authority",
    "unknownissuer",
    "unknown issuer",
    "unknown ca",
    "pkix path building failed",
    "not trusted",
    "ssl validation failed",
    "cannot verify",
];

/// What is said of roots that cannot even be read.
const NO_ROOTS: [&str; 5] = [
    "error setting certificate",
    "could not find a suitable tls ca certificate bundle",
    "invalid path",
    "trustanchors parameter must be non-empty",
    "error adding trust anchors",
];

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) trust: Trust,
    /// What the client said of it.
    pub(super) said: Option<String>,
}

/// The answer of the interceptor proves trust. Where a client does not show the answer, so does what it
/// says only after one; but not if it complains of the certificate as well.
pub(super) fn judge(row: &Row, attempt: &Attempt, run: &str) -> Verdict {
    let verdict = |trust, said| Verdict { trust, said };
    let everything = format!("{}\n{}", attempt.stdout, attempt.stderr);
    if !run.is_empty() && attempt.stdout.contains(run) {
        return verdict(Trust::Trusts, None);
    }
    if attempt.code == Some(MISSING) {
        return verdict(Trust::Missing, None);
    }
    if let Some(line) =
        line_with(&everything, &DISTRUST).or_else(|| line_with(&everything, &NO_ROOTS))
    {
        return verdict(Trust::Distrusts, Some(line));
    }
    if line_with(&everything, row.said).is_some() {
        return verdict(Trust::Trusts, None);
    }
    if let Some(line) = line_with(&everything, &["proxy"]) {
        return verdict(Trust::Proxied, Some(line));
    }
    let said = if attempt.late {
        "no answer in time".to_owned()
    } else {
        match last_line(&attempt.stderr).or_else(|| last_line(&attempt.stdout)) {
            Some(line) => line,
            None => match attempt.code {
                Some(code) => format!("ended with exit code {code} and said nothing"),
                None => "was ended by a signal and said nothing".to_owned(),
            },
        }
    };
    verdict(Trust::Failed, Some(said))
}

/// The first line that holds one of these words, whatever their case.
fn line_with(text: &str, words: &[&str]) -> Option<String> {
    text.lines()
        .find(|line| {
            let line = line.to_lowercase();
            words.iter().any(|word| line.contains(word))
        })
        .map(shortened)
}

fn last_line(text: &str) -> Option<String> {
    text.lines().rev().find(|line| !line.trim().is_empty()).map(shortened)
}

fn shortened(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0123456789abcdef";

    fn judged(said: &'static [&'static str], code: i32, stdout: &str, stderr: &str) -> Trust {
        let row = Row { said, ..Row::NONE };
        let attempt = Attempt {
            code: Some(code),
            late: false,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        judge(&row, &attempt, RUN).trust
    }

    #[test]
    fn the_answer_proves_trust_and_nothing_else_by_itself() {
        assert_eq!(judged(&[], 0, RUN, "warning: proxy"), Trust::Trusts);
        assert_eq!(judged(&[], 0, "ok", ""), Trust::Failed);
    }

    #[test]
    fn a_complaint_of_the_certificate_outweighs_what_is_said_after_an_answer() {
        let pip = "SSLError(SSLCertVerificationError(1, 'certificate verify failed'))\nno match";
        assert_eq!(judged(&["no match"], 1, "", pip), Trust::Distrusts);
        assert_eq!(judged(&["no match"], 1, "", "ERROR: No match"), Trust::Trusts);
    }

    #[test]
    fn a_client_that_is_not_installed_says_so_by_its_exit_code() {
        assert_eq!(judged(&[], MISSING, "", "certificate verify failed"), Trust::Missing);
    }

    #[test]
    fn a_proxy_is_named_as_the_reason() {
        let curl = "curl: (5) Could not resolve proxy: proxy.example";
        assert_eq!(judged(&[], 5, "", curl), Trust::Proxied);
    }

    #[test]
    fn what_is_said_is_one_short_line() {
        let attempt =
            Attempt { stderr: format!("a\n{}\n\n", "é".repeat(999)), ..Attempt::default() };
        let said = judge(&Row::NONE, &attempt, RUN).said.unwrap();
        assert_eq!(said.chars().count(), LONGEST + 1);
    }
}
