//! What is valid in a definition and still unwise: hosts that would hand a key to strangers, claims
//! that nobody can tell apart.

use regex_syntax::hir::literal::{ExtractKind, Extractor};

use super::{Definition, HostPattern, PathPrefix, lint_oauth};

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look.
    Warning,
    /// A credential could reach the wrong host, or none: not to be registered without being asked.
    Error,
}

/// One thing that is unwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The provider.
    pub provider: String,
    /// How bad it is.
    pub severity: Severity,
    /// The key it is about.
    pub key: &'static str,
    /// What is wrong, in a sentence without subject.
    pub problem: String,
    /// What would mend it.
    pub hint: String,
}

/// Names below which everybody can have one of their own: by buying it, or by being a customer of
/// those who own it.
const SHARED: &[&str] = &[
    // Registries with a second level.
    "ac.uk",
    "co.id",
    "co.il",
    "co.in",
    "co.jp",
    "co.ke",
    "co.kr",
    "co.nz",
    "co.th",
    "co.uk",
    "co.za",
    "com.ar",
    "com.au",
    "com.br",
    "com.cn",
    "com.hk",
    "com.mx",
    "com.my",
    "com.pl",
    "com.sg",
    "com.tr",
    "com.tw",
    "com.ua",
    "gov.uk",
    "net.au",
    "ne.jp",
    "or.jp",
    "org.au",
    "org.uk",
    // Hosting.
    "amazonaws.com",
    "appspot.com",
    "awsapprunner.com",
    "azure-api.net",
    "azurecontainerapps.io",
    "azureedge.net",
    "azurefd.net",
    "azurestaticapps.net",
    "azurewebsites.net",
    "b-cdn.net",
    "blob.core.windows.net",
    "cloudapp.azure.com",
    "cloudapp.net",
    "cloudflarestorage.com",
    "cloudfront.net",
    "cloudfunctions.net",
    "deno.dev",
    "digitaloceanspaces.com",
    "duckdns.org",
    "elasticbeanstalk.com",
    "execute-api.amazonaws.com",
    "fastly.net",
    "firebaseapp.com",
    "firebaseio.com",
    "fly.dev",
    "github.io",
    "githubpreview.dev",
    "githubusercontent.com",
    "gitlab.io",
    "herokuapp.com",
    "hf.space",
    "loca.lt",
    "lovable.app",
    "modal.run",
    "netlify.app",
    "ngrok-free.app",
    "ngrok-free.dev",
    "ngrok.app",
    "ngrok.dev",
    "ngrok.io",
    "onrender.com",
    "ondigitalocean.app",
    "pages.dev",
    "r2.dev",
    "railway.app",
    "repl.co",
    "replit.app",
    "replit.dev",
    "run.app",
    "surge.sh",
    "trycloudflare.com",
    "ts.net",
    "up.railway.app",
    "vercel.app",
    "vercel.dev",
    "web.app",
    "workers.dev",
    // Services with a name for each customer.
    "atlassian.net",
    "auth0.com",
    "bamboohr.com",
    "cloud.databricks.com",
    "cognitiveservices.azure.com",
    "azuredatabricks.net",
    "freshdesk.com",
    "freshservice.com",
    "lightning.force.com",
    "my.salesforce.com",
    "myshopify.com",
    "okta.com",
    "openai.azure.com",
    "service-now.com",
    "services.ai.azure.com",
    "sharepoint.com",
    "snowflakecomputing.com",
    "supabase.co",
    "visualstudio.com",
    "vault.azure.net",
    "webflow.io",
    "wordpress.com",
    "zendesk.com",
];

/// What is unwise in one definition.
#[must_use]
pub fn lint(definition: &Definition) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |severity, key: &'static str, problem: String, hint: String| {
        let provider = definition.name.clone();
        findings.push(Finding { provider, severity, key, problem, hint });
    };
    if definition.hosts.is_empty() {
        let problem = "is empty: no request is ever routed to this provider".to_owned();
        find(Severity::Error, "hosts", problem, "name the hosts of its API".to_owned());
    }
    for host in &definition.hosts {
        if let Some((severity, problem, hint)) = host_problem(host) {
            find(severity, "hosts", format!("has `{host}`, {problem}"), hint);
        }
    }
    for field in &definition.fields {
        if field.pattern.is_some() && field.pattern_hint.is_none() {
            let hint = "say in `pattern_hint` what a value looks like".to_owned();
            let problem = format!("`{}` has a pattern that is not explained", field.name);
            find(Severity::Warning, "fields", problem, hint);
        }
        if field.pattern.as_ref().is_some_and(|pattern| pattern.compile().is_none()) {
            let problem = format!("`{}` has a pattern that is too large", field.name);
            find(Severity::Error, "fields", problem, "make its repetitions smaller".to_owned());
        }
        let used = definition
            .inject
            .iter()
            .any(|inject| inject.slot.fields().contains(&field.name.as_str()));
        if field.secret && !field.optional && !used {
            let problem = format!("`{}` is secret and goes nowhere", field.name);
            find(Severity::Warning, "fields", problem, "use it in an `[[inject]]`".to_owned());
        }
    }
    lint_oauth::check(definition, &mut find);
    findings
}

