//! `/etc/resolv.conf` (resolv.conf(5)) and `/etc/hosts` (hosts(5)).

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// Servers that count, as in the C library.
const MAX_SERVERS: usize = 3;
/// Search domains that count.
const MAX_SEARCH: usize = 6;
/// Most dots that `ndots` may ask for.
const MAX_NDOTS: usize = 15;
const DNS: u16 = 53;

/// Whom to ask, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// In order.
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<String>,
    /// A name with this many dots is asked for as it is first.
    ndots: usize,
}

impl Config {
    /// As it is now: an engine may have written it anew.
    pub(super) fn read() -> Self {
        Self::parse(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut config = Self { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // A link-local one names its interface; that is nobody's outside of a home.
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    config.servers.extend(address.map(|ip| SocketAddr::new(ip, DNS)));
                }
                Some("search" | "domain") => {
                    config.search = words.take(MAX_SEARCH).map(str::to_owned).collect();
                }
                Some("options") => {
                    let ndots = words.filter_map(|word| word.strip_prefix("ndots:"));
                    let ndots = ndots.filter_map(|number| number.parse::<usize>().ok()).next_back();
                    config.ndots = ndots.unwrap_or(config.ndots).min(MAX_NDOTS);
                }
                Some(_) | None => {}
            }
        }
        config.servers.truncate(MAX_SERVERS);
        if config.servers.is_empty() {
            config.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DNS));
        }
        config
    }

    /// The names to ask for in place of `host`, in order, each to its end.
    pub(super) fn candidates(&self, host: &str) -> Vec<String> {
        if host.ends_with('.') {
            return vec![host.to_owned()];
        }
        let own = format!("{host}.");
        let searched = self.search.iter().map(|domain| {
            let domain = domain.trim_matches('.');
            if domain.is_empty() { own.clone() } else { format!("{host}.{domain}.") }
        });
        let dots = host.bytes().filter(|byte| *byte == b'.').count();
        let mut names: Vec<String> = Vec::with_capacity(self.search.len() + 1);
        if dots >= self.ndots {
            names.push(own.clone());
        }
        names.extend(searched);
        if dots < self.ndots {
            names.push(own);
        }
        names.dedup();
        names
    }
}

/// Names that need no server.
#[derive(Debug)]
pub(super) struct Hosts(String);

impl Hosts {
    pub(super) fn read() -> Self {
        Self(fs::read_to_string("/etc/hosts").unwrap_or_default())
    }

    /// What it says of `host`.
    pub(super) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let host = host.trim_end_matches('.');
        let line = |line: &str| {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let ip: IpAddr = words.next()?.parse().ok()?;
            words.any(|name| name.eq_ignore_ascii_case(host)).then_some(ip)
        };
        self.0.lines().filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_few_dots_is_searched_for_first() {
        let config = Config::parse(
            "nameserver 10.0.0.10\nsearch a.svc.cluster.local cluster.local\noptions ndots:5\n",
        );
        assert_eq!(
            config.candidates("api.test"),
            ["api.test.a.svc.cluster.local.", "api.test.cluster.local.", "api.test."]
        );
        assert_eq!(config.candidates("api.test."), ["api.test."]);
    }

    #[test]
    fn a_name_with_enough_dots_is_tried_as_it_is() {
        let config = Config::parse("search corp.test\n");
        assert_eq!(config.candidates("api.test"), ["api.test.", "api.test.corp.test."]);
        assert_eq!(config.candidates("db"), ["db.corp.test.", "db."]);
    }

    #[test]
    fn without_a_server_it_is_this_machine() {
        let config = Config::parse("# nothing\nnameserver nonsense\n");
        assert_eq!(config.servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn the_hosts_file_may_have_several_addresses_and_names() {
        let hosts = Hosts("127.0.0.1 localhost\n10.0.0.1 db DB.test # main\n::2\tdb\n".to_owned());
        assert_eq!(hosts.addresses("db.TEST."), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(hosts.addresses("db").len(), 2);
        assert!(hosts.addresses("main").is_empty());
    }
}
