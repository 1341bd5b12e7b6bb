//! What pages are made of. Everything here is text in, markup out; values are escaped by `maud`.

pub(super) mod layout;
pub(super) mod part;
pub(super) mod table;
pub(super) mod text;
