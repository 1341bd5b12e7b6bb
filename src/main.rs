//! The `authsome` program.

fn main() {}
