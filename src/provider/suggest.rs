//! "Did you mean …?" for keys and provider names.

/// The candidate nearest to `word`, if one is near enough to be what was meant: at most a third of
/// the letters differ.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Number of characters to insert, delete, replace, or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut two_above: Vec<usize> = Vec::new();
    let mut before: Option<char> = None;
    for (i, from) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        let mut left_to: Option<char> = None;
        for (j, to) in b.iter().copied().enumerate() {
            let at =
                |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut least = at(&above, j) + usize::from(from != to);
            least = least.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            if before == Some(to) && left_to == Some(from) {
                least = least.min(at(&two_above, j.saturating_sub(1)) + 1);
            }
            row.push(least);
            left_to = Some(to);
        }
        before = Some(from);
        two_above = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_name_with_one_typing_error() {
        assert_eq!(closest("opnai", ["anthropic", "openai", "openrouter"]), Some("openai"));
        assert_eq!(closest("githbu", ["gitlab", "github"]), Some("github"));
    }

    #[test]
    fn says_nothing_when_nothing_is_near() {
        assert_eq!(closest("weather", ["openai", "github"]), None);
    }

    #[test]
    fn counts_insertions_deletions_replacements_and_swaps() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("shpo", "shop"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
