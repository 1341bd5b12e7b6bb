//! The clients. Each makes one HTTPS request to the doctor's host, verifying as it does by default.
//!
//! In arguments, files and variables `{url}` is the host's URL, `{host}` its name, `{dir}` a directory of the
//! attempt's own. Exit code 77 says that what a row needs is not installed.

use super::find::PYTHON;

/// One client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// How it is called in the report.
    pub(super) name: &'static str,
    /// What is looked for on the `PATH`.
    pub(super) program: &'static str,
    /// Its arguments.
    pub(super) args: &'static [&'static str],
    /// Files that it is given, below `{dir}`.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// Variables that it is given.
    pub(super) env: &'static [(&'static str, &'static str)],
    /// What it says, in lower case, only after an answer came, if it does not show the answer itself.
    pub(super) said: &'static [&'static str],
    /// It has to compile first.
    pub(super) slow: bool,
    /// What makes it trust the run, where it does not.
    pub(super) mend: &'static str,
    /// Arguments with which it tells of a proxy in its configuration.
    pub(super) proxy: &'static [&'static str],
    /// What keeps it from asking a proxy.
    pub(super) unproxy: &'static str,
}

impl Row {
    /// What most rows have.
    pub(super) const NONE: Self = Self {
        name: "",
        program: "",
        args: &[],
        files: &[],
        env: &[],
        said: &[],
        proxy: &[],
        slow: false,
        mend: "have it read the roots that $SSL_CERT_FILE names in the run",
        unproxy: "take the proxy out of its configuration: there is none in a run, and none is needed",
    };
}

const FETCH: &str = "if (typeof fetch === 'undefined') process.exit(77);\
    fetch('{url}').then(r => r.text()).then(t => console.log(t))\
    .catch(e => { console.error(String(e.cause || e)); process.exit(1); })";
const HTTPS: &str = "require('https').get('{url}', r => r.pipe(process.stdout))\
    .on('error', e => { console.error(String(e)); process.exit(1); })";
const NODE_MEND: &str =
    "let NODE_EXTRA_CA_CERTS reach it, and take --use-openssl-ca out of NODE_OPTIONS";

const JAVA: &str = "public class Doctor {\n\
    public static void main(String[] args) throws Exception {\n\
    new java.net.URL(args[0]).openStream().transferTo(System.out);\n\
    }\n}\n";
const GO: &str = "package main\n\
    import (\"io\"; \"net/http\"; \"os\")\n\
    func main() {\n\
    r, err := http.Get(os.Args[1])\n\
    if err != nil { os.Stderr.WriteString(err.Error() + \"\\n\"); os.Exit(1) }\n\
    io.Copy(os.Stdout, r.Body)\n\
    }\n";

