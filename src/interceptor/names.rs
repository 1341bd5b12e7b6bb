//! One synthetic address for each name the agent looks up.
//!
//! The run's DNS responder hands out addresses of 198.18.0.0/15 (RFC 2544, never routed), one per
//! name and stable for the run, so that the name of every later connection is known, whatever it
//! speaks. Nothing is resolved here. The table holds at most as many names as the range has usable
//! addresses, some 130 000; after that new names get none and the lookup fails.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::address::canonical;

/// First address of the range.
const BASE: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// Number of addresses in a /15.
const SIZE: u32 = 1 << 17;
/// Longest name in presentation form (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
/// Longest label.
const MAX_LABEL: usize = 63;

/// Names and their addresses, shared by the responder and the listeners of one run.
#[derive(Debug)]
pub struct NameTable {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    by_name: HashMap<Arc<str>, u32>,
    by_offset: HashMap<u32, Arc<str>>,
    /// Where the search for a free address goes on; everything below is taken or unusable.
    next: u32,
}

impl NameTable {
    /// A table that already holds `known`, for a daemon that takes over a run whose agent has cached
    /// those answers. Entries that this table could not have made are left out.
    pub fn new(known: BTreeMap<String, Ipv4Addr>) -> Self {
        let mut inner = Inner { by_name: HashMap::new(), by_offset: HashMap::new(), next: 0 };
        for (name, address) in known {
            let (Some(name), Some(offset)) = (normalise(&name), offset_of(address)) else {
                continue;
            };
            if !inner.by_offset.contains_key(&offset) && !inner.by_name.contains_key(&*name) {
                inner.insert(name.into(), offset);
            }
        }
        Self { inner: Mutex::new(inner) }
    }

    /// The address of `name`, and whether it was given just now. None if the name is not one a host
    /// could have, or if the range is exhausted.
    pub fn address_of(&self, name: &str) -> Option<(Ipv4Addr, bool)> {
        let name = normalise(name)?;
        let mut inner = self.lock();
        if let Some(&offset) = inner.by_name.get(&*name) {
            return Some((address_at(offset), false));
        }
        let offset = (inner.next..SIZE).find(|&offset| inner.is_free(offset))?;
        inner.next = offset + 1;
        inner.insert(name.into(), offset);
        Some((address_at(offset), true))
    }

    /// The name that `ip` was given to. A v4-mapped address counts as the IPv4 address in it.
    pub fn name_of(&self, ip: IpAddr) -> Option<Arc<str>> {
        let IpAddr::V4(v4) = canonical(ip) else { return None };
        let offset = offset_of(v4)?;
        self.lock().by_offset.get(&offset).cloned()
    }

    /// A thread that panicked while it held the lock left the maps as they were before or after one
    /// insertion; both are usable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_free(&self, offset: u32) -> bool {
        is_usable(offset) && !self.by_offset.contains_key(&offset)
    }

    fn insert(&mut self, name: Arc<str>, offset: u32) {
        self.by_offset.insert(offset, Arc::clone(&name));
        self.by_name.insert(name, offset);
    }
}

/// Whether `ip` is one that a table could hand out.
pub fn is_synthetic(ip: IpAddr) -> bool {
    matches!(canonical(ip), IpAddr::V4(v4) if in_range(v4))
}

/// The one spelling of a host name: lower case, no trailing dot. None for what cannot be one: empty
/// or overlong names and labels, characters other than letters, digits, `-` and `_`, and names whose
/// last label is a number, which URL parsers (and so the agent's client) read as IPv4 addresses.
pub fn normalise(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > MAX_NAME {
        return None;
    }
    let good_label = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if !name.split('.').all(good_label) || name.rsplit('.').next().is_some_and(is_number) {
        return None;
    }
    Some(name.to_ascii_lowercase())
}

fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x").or_else(|| label.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// `.0` and `.255` look like network and broadcast addresses, and some stacks treat them so.
fn is_usable(offset: u32) -> bool {
    !matches!(offset & 0xff, 0 | 0xff)
}

fn in_range(address: Ipv4Addr) -> bool {
    (BASE..BASE + SIZE).contains(&u32::from(address))
}

fn offset_of(address: Ipv4Addr) -> Option<u32> {
    u32::from(address).checked_sub(BASE).filter(|&offset| offset < SIZE && is_usable(offset))
}

