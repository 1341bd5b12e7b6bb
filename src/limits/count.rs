//! What has been used of one limit: by slots that slide, or in a fixed period.

use std::time::Duration;

/// Slots of a sliding period. The oldest, of which only a part still counts, is counted whole: so the
/// limit holds in every stretch of that length, and up to one slot's worth of it is given up for that.
const SLOTS: usize = 16;

/// Requests and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) requests: u64,
    pub(super) bytes: u64,
}

impl Usage {
    pub(super) fn add(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// What was used, and when it stops to count. Times are since 1970; a clock that is put back does not
/// give anything back.
#[derive(Clone, Debug)]
pub(super) enum Count {
    /// A ring of slots; `newest` is the number of the slot written last.
    Sliding { newest: u128, slots: Box<[Usage; SLOTS + 1]> },
    /// One period, by its number.
    Fixed { number: u64, used: Usage },
}

impl Count {
    pub(super) fn sliding() -> Self {
        Self::Sliding { newest: 0, slots: Box::new([Usage::default(); SLOTS + 1]) }
    }

    pub(super) fn fixed() -> Self {
        Self::Fixed { number: 0, used: Usage::default() }
    }

    /// Forgets what does not count any more.
    pub(super) fn advance(&mut self, now: Duration, period: Duration) {
        match self {
            Self::Sliding { newest, slots } => {
                let slot = slot_number(now, period);
                let passed = slot.saturating_sub(*newest).min(slots.len() as u128);
                for step in 1..=passed {
                    if let Some(slot) = slots.get_mut(place(*newest + step)) {
                        *slot = Usage::default();
                    }
                }
                // Slots beyond a whole round have been cleared by now.
                *newest = (*newest).max(slot);
            }
            Self::Fixed { number, used } => {
                let current = period_number(now, period);
                if current > *number {
                    (*number, *used) = (current, Usage::default());
                }
            }
        }
    }

    /// What counts, after [`Count::advance`].
    pub(super) fn used(&self) -> Usage {
        match self {
            Self::Sliding { slots, .. } => slots.iter().fold(Usage::default(), |mut sum, slot| {
                sum.add(*slot);
                sum
            }),
            Self::Fixed { used, .. } => *used,
        }
    }

    /// Counts more, after [`Count::advance`].
    pub(super) fn add(&mut self, more: Usage) {
        match self {
            Self::Sliding { newest, slots } => {
                if let Some(slot) = slots.get_mut(place(*newest)) {
                    slot.add(more);
                }
            }
            Self::Fixed { used, .. } => used.add(more),
        }
    }

    /// How long until something stops to count: then `fits` may be true of what is left. After
    /// [`Count::advance`].
    pub(super) fn wait(
        &self,
        now: Duration,
        period: Duration,
        fits: impl Fn(Usage) -> bool,
    ) -> Duration {
        match self {
            Self::Sliding { newest, slots } => {
                let mut left = self.used();
                let width = slot_width(period);
                for age in (0..slots.len() as u128).rev() {
                    let number = newest.saturating_sub(age);
                    let slot = slots.get(place(number)).copied().unwrap_or_default();
                    left.requests = left.requests.saturating_sub(slot.requests);
                    left.bytes = left.bytes.saturating_sub(slot.bytes);
                    if fits(left) {
                        // A slot is cleared when the ring comes round to it.
                        let cleared = (number + slots.len() as u128) * width;
                        return nanoseconds(cleared.saturating_sub(now.as_nanos()));
                    }
                }
                period
            }
            Self::Fixed { number, .. } => {
                let end = period
                    .saturating_mul(u32::try_from(number.saturating_add(1)).unwrap_or(u32::MAX));
                end.saturating_sub(now)
            }
        }
    }
}

/// The number of the fixed period that holds `now`.
pub(super) fn period_number(now: Duration, period: Duration) -> u64 {
    now.as_secs() / period.as_secs().max(1)
}

/// Nanoseconds of a slot.
fn slot_width(period: Duration) -> u128 {
    (period.as_nanos() / SLOTS as u128).max(1)
}

fn slot_number(now: Duration, period: Duration) -> u128 {
    now.as_nanos() / slot_width(period)
}

fn place(number: u128) -> usize {
    // A remainder of 17 is small.
    usize::try_from(number % (SLOTS as u128 + 1)).unwrap_or(0)
}

fn nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);
    const ONE: Usage = Usage { requests: 1, bytes: 0 };
    /// Long ago, and on no border.
    const BEGIN: Duration = Duration::from_millis(1_700_000_000_123);

    /// As many as fit in at `now`.
    fn fill(count: &mut Count, now: Duration, limit: u64) -> u64 {
        count.advance(now, MINUTE);
        let mut taken = 0;
        while count.used().requests < limit {
            count.add(ONE);
            taken += 1;
        }
        taken
    }

    #[test]
    fn no_stretch_of_a_period_holds_more_than_the_limit() {
        let mut count = Count::sliding();
        let mut taken = Vec::new();
        for step in 0..4000_u32 {
            let now = BEGIN + Duration::from_millis(97) * step;
            for _ in 0..fill(&mut count, now, 10) {
                taken.push(now);
            }
        }
        for window in taken.windows(11) {
            assert!(window[10] - window[0] >= MINUTE, "{:?}", window[10] - window[0]);
        }
        assert!(taken.len() > 55, "far fewer than the limit: {}", taken.len());
    }

    #[test]
    fn after_the_wait_there_is_room_and_a_moment_before_there_is_none() {
        let mut count = Count::sliding();
        fill(&mut count, BEGIN, 3);
        let wait = count.wait(BEGIN, MINUTE, |left| left.requests < 3);
        assert!(wait >= MINUTE && wait < MINUTE + MINUTE / 8, "{wait:?}");
        assert_eq!(fill(&mut count, BEGIN + wait - Duration::from_nanos(1), 3), 0);
        assert_eq!(fill(&mut count, BEGIN + wait, 3), 3);
    }

    #[test]
    fn a_clock_that_is_put_back_gives_nothing_back() {
        for (mut count, period) in [(Count::sliding(), MINUTE), (Count::fixed(), DAY)] {
            count.advance(BEGIN, period);
            count.add(ONE);
            count.advance(BEGIN - DAY * 2, period);
            assert_eq!(count.used(), ONE);
        }
    }

    #[test]
    fn a_budget_ends_at_midnight() {
        let midnight = DAY * 20_000;
        let mut count = Count::fixed();
        count.advance(midnight - Duration::from_secs(5), DAY);
        count.add(ONE);
        let wait = count.wait(midnight - Duration::from_secs(5), DAY, |_| true);
        assert_eq!(wait, Duration::from_secs(5));
        count.advance(midnight - Duration::from_millis(1), DAY);
        assert_eq!(count.used(), ONE);
        count.advance(midnight, DAY);
        assert_eq!(count.used(), Usage::default());
    }

    #[test]
    fn what_is_counted_does_not_overflow() {
        let mut count = Count::sliding();
        count.advance(BEGIN, MINUTE);
        count.add(Usage { requests: u64::MAX, bytes: u64::MAX });
        count.add(ONE);
        assert_eq!(count.used().requests, u64::MAX);
    }
}