/// What is unwise in a set of definitions, overlaps included.
#[must_use]
pub fn lint_all<'a>(definitions: impl IntoIterator<Item = &'a Definition>) -> Vec<Finding> {
    let definitions: Vec<&Definition> = definitions.into_iter().collect();
    let mut findings: Vec<Finding> = definitions.iter().copied().flat_map(lint).collect();
    for (index, one) in definitions.iter().enumerate() {
        for other in definitions.iter().skip(index + 1) {
            let declared = one.alternative_to.contains(&other.name)
                || other.alternative_to.contains(&one.name);
            let shared = |prefix: &Option<&PathPrefix>| other.path_prefixes().contains(prefix);
            if declared || !one.path_prefixes().iter().any(shared) {
                continue;
            }
            let shared = one.hosts.iter().find(|a| other.hosts.iter().any(|b| tied(a, b)));
            if let Some(host) = shared {
                findings.push(Finding {
                    provider: other.name.clone(),
                    severity: Severity::Error,
                    key: "hosts",
                    problem: format!("overlaps with {} at `{host}`", one.name),
                    hint: "give the two different hosts or path prefixes, or say `alternative_to`"
                        .to_owned(),
                });
            }
        }
    }
    findings
}

/// Is there a name that both match, and neither is the more specific one?
fn tied(a: &HostPattern, b: &HostPattern) -> bool {
    use HostPattern::{Exact, Regex, Suffix, Tenant};
    match (a, b) {
        (Exact(a), Exact(b)) | (Suffix(a), Suffix(b)) | (Regex(a), Regex(b)) => a == b,
        (Tenant(a), Tenant(b)) => a == b,
        (Exact(_) | Suffix(_) | Regex(_) | Tenant(_), _) => false,
    }
}

type HostProblem = (Severity, String, String);

fn host_problem(host: &HostPattern) -> Option<HostProblem> {
    match host {
        HostPattern::Exact(name) => exact_problem(name),
        HostPattern::Suffix(suffix) => suffix_problem(suffix),
        HostPattern::Regex(expression) => regex_problem(expression),
        HostPattern::Tenant(_) => None,
    }
}

fn exact_problem(name: &str) -> Option<HostProblem> {
    let hint = "name a host of the public DNS".to_owned();
    let problem = if name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        "which is an IP address: no certificate proves who answers there"
    } else if name == "localhost" || name.ends_with(".localhost") {
        "which is this machine: any local process can answer there"
    } else if !name.contains('.') {
        "which is a single label: the resolver decides what it means"
    } else {
        return None;
    };
    Some((Severity::Error, problem.to_owned(), hint))
}

fn suffix_problem(suffix: &str) -> Option<HostProblem> {
    let dotted = format!(".{suffix}");
    let hint = "name the hosts, or write `{tenant}` and add a field for it".to_owned();
    if !suffix.contains('.') || is_shared(suffix) {
        let problem = "below which anybody can have a name, and would get the key".to_owned();
        return Some((Severity::Error, problem, hint));
    }
    if let Some(shared) = SHARED.iter().find(|shared| shared.ends_with(&dotted)) {
        let problem = format!("which covers {shared}, below which anybody can have a name");
        return Some((Severity::Error, problem, hint));
    }
    let amid =
        |shared: &&&str| dotted.strip_suffix(**shared).is_some_and(|rest| rest.ends_with('.'));
    // `com.au` and the like: a name below them has one owner.
    let tenant = SHARED.iter().filter(|shared| shared.len() > "com.au".len()).find(amid);
    tenant.map(|shared| {
        let problem = format!("which lies below {shared}: are all its names one customer's?");
        (Severity::Warning, problem, hint)
    })
}

fn is_shared(name: &str) -> bool {
    SHARED.contains(&name)
}