fn address_at(offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(BASE + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> NameTable {
        NameTable::new(BTreeMap::new())
    }

    #[test]
    fn a_name_keeps_its_address() {
        let table = empty();
        let (first, new) = table.address_of("api.github.com").unwrap();
        assert!(new && is_synthetic(first.into()));
        assert_eq!(table.address_of("api.github.com"), Some((first, false)));
    }

    #[test]
    fn spellings_of_a_name_share_an_address() {
        let table = empty();
        let (first, _) = table.address_of("Example.COM.").unwrap();
        assert_eq!(table.address_of("example.com"), Some((first, false)));
        assert_eq!(table.name_of(first.into()).as_deref(), Some("example.com"));
    }

    #[test]
    fn names_get_different_addresses() {
        let table = empty();
        let a = table.address_of("a.example").unwrap().0;
        let b = table.address_of("b.example").unwrap().0;
        assert_ne!(a, b);
        assert_eq!(table.name_of(b.into()).as_deref(), Some("b.example"));
    }

    #[test]
    fn a_mapped_address_finds_its_name() {
        let table = empty();
        let (address, _) = table.address_of("a.example").unwrap();
        let mapped = IpAddr::V6(address.to_ipv6_mapped());
        assert_eq!(table.name_of(mapped).as_deref(), Some("a.example"));
    }

    #[test]
    fn foreign_addresses_have_no_name() {
        let table = empty();
        table.address_of("a.example").unwrap();
        for ip in ["8.8.8.8", "198.18.0.0", "198.20.0.1", "::1", "198.18.9.9"] {
            assert_eq!(table.name_of(ip.parse().unwrap()), None, "{ip}");
        }
    }

    #[test]
    fn known_names_keep_their_addresses_and_new_ones_avoid_them() {
        let taken = Ipv4Addr::new(198, 18, 0, 1);
        let table = NameTable::new(BTreeMap::from([("Old.example".to_owned(), taken)]));
        assert_eq!(table.address_of("old.example"), Some((taken, false)));
        assert_eq!(table.address_of("new.example"), Some((Ipv4Addr::new(198, 18, 0, 2), true)));
    }

    #[test]
    fn known_entries_that_cannot_be_ours_are_dropped() {
        let table = NameTable::new(BTreeMap::from([
            ("a.example".to_owned(), Ipv4Addr::new(127, 0, 0, 1)),
            ("b.example".to_owned(), Ipv4Addr::new(198, 18, 1, 0)),
            ("bad name".to_owned(), Ipv4Addr::new(198, 18, 1, 1)),
            ("c.example".to_owned(), Ipv4Addr::new(198, 18, 1, 2)),
            ("d.example".to_owned(), Ipv4Addr::new(198, 18, 1, 2)),
        ]));
        assert_eq!(table.name_of(Ipv4Addr::LOCALHOST.into()), None);
        assert!(table.address_of("a.example").unwrap().1);
        assert!(table.address_of("b.example").unwrap().1);
        assert!(!table.address_of("c.example").unwrap().1);
        assert!(table.address_of("d.example").unwrap().1);
    }

    #[test]
    fn an_exhausted_range_gives_no_more_and_forgets_nothing() {
        let table = empty();
        let mut count = 0;
        while table.address_of(&format!("h{count}.example")).is_some() {
            count += 1;
        }
        assert_eq!(count, 512 * 254);
        let (first, new) = table.address_of("h0.example").unwrap();
        assert_eq!((first, new), (Ipv4Addr::new(198, 18, 0, 1), false));
        let last = Ipv4Addr::new(198, 19, 255, 254);
        assert_eq!(table.name_of(last.into()).as_deref(), Some("h130047.example"));
    }

    #[test]
    fn what_is_no_host_name_gets_no_address() {
        let table = empty();
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = ["abcdefg"; 33].join(".");
        for name in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a\0b",
            "ä.example",
            "*.example",
            "1.2.3.4",
            "a.1",
            "a.0x7f",
            "a.0x",
            "a/b",
            &long_label,
            &long_name,
        ] {
            assert_eq!(table.address_of(name), None, "{name:?}");
        }
    }

    #[test]
    fn unusual_host_names_are_names() {
        let longest = ["abcdefg"; 31].join(".") + ".abcde";
        for name in ["intranet", "_dmarc.example", "r3---sn-x.example", "1e100.net", &longest] {
            assert!(normalise(name).is_some(), "{name}");
        }
    }
}
