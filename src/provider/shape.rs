//! Text that matches a regular expression: of a wished length, and random where the expression leaves
//! a choice.

use regex_syntax::hir::{Class, Hir, HirKind};

/// A source of random numbers below a bound.
pub(super) trait Random {
    /// A number from 0 to `bound` − 1; 0 if the bound is 0.
    fn below(&mut self, bound: usize) -> usize;
}

/// Text of exactly `length` characters that the expression allows, in visible ASCII. None if there is
/// none, as far as can be seen (alternatives are tried in order).
pub(super) fn text(expression: &str, length: usize, random: &mut impl Random) -> Option<String> {
    let hir = regex_syntax::parse(expression).ok()?;
    let mut out = String::with_capacity(length);
    write(&hir, length, random, &mut out)?;
    Some(out)
}

/// Fewest and most characters the expression allows; no upper bound is None.
pub(super) fn lengths(expression: &str) -> Option<(usize, Option<usize>)> {
    Some(range(&regex_syntax::parse(expression).ok()?))
}

fn range(hir: &Hir) -> (usize, Option<usize>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => (0, Some(0)),
        HirKind::Literal(literal) => (literal.0.len(), Some(literal.0.len())),
        HirKind::Class(_) => (1, Some(1)),
        HirKind::Capture(capture) => range(&capture.sub),
        HirKind::Repetition(repetition) => {
            let (least, most) = range(&repetition.sub);
            let low = least.saturating_mul(repetition.min as usize);
            let high = match (most, repetition.max) {
                (Some(most), Some(max)) => Some(most.saturating_mul(max as usize)),
                (Some(0), None) => Some(0),
                _ => None,
            };
            (low, high)
        }
        HirKind::Concat(parts) => parts.iter().map(range).fold((0, Some(0)), |sum, part| {
            let high = sum.1.zip(part.1).map(|(a, b)| a.saturating_add(b));
            (sum.0.saturating_add(part.0), high)
        }),
        HirKind::Alternation(parts) => {
            let ranges: Vec<_> = parts.iter().map(range).collect();
            let low = ranges.iter().map(|range| range.0).min().unwrap_or_default();
            let high =
                ranges.iter().map(|range| range.1).try_fold(0, |most, high| Some(most.max(high?)));
            (low, high)
        }
    }
}

fn allows(hir: &Hir, length: usize) -> bool {
    let (low, high) = range(hir);
    low <= length && high.is_none_or(|high| length <= high)
}

fn write(hir: &Hir, length: usize, random: &mut impl Random, out: &mut String) -> Option<()> {
    if !allows(hir, length) {
        return None;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(()),
        HirKind::Literal(literal) => {
            let literal = std::str::from_utf8(&literal.0).ok().filter(|text| text.is_ascii())?;
            out.push_str(literal);
            Some(())
        }
        HirKind::Class(class) => {
            let choices = choices(class);
            out.push(*choices.get(random.below(choices.len()))?);
            Some(())
        }
        HirKind::Capture(capture) => write(&capture.sub, length, random, out),
        HirKind::Repetition(repetition) => {
            let (least, most) = range(&repetition.sub);
            let mut left = length;
            let mut times = 0;
            while left > 0 || times < repetition.min {
                let later = (repetition.min as usize).saturating_sub(times as usize + 1);
                let reserved = later.saturating_mul(least);
                // As much as fits, but leave no rest that is too short for another round.
                let mut take = left.checked_sub(reserved)?.min(most.unwrap_or(usize::MAX));
                let rest = left - take;
                if rest > 0 && rest < least {
                    take = take.checked_sub(least - rest).filter(|take| *take >= least)?;
                }
                if take == 0 && times >= repetition.min {
                    return None;
                }
                write(&repetition.sub, take, random, out)?;
                left -= take;
                times += 1;
                if repetition.max.is_some_and(|max| times > max) {
                    return None;
                }
            }
            Some(())
        }
        HirKind::Concat(parts) => {
            let ranges: Vec<_> = parts.iter().map(range).collect();
            let least: usize = ranges.iter().map(|range| range.0).sum();
            let mut extra = length.checked_sub(least)?;
            for (part, (low, high)) in parts.iter().zip(ranges) {
                let more = high.map_or(extra, |high| (high - low).min(extra));
                write(part, low + more, random, out)?;
                extra -= more;
            }
            (extra == 0).then_some(())
        }
        HirKind::Alternation(parts) => {
            let before = out.len();
            parts.iter().find_map(|part| {
                out.truncate(before);
                write(part, length, random, out)
            })
        }
    }
}

/// What a class allows: letters and digits if it has any, else whatever is visible.
fn choices(class: &Class) -> Vec<char> {
    let within = |character: char| match class {
        Class::Unicode(class) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&character))
        }
        Class::Bytes(class) => u8::try_from(character).is_ok_and(|byte| {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&byte))
        }),
    };
    let plain: Vec<char> =
        ('0'..='z').filter(char::is_ascii_alphanumeric).filter(|c| within(*c)).collect();
    if plain.is_empty() { ('!'..='~').filter(|c| within(*c)).collect() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(usize);

    impl Random for Counter {
        fn below(&mut self, bound: usize) -> usize {
            self.0 += 7;
            self.0.checked_rem(bound).unwrap_or_default()
        }
    }

    #[test]
    fn writes_text_of_the_wished_length_that_matches() {
        for (expression, length) in [
            ("sk-[A-Za-z0-9_-]{20,}", 51),
            ("(ghp|gho)_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}", 40),
            ("[0-9a-f]{32}", 32),
            ("pk_[0-9]+_[A-Z0-9]+", 44),
            (r"\d{8,10}:[\w-]{35}", 45),
            ("(ab|cde)+", 8),
            ("a?b*c", 4),
            ("^x(yz){2,3}$", 7),
        ] {
            let text = text(expression, length, &mut Counter(0)).unwrap();
            assert_eq!(text.len(), length, "{expression}");
            let regex = regex::Regex::new(&format!("^(?:{expression})$")).unwrap();
            assert!(regex.is_match(&text), "{expression}: {text}");
        }
    }

    #[test]
    fn says_so_when_no_text_of_that_length_exists() {
        for (expression, length) in [("[0-9]{4}", 5), ("abc", 2), ("(ab){2,3}", 5), ("ä", 2)] {
            assert_eq!(text(expression, length, &mut Counter(0)), None, "{expression}");
        }
    }

    #[test]
    fn knows_the_lengths() {
        assert_eq!(lengths("sk-[a-z]{20,}"), Some((23, None)));
        assert_eq!(lengths("[0-9]{4}|[0-9]{8}"), Some((4, Some(8))));
    }
}
