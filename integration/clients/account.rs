//! The connections that the clients of the matrix are run with, and how each shows that it was used.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::support::{KEY, Scene, write};

const ANTHROPIC_KEY: &str = "sk-ant-api03-Zk3vQ9wX7tB2nM5cR8yU1oP4aS6dF0gHjK2lQ9wX7tB2nM5cR8yU1oP4aS6dF0gHjK2lQ9wX7tB2nM5cR8yU1oP-4aS6dAA";
const GEMINI_KEY: &str = "AIzaSyZk3vQ9wX7tB2nM5cR8yU1oP4aS6dF0gHj";
const GITHUB_TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ456789";
const STRIPE_KEY: &str = "rk_test_Zk3vQ9wX7tB2nM5cR8yU1oP4";
const OTHER_SECRET: &str = "other-Zk3vQ9wX7tB2nM5cR8yU1oP4aS6dF0gHj";

/// A provider that people would write themselves: a company's package registries and services.
const EXAMPLE: &str = "name = \"example\"\ndisplay_name = \"Example\"\nauth_type = \"api_key\"\n\
    hosts = [\"*.example.com\"]\n\n[[inject]]\nkind = \"bearer\"\n";
/// Bedrock takes an API key instead of a signature.
const BEDROCK: &str = "name = \"bedrock\"\ndisplay_name = \"Bedrock\"\nauth_type = \"api_key\"\n\
    hosts = [\"bedrock.us-east-1.amazonaws.com\"]\n\n\
    [[fields]]\nname = \"api_key\"\nlabel = \"API key\"\nenv = [\"AWS_BEARER_TOKEN_BEDROCK\"]\n\n\
    [[inject]]\nkind = \"bearer\"\n";

/// One connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) provider: &'static str,
    /// The host that a client without trust is expected to turn away from.
    pub(super) host: &'static str,
    secret: &'static str,
    /// Another field and its value.
    field: Option<&'static str>,
    /// The header that the upstream sees it in, and what stands there before the secret.
    header: &'static str,
    scheme: &'static str,
    /// The definition, where the provider is none of the bundled ones.
    definition: Option<&'static str>,
}

const PLAIN: Account = Account {
    provider: "",
    host: "",
    secret: OTHER_SECRET,
    field: None,
    header: "authorization",
    scheme: "Bearer ",
    definition: None,
};

pub(super) const OPENAI: Account =
    Account { provider: "openai", host: "api.openai.com", secret: KEY, ..PLAIN };
pub(super) const ANTHROPIC: Account = Account {
    provider: "anthropic",
    host: "api.anthropic.com",
    secret: ANTHROPIC_KEY,
    header: "x-api-key",
    scheme: "",
    ..PLAIN
};
pub(super) const GEMINI: Account = Account {
    provider: "google-gemini",
    host: "generativelanguage.googleapis.com",
    secret: GEMINI_KEY,
    header: "x-goog-api-key",
    scheme: "",
    ..PLAIN
};
pub(super) const GITHUB: Account =
    Account { provider: "github", host: "api.github.com", secret: GITHUB_TOKEN, ..PLAIN };
pub(super) const GIT: Account = Account {
    provider: "github-git",
    host: "github.com",
    secret: GITHUB_TOKEN,
    scheme: "Basic x-access-token:",
    ..PLAIN
};
pub(super) const NPM: Account = Account { provider: "npm", host: "registry.npmjs.org", ..PLAIN };
pub(super) const DOCKER: Account = Account {
    provider: "docker-hub",
    // Where the exchange begins; the credential is for the token service.
    host: "registry-1.docker.io",
    field: Some("username=me"),
    scheme: "Basic me:",
    ..PLAIN
};
pub(super) const STRIPE: Account =
    Account { provider: "stripe-mcp", host: "mcp.stripe.com", secret: STRIPE_KEY, ..PLAIN };
pub(super) const PACKAGES: Account = Account {
    provider: "example",
    host: "packages.example.com",
    definition: Some(EXAMPLE),
    ..PLAIN
};
pub(super) const GRPC: Account = Account { host: "grpc.example.com", ..PACKAGES };
pub(super) const AWS: Account = Account {
    provider: "bedrock",
    host: "bedrock.us-east-1.amazonaws.com",
    definition: Some(BEDROCK),
    ..PLAIN
};

impl Account {
    /// Stores the credential, as a person would.
    pub(super) fn connect(&self, scene: &Scene) {
        if let Some(definition) = self.definition {
            let file = scene.user_home().join("definition.toml");
            write(&file, definition.as_bytes());
            scene.authsome(["register", file.to_str().unwrap(), "--yes"]).success();
        }
        let field = self.field.map(|field| ["--field", field]);
        let login = ["login", self.provider, "--secret-stdin"];
        scene
            .authsome(login.into_iter().chain(field.into_iter().flatten()))
            .stdin_text(self.secret)
            .success();
    }

    pub(super) fn secret(&self) -> &'static str {
        self.secret
    }

    /// The header in which the upstream sees the credential, and its value.
    pub(super) fn sent(&self) -> (&'static str, String) {
        let value = match self.scheme.strip_prefix("Basic ") {
            Some(user) => format!("Basic {}", STANDARD.encode(format!("{user}{}", self.secret))),
            None => format!("{}{}", self.scheme, self.secret),
        };
        (self.header, value)
    }
}