/// All of them, in the order of the report.
pub(super) const ROWS: [Row; 25] = [
    Row {
        name: "curl",
        program: "curl",
        args: &["-sS", "--max-time", "15", "{url}"],
        mend: "take `cacert` and `capath` out of ~/.curlrc",
        unproxy: "take `proxy` out of ~/.curlrc",
        ..Row::NONE
    },
    Row {
        name: "wget",
        program: "wget",
        args: &["-O", "-", "-T", "15", "-t", "1", "{url}"],
        mend: "take `ca_certificate` out of ~/.wgetrc",
        unproxy: "take `https_proxy` out of ~/.wgetrc",
        ..Row::NONE
    },
    Row {
        name: "git",
        program: "git",
        args: &["ls-remote", "{url}doctor.git"],
        env: &[("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C")],
        said: &["not valid", "is this a git repository", "not found"],
        proxy: &["config", "--get-regexp", "^http\\..*proxy$|^http\\.proxy$"],
        mend: "git config --global --unset-all http.sslCAInfo; git config --global --unset-all http.sslCAPath",
        unproxy: "git config --global --unset-all http.proxy",
        ..Row::NONE
    },
    Row {
        name: "python urllib",
        program: PYTHON,
        args: &["-c", "import urllib.request as r; print(r.urlopen('{url}').read().decode())"],
        mend: "let SSL_CERT_FILE reach it, or give this Python the system's roots",
        ..Row::NONE
    },
    Row {
        name: "python requests",
        program: PYTHON,
        args: &[
            "-c",
            "import importlib.util as u, sys\n\
             if u.find_spec('requests') is None: sys.exit(77)\n\
             import requests; print(requests.get('{url}').text)",
        ],
        mend: "let REQUESTS_CA_BUNDLE reach it, and take `verify` out of the program",
        ..Row::NONE
    },
    Row {
        name: "python httpx",
        program: PYTHON,
        args: &[
            "-c",
            "import importlib.util as u, sys\n\
             if u.find_spec('httpx') is None: sys.exit(77)\n\
             import httpx; print(httpx.get('{url}').text)",
        ],
        mend: "let SSL_CERT_FILE reach it, and take `verify` out of the program",
        ..Row::NONE
    },
    Row {
        name: "python certifi",
        program: PYTHON,
        args: &[
            "-c",
            "import importlib.util as u, sys\n\
             if u.find_spec('certifi') is None: sys.exit(77)\n\
             import certifi, ssl, urllib.request as r\n\
             print(certifi.where(), file=sys.stderr)\n\
             c = ssl.create_default_context(cafile=certifi.where())\n\
             try: print(r.urlopen('{url}', context=c).read().decode())\n\
             except Exception as e: sys.exit(certifi.where() + ': ' + str(e))",
        ],
        mend: "activate the environment this certifi is in before authsome run, or set REQUESTS_CA_BUNDLE \
               and SSL_CERT_FILE in what reads it",
        ..Row::NONE
    },
    Row { name: "node fetch", program: "node", args: &["-e", FETCH], mend: NODE_MEND, ..Row::NONE },
    Row { name: "node https", program: "node", args: &["-e", HTTPS], mend: NODE_MEND, ..Row::NONE },
    Row { name: "bun", program: "bun", args: &["-e", FETCH], mend: NODE_MEND, ..Row::NONE },
    Row {
        name: "deno",
        program: "deno",
        args: &["eval", "--no-config", "console.log(await (await fetch('{url}')).text())"],
        env: &[("DENO_NO_UPDATE_CHECK", "1")],
        mend: "let DENO_CERT reach it",
        ..Row::NONE
    },
    Row {
        name: "go",
        program: "go",
        args: &["run", "{dir}/doctor.go", "{url}"],
        files: &[("doctor.go", GO)],
        env: &[("GO111MODULE", "off"), ("GOTOOLCHAIN", "local"), ("GOCACHE", "{dir}/cache")],
        slow: true,
        mend: "let SSL_CERT_FILE reach it",
        ..Row::NONE
    },
    Row {
        name: "java",
        program: "java",
        // One that has no compiler cannot run a source file, and says that it finds no such class.
        args: &["{dir}/Doctor.java", "{url}"],
        files: &[("Doctor.java", JAVA)],
        env: &[("LC_ALL", "C")],
        mend: "set JAVA_HOME to this JDK before authsome run, and take -Djavax.net.ssl.trustStore out of \
               JAVA_TOOL_OPTIONS",
        unproxy: "take -Dhttps.proxyHost out of JAVA_TOOL_OPTIONS",
        ..Row::NONE
    },
    Row {
        name: "ruby",
        program: "ruby",
        args: &["-rnet/http", "-ruri", "-e", "puts Net::HTTP.get(URI('{url}'))"],
        mend: "let SSL_CERT_FILE reach it",
        ..Row::NONE
    },
    Row {
        name: "perl HTTP::Tiny",
        program: "perl",
        args: &[
            "-e",
            "eval { require HTTP::Tiny; HTTP::Tiny->VERSION(0.056); 1 } or exit 77;\
             exit 77 unless HTTP::Tiny->can_ssl;\
             my $r = HTTP::Tiny->new(verify_SSL => 1)->get('{url}');\
             $r->{success} ? print $r->{content} : die \"$r->{status} $r->{content}\\n\"",
        ],
        mend: "let SSL_CERT_FILE reach it",
        ..Row::NONE
    },
    Row {
        name: "perl LWP",
        program: "perl",
        args: &[
            "-e",
            "eval { require LWP::UserAgent; require LWP::Protocol::https; 1 } or exit 77;\
             my $r = LWP::UserAgent->new(env_proxy => 1)->get('{url}');\
             $r->is_success ? print $r->content : die $r->status_line . \"\\n\"",
        ],
        mend: "let SSL_CERT_FILE reach it, or remove Mozilla::CA",
        ..Row::NONE
    },
    Row {
        name: "php streams",
        program: "php",
        args: &[
            "-r",
            "if (!extension_loaded('openssl')) exit(77);\
             $r = file_get_contents('{url}'); if ($r === false) exit(1); echo $r;",
        ],
        mend: "take openssl.cafile out of php.ini",
        ..Row::NONE
    },
    Row {
        name: "php curl",
        program: "php",
        args: &[
            "-r",
            "if (!extension_loaded('curl')) exit(77);\
             $c = curl_init('{url}'); curl_setopt($c, CURLOPT_RETURNTRANSFER, true); $r = curl_exec($c);\
             if ($r === false) { fwrite(STDERR, curl_error($c)); exit(1); } echo $r;",
        ],
        mend: "take curl.cainfo out of php.ini",
        ..Row::NONE
    },
    Row {
        name: "cargo",
        program: "cargo",
        args: &["search", "--index", "sparse+{url}", "authsome"],
        env: &[("CARGO_HOME", "{dir}"), ("CARGO_NET_RETRY", "0")],
        said: &["config.json", "does not support api", "missing field"],
        mend: "take http.cainfo out of ~/.cargo/config.toml",
        unproxy: "take http.proxy out of ~/.cargo/config.toml",
        ..Row::NONE
    },
    Row {
        name: "uv",
        program: "uv",
        args: &[
            "pip",
            "install",
            "--dry-run",
            "--no-cache",
            "--target",
            "{dir}",
            "--index-url",
            "{url}simple",
            "authsome-doctor",
        ],
        said: &[
            "not found in the package registry",
            "unsupported content type",
            "no solution found",
        ],
        mend: "let SSL_CERT_FILE, UV_NATIVE_TLS and UV_SYSTEM_CERTS reach it",
        ..Row::NONE
    },
    Row {
        name: "pip",
        program: PYTHON,
        args: &[
            "-c",
            "import importlib.util as u, sys, subprocess\n\
             if u.find_spec('pip') is None: sys.exit(77)\n\
             sys.exit(subprocess.call([sys.executable, '-m', 'pip', 'download', '--no-deps', \
             '--no-cache-dir', '--disable-pip-version-check', '--retries', '0', '--index-url', \
             '{url}simple', '--dest', '{dir}', 'authsome-doctor']))",
        ],
        env: &[("LC_ALL", "C.UTF-8")],
        said: &["no matching distribution", "unexpected content-type", "content type"],
        mend: "pip config unset global.cert, and let PIP_CERT reach it",
        unproxy: "pip config unset global.proxy",
        ..Row::NONE
    },
    Row {
        name: "npm",
        program: "npm",
        args: &[
            "ping",
            "--registry",
            "{url}",
            "--fetch-retries",
            "0",
            "--cache",
            "{dir}",
            "--no-update-notifier",
        ],
        said: &["npm notice pong", "pong"],
        proxy: &["config", "get", "https-proxy"],
        mend: "npm config delete cafile; npm config delete ca; let NODE_EXTRA_CA_CERTS reach it",
        unproxy: "npm config delete proxy; npm config delete https-proxy",
        ..Row::NONE
    },
    Row {
        name: "gh",
        program: "gh",
        args: &["api", "--hostname", "{host}", "meta"],
        env: &[
            ("GH_ENTERPRISE_TOKEN", "none"),
            ("GH_CONFIG_DIR", "{dir}"),
            ("GH_NO_UPDATE_NOTIFIER", "1"),
        ],
        mend: "let SSL_CERT_FILE reach it",
        ..Row::NONE
    },
    Row {
        name: "aws",
        program: "aws",
        args: &[
            "sts",
            "get-caller-identity",
            "--no-sign-request",
            "--endpoint-url",
            "{url}",
            "--region",
            "us-east-1",
            "--cli-connect-timeout",
            "15",
        ],
        env: &[("AWS_MAX_ATTEMPTS", "1"), ("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_PAGER", "")],
        said: &["unable to parse response", "invalid xml", "an error occurred"],
        mend: "take ca_bundle out of ~/.aws/config, and let AWS_CA_BUNDLE reach it",
        ..Row::NONE
    },
    Row {
        name: "openssl",
        program: "openssl",
        args: &[
            "s_client",
            "-verify_return_error",
            "-brief",
            "-connect",
            "{host}:443",
            "-servername",
            "{host}",
        ],
        said: &["verification: ok"],
        mend: "let SSL_CERT_FILE reach it",
        ..Row::NONE
    },
];
