//! Reading the log: its last lines, its next lines, and whether its chain holds. Takes no lock, so it
//! works while the daemon writes, and while there is none.

mod follow;
mod lines;
mod report;
mod tail;
mod verify;

pub use self::{
    follow::{Follow, follow},
    report::{Fault, KeyFrom, Problem, Report, Signed},
    tail::{matching, tail},
    verify::{Trust, verify, verify_with},
};
pub use super::chain::Head;