fn regex_problem(expression: &str) -> Option<HostProblem> {
    let error =
        |problem: &str, hint: &str| Some((Severity::Error, problem.to_owned(), hint.to_owned()));
    if !expression.starts_with('^') || !expression.ends_with('$') || expression.ends_with(r"\$") {
        return error("which is not anchored", "write `^` at its start and `$` at its end");
    }
    if has_bare_dot(expression) {
        return error(
            "in which a `.` stands for any character",
            r"write `\.`, and `[^.]+` for a label",
        );
    }
    let Ok(hir) = regex_syntax::parse(expression) else {
        return error("which is no valid expression", "see https://docs.rs/regex for the syntax");
    };
    let ends = Extractor::new().kind(ExtractKind::Suffix).extract(&hir);
    let hint = r"let it end in a fixed domain, such as `\.example\.com$`";
    let Some(literals) = ends.literals() else {
        return error("whose end is open", hint);
    };
    for literal in literals {
        let end = String::from_utf8_lossy(literal.as_bytes());
        if literal.is_exact() {
            continue;
        }
        // What precedes the first dot may be a part of a longer label.
        let Some((_, domain)) = end.split_once('.') else {
            return error("whose end is open", hint);
        };
        if let Some((severity, problem, hint)) = suffix_problem(domain) {
            return Some((severity, problem, hint));
        }
    }
    None
}

/// Is there a dot outside brackets and without a backslash?
fn has_bare_dot(expression: &str) -> bool {
    let (mut escaped, mut bracketed) = (false, false);
    for character in expression.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => bracketed = true,
            ']' => bracketed = false,
            '.' if !bracketed => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(host: &str) -> Vec<Finding> {
        let text = format!(
            "name = \"x\"\ndisplay_name = \"x\"\nauth_type = \"api_key\"\nhosts = ['{host}']\n\
             [[fields]]\n[[fields]]\nname = \"shop\"\nsecret = false\n"
        );
        lint(&Definition::parse_toml(&text, "x.toml").unwrap())
    }

    #[test]
    fn hosts_that_would_hand_the_key_to_strangers_are_found() {
        for host in [
            "localhost",
            "intranet",
            "127.0.0.1",
            "*.com",
            "*.co.uk",
            "*.myshopify.com",
            "*.amazonaws.com",
            "*.azure.com",
            "*.salesforce.com",
            "*.s3.amazonaws.com",
            r"regex:.*googleapis.*",
            r"regex:.*githubusercontent\.com$",
            r"regex:^(api\.twitter\.com|x\.com)",
            r"regex:^api.example.com$",
            r"regex:^.+$",
            r"regex:^[a-z.]+$",
            r"regex:^[a-z]+\.myshopify\.com$",
            r"regex:^[a-z]*example\.com$",
            r"regex:^api\.example\.(com|org|[a-z]+)$",
        ] {
            assert!(!problems(host).is_empty(), "{host}");
        }
    }

    #[test]
    fn sound_hosts_are_not_complained_about() {
        for host in [
            "api.openai.com",
            "*.pinecone.io",
            "*.example.co.uk",
            "{shop}.myshopify.com",
            r"regex:^eu-[0-9]+\.example\.com$",
            r"regex:^(api|files)\.example\.com$",
            r"regex:^[^.]+\.api\.example\.com$",
        ] {
            assert_eq!(problems(host), [], "{host}");
        }
    }

    #[test]
    fn overlaps_are_found_unless_host_or_path_tells_them_apart() {
        let make = |name: &str, host: &str, prefix: &str| {
            let text = format!(
                "name = \"{name}\"\ndisplay_name = \"x\"\nauth_type = \"api_key\"\nhosts = ['{host}']\n\
                 path_prefix = \"{prefix}\"\n"
            );
            Definition::parse_toml(&text, "x.toml").unwrap()
        };
        let a = make("a", "api.example.com", "/v1");
        assert_eq!(lint_all([&a, &make("b", "api.example.com", "/v1")]).len(), 1);
        assert_eq!(lint_all([&a, &make("b", "api.example.com", "/v2")]).len(), 0);
        assert_eq!(lint_all([&a, &make("b", "api.example.org", "/v1")]).len(), 0);
        // The exact host is the more specific claim.
        assert_eq!(lint_all([&a, &make("b", "*.example.com", "/v1")]).len(), 0);
        let mut alternative = make("b", "api.example.com", "/v1");
        alternative.alternative_to.push("a".to_owned());
        assert_eq!(lint_all([&a, &alternative]).len(), 0);
    }
}
