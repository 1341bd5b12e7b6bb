//! What vendors document of their OAuth, written down a second time: a slip in a definition is seen
//! here.

/// What a vendor documents of its OAuth: authorization endpoint, token endpoint, client
/// authentication, added parameters, and how a token is revoked.
pub(super) type Facts = [&'static str; 5];

const GOOGLE: Facts = [
    "https://accounts.google.com/o/oauth2/v2/auth",
    "https://oauth2.googleapis.com/token",
    "body",
    "access_type=offline&prompt=consent",
    "POST https://oauth2.googleapis.com/revoke none refresh_token form token={token}",
];
const MICROSOFT: Facts = [
    "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    "body",
    "",
    "",
];
const ATLASSIAN: Facts = [
    "https://auth.atlassian.com/authorize",
    "https://auth.atlassian.com/oauth/token",
    "body",
    "audience=api.atlassian.com&prompt=consent",
    "",
];
const GITHUB: Facts = [
    "https://github.com/login/oauth/authorize",
    "https://github.com/login/oauth/access_token",
    "body",
    "",
    "DELETE https://api.github.com/applications/{client_id}/grant basic access_token json \
     access_token={token}",
];
const GITLAB: Facts = [
    "https://gitlab.com/oauth/authorize",
    "https://gitlab.com/oauth/token",
    "body",
    "",
    "RFC 7009 https://gitlab.com/oauth/revoke",
];

/// Providers that share their facts with others.
pub(super) const FAMILIES: &[(&str, Facts)] = &[
    ("google", GOOGLE),
    ("google-admin", GOOGLE),
    ("google-analytics", GOOGLE),
    ("google-calendar", GOOGLE),
    ("google-chat", GOOGLE),
    ("google-classroom", GOOGLE),
    ("google-docs", GOOGLE),
    ("google-drive", GOOGLE),
    ("google-forms", GOOGLE),
    ("google-gmail", GOOGLE),
    ("google-meet", GOOGLE),
    ("google-photos", GOOGLE),
    ("google-search-console", GOOGLE),
    ("google-sheets", GOOGLE),
    ("google-slides", GOOGLE),
    ("google-tasks", GOOGLE),
    ("google-vertex-ai", GOOGLE),
    ("google-youtube", GOOGLE),
    ("microsoft", MICROSOFT),
    ("microsoft-calendar", MICROSOFT),
    ("microsoft-outlook", MICROSOFT),
    ("microsoft-word", MICROSOFT),
    ("atlassian", ATLASSIAN),
    ("confluence", ATLASSIAN),
    ("jira", ATLASSIAN),
    ("github", GITHUB),
    ("github-git", GITHUB),
    ("github-mcp", GITHUB),
    ("gitlab", GITLAB),
    ("gitlab-git", GITLAB),
];

/// The others.
pub(super) const FACTS: &[(&str, Facts)] = &[
    (
        "airtable",
        [
            "https://airtable.com/oauth2/v1/authorize",
            "https://airtable.com/oauth2/v1/token",
            "basic",
            "",
            "",
        ],
    ),
    (
        "asana",
        [
            "https://app.asana.com/-/oauth_authorize",
            "https://app.asana.com/-/oauth_token",
            "body",
            "",
            "RFC 7009 https://app.asana.com/-/oauth_revoke",
        ],
    ),
    (
        "bitbucket",
        [
            "https://bitbucket.org/site/oauth2/authorize",
            "https://bitbucket.org/site/oauth2/access_token",
            "basic",
            "",
            "",
        ],
    ),
    (
        "clickup",
        [
            "https://app.clickup.com/api",
            "https://api.clickup.com/api/v2/oauth/token",
            "body",
            "",
            "",
        ],
    ),
    ("cloudflare-mcp", ["", "", "none", "", ""]),
    (
        "digitalocean",
        [
            "https://cloud.digitalocean.com/v1/oauth/authorize",
            "https://cloud.digitalocean.com/v1/oauth/token",
            "body",
            "",
            "POST https://cloud.digitalocean.com/v1/oauth/revoke bearer access_token form token={token}",
        ],
    ),
    (
        "discord",
        [
            "https://discord.com/oauth2/authorize",
            "https://discord.com/api/oauth2/token",
            "body",
            "",
            "RFC 7009 https://discord.com/api/oauth2/token/revoke",
        ],
    ),
    (
        "dropbox",
        [
            "https://www.dropbox.com/oauth2/authorize",
            "https://api.dropboxapi.com/oauth2/token",
            "body",
            "token_access_type=offline",
            "POST https://api.dropboxapi.com/2/auth/token/revoke bearer access_token none",
        ],
    ),
    (
        "figma",
        ["https://www.figma.com/oauth", "https://api.figma.com/v1/oauth/token", "basic", "", ""],
    ),
    (
        "hubspot",
        [
            "https://app.hubspot.com/oauth/authorize",
            "https://api.hubapi.com/oauth/2026-03/token",
            "body",
            "",
            "RFC 7009 https://api.hubapi.com/oauth/2026-03/token/revoke",
        ],
    ),
    (
        "huggingface",
        [
            "https://huggingface.co/oauth/authorize",
            "https://huggingface.co/oauth/token",
            "body",
            "",
            "",
        ],
    ),
    (
        "klaviyo-oauth",
        [
            "https://www.klaviyo.com/oauth/authorize",
            "https://a.klaviyo.com/oauth/token",
            "basic",
            "",
            "RFC 7009 https://a.klaviyo.com/oauth/revoke",
        ],
    ),
    (
        "linear",
        [
            "https://linear.app/oauth/authorize",
            "https://api.linear.app/oauth/token",
            "body",
            "",
            "RFC 7009 https://api.linear.app/oauth/revoke",
        ],
    ),
    (
        "linear-mcp",
        ["https://mcp.linear.app/authorize", "https://mcp.linear.app/token", "none", "", ""],
    ),
    (
        "notion",
        [
            "https://api.notion.com/v1/oauth/authorize",
            "https://api.notion.com/v1/oauth/token",
            "basic",
            "owner=user",
            "POST https://api.notion.com/v1/oauth/revoke basic access_token json token={token}",
        ],
    ),
    (
        "notion-mcp",
        [
            "https://mcp.notion.com/authorize",
            "https://mcp.notion.com/token",
            "none",
            "",
            "RFC 7009 https://mcp.notion.com/token",
        ],
    ),
    ("postiz", ["", "https://cli-auth.postiz.com/device/token", "body", "", ""]),
    (
        "reddit",
        [
            "https://www.reddit.com/api/v1/authorize",
            "https://www.reddit.com/api/v1/access_token",
            "basic",
            "duration=permanent",
            "RFC 7009 https://www.reddit.com/api/v1/revoke_token",
        ],
    ),
    (
        "salesforce",
        [
            "https://login.salesforce.com/services/oauth2/authorize",
            "https://login.salesforce.com/services/oauth2/token",
            "body",
            "",
            "POST https://login.salesforce.com/services/oauth2/revoke none refresh_token form \
         token={token}",
        ],
    ),
    (
        "sentry",
        ["https://sentry.io/oauth/authorize/", "https://sentry.io/oauth/token/", "body", "", ""],
    ),
    (
        "sentry-mcp",
        [
            "https://mcp.sentry.dev/oauth/authorize",
            "https://mcp.sentry.dev/oauth/token",
            "none",
            "",
            "",
        ],
    ),
    (
        "slack",
        [
            "https://slack.com/oauth/v2/authorize",
            "https://slack.com/api/oauth.v2.access",
            "body",
            "",
            "POST https://slack.com/api/auth.revoke bearer access_token none ok",
        ],
    ),
    (
        "slack-mcp",
        [
            "https://slack.com/oauth/v2_user/authorize",
            "https://slack.com/api/oauth.v2.user.access",
            "body",
            "",
            "POST https://slack.com/api/auth.revoke bearer access_token none ok",
        ],
    ),
    (
        "spotify",
        [
            "https://accounts.spotify.com/authorize",
            "https://accounts.spotify.com/api/token",
            "basic",
            "",
            "",
        ],
    ),
    (
        "stripe",
        [
            "https://connect.stripe.com/oauth/authorize",
            "https://connect.stripe.com/oauth/token",
            "body",
            "",
            "",
        ],
    ),
    ("stripe-mcp", ["", "", "none", "", ""]),
    (
        "todoist",
        [
            "https://app.todoist.com/oauth/authorize",
            "https://api.todoist.com/oauth/access_token",
            "body",
            "",
            "POST https://api.todoist.com/api/v1/revoke basic access_token json \
         token={token}&token_type_hint={token_type_hint}",
        ],
    ),
    (
        "x",
        [
            "https://x.com/i/oauth2/authorize",
            "https://api.x.com/2/oauth2/token",
            "basic",
            "",
            "RFC 7009 https://api.x.com/2/oauth2/revoke",
        ],
    ),
    (
        "zoom",
        [
            "https://zoom.us/oauth/authorize",
            "https://zoom.us/oauth/token",
            "basic",
            "",
            "RFC 7009 https://zoom.us/oauth/revoke",
        ],
    ),
];
