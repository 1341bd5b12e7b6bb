//! The bundles that single programs bring.

use std::path::PathBuf;

use super::places::{Places, children};

/// Of the system.
const SYSTEM: [&str; 4] = [
    "/usr/share/perl5/Mozilla/CA/cacert.pem",
    "/usr/share/perl5/vendor_perl/Mozilla/CA/cacert.pem",
    // Version 2, which is no Python package.
    "/usr/local/aws-cli/v2/current/dist/awscli/botocore/cacert.pem",
    "/opt/aws-cli/v2/current/dist/awscli/botocore/cacert.pem",
];
/// Below the home directory.
const OWN: [&str; 2] = [
    "perl5/lib/perl5/Mozilla/CA/cacert.pem",
    ".local/aws-cli/v2/current/dist/awscli/botocore/cacert.pem",
];
/// Google's command line: of the system, and below the home directory.
const CLOUD_SDK: [&str; 3] =
    ["/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/opt/google-cloud-sdk"];
const OWN_CLOUD_SDK: &str = "google-cloud-sdk";
const CLOUD_SDK_COPIES: [&str; 2] =
    ["lib/third_party/certifi/cacert.pem", "lib/third_party/httplib2/python3/httplib2/cacerts.txt"];
/// Modules that an administrator installed, by Perl's version.
const PERL: &str = "/usr/local/share/perl";

/// Every bundle of a program that is here.
pub(super) fn bundles(places: &Places<'_>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = SYSTEM.iter().map(|path| places.system(path)).collect();
    found.extend(OWN.iter().filter_map(|path| places.home(path)));
    let cloud = CLOUD_SDK.iter().map(|path| places.system(path)).chain(places.home(OWN_CLOUD_SDK));
    found.extend(cloud.flat_map(|sdk| CLOUD_SDK_COPIES.map(|copy| sdk.join(copy))));
    let perl = children(&places.system(PERL)).into_iter();
    found.extend(perl.map(|version| version.join("Mozilla/CA/cacert.pem")));
    found.retain(|path| path.is_file());
    found
}
