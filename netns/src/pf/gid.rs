//! The group of a run.

/// Numbers that no directory service gives out: groups of people begin at 20 and 500, those of domains
/// are made from hashes below 2³¹ that begin elsewhere.
const BASE: u32 = 0x6100_0000;
/// Pids on macOS stay below (`PID_MAX`).
const PIDS: u32 = 100_000;

/// The group for the helper with this pid. No two helpers have the same at once, and no record of it is
/// needed: pf(4) and setgid(2) take any number.
pub(crate) fn of_helper(pid: u32) -> u32 {
    BASE + pid % PIDS
}

/// May it be a run's?
#[must_use]
pub fn is_of_a_run(gid: u32) -> bool {
    (BASE..BASE + PIDS).contains(&gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_helpers_are_told_from_others() {
        assert!(is_of_a_run(of_helper(1)) && is_of_a_run(of_helper(99_999)));
        assert_ne!(of_helper(4711), of_helper(4712));
        for other in [0, 20, 501, u32::MAX, BASE - 1, BASE + PIDS] {
            assert!(!is_of_a_run(other), "{other}");
        }
    }
}
