//! Are the rules there? For somebody beside the guard, who did not make them: it knows neither mark nor
//! port, so it counts the rules of each chain. That they do what they are for is for connections to show.

use std::num::NonZeroU32;

use super::{
    Error,
    rules::{Rules, TABLE},
};
use crate::nft;

/// The sidecar's table as the kernel tells it.
#[derive(Debug)]
pub struct Table(Vec<u8>);

impl Table {
    /// Reads it; that takes `CAP_NET_ADMIN` over this network namespace.
    ///
    /// # Errors
    /// [`Error::Watch`]; of kind [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) without the
    /// right.
    pub fn read() -> Result<Self, Error> {
        nft::dump(TABLE).map(Self).map_err(Error::Watch)
    }

    /// Is nothing of it there?
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.0.is_empty()
    }

    /// The chains that have not as many rules as a redirect with these options of
    /// [`Options`](super::Options) makes.
    #[must_use]
    pub fn incomplete(&self, names: bool, strict: bool) -> Vec<String> {
        // Neither number changes how many there are.
        let rules =
            Rules { mark: NonZeroU32::MIN, port: 1, names: names.then_some((1, 1)), strict };
        let found = nft::chains(&self.0);
        nft::chains(&rules.batch().rules())
            .into_iter()
            .filter(|(chain, wanted)| found.get(chain) != Some(wanted))
            .map(|(chain, wanted)| {
                let found = found.get(&chain).copied().unwrap_or_default();
                format!("chain {chain} has {found} of {wanted} rules")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: bool, strict: bool) -> Table {
        let names = names.then_some((5, 6));
        let rules = Rules { mark: NonZeroU32::MAX, port: 7, names, strict };
        Table(rules.batch().rules())
    }

    #[test]
    fn a_table_of_the_same_options_is_complete_and_of_others_not() {
        assert!(table(false, false).incomplete(false, false).is_empty());
        assert!(table(true, true).incomplete(true, true).is_empty());
        assert_eq!(table(false, false).incomplete(false, true), ["chain output has 5 of 15 rules"]);
    }

    #[test]
    fn without_a_table_every_chain_is_missing() {
        let none = Table(Vec::new());
        assert!(none.is_missing());
        assert_eq!(none.incomplete(false, false).len(), 3);
    }
}
