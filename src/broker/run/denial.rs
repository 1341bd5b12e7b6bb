//! Why a request of a run is refused before any policy is asked.

use crate::{
    broker::entry::Entry,
    gate::{Denial, Target},
};

pub(super) fn login_needed(entry: &Entry, reason: &str) -> Denial {
    Denial {
        code: "login-needed",
        reason: format!("{} needs a new login: {reason}", entry.full_name),
        hint: Some(entry.login_command()),
        status: 401,
    }
}

pub(in crate::broker) fn not_connected(provider: &str, connection: Option<&str>) -> Denial {
    let (name, flag) = connection.map_or_else(
        || (provider.to_owned(), String::new()),
        |name| (format!("{provider}/{name}"), format!(" --connection {name}")),
    );
    Denial {
        code: "login-needed",
        reason: format!("{name} is not connected"),
        hint: Some(format!("authsome login {provider}{flag}")),
        status: 401,
    }
}

pub(super) fn ambiguous(target: &Target, names: &[&str]) -> Denial {
    Denial {
        code: "ambiguous-provider",
        reason: format!("{} is claimed by {} alike", target.host, names.join(" and ")),
        hint: names.first().map(|name| {
            format!("authsome run --connection {name}=default -- …, or log out of one of them")
        }),
        status: 403,
    }
}

pub(super) fn refused(target: &Target) -> Denial {
    Denial {
        code: "egress-refused",
        reason: format!(
            "{target} is not a connected provider's host, and this run reaches no others"
        ),
        hint: Some(format!("authsome run --allow {target} -- …")),
        status: 403,
    }
}
