//! Reading what pfctl(8) prints.

/// The token of `pfctl -E`: `Token : 18446744072635809792`, on either stream, among noise.
pub(crate) fn token(text: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.trim().strip_prefix("Token")?.trim_start().strip_prefix(':')?.trim().parse().ok()
    })
}

/// Is the token in `pfctl -s References`? There a line reads `4711  pfctl  1844674407263580979  0 days 00:00:07`.
pub(crate) fn has_token(text: &str, token: u64) -> bool {
    text.lines()
        .any(|line| line.split_ascii_whitespace().skip(1).any(|word| word.parse() == Ok(token)))
}

/// Does `pfctl -v -s Interfaces` call `lo0` skipped? None if it does not know it.
pub(crate) fn loopback_is_skipped(text: &str) -> Option<bool> {
    text.lines().find_map(|line| match line.strip_prefix("lo0")?.trim() {
        "" => Some(false),
        "(skip)" => Some(true),
        _ => None,
    })
}

/// Would the main rule set, printed by `pfctl -s nat` and `pfctl -s rules`, evaluate our anchor?
pub(crate) fn has_anchor_points(translations: &str, filters: &str) -> bool {
    let has = |text: &str, keyword: &str| {
        text.lines().any(|line| {
            let mut words = line.split_ascii_whitespace();
            words.next() == Some(keyword) && words.next() == Some("\"com.apple/*\"")
        })
    };
    has(translations, "rdr-anchor") && has(filters, "anchor")
}

/// Does the main rule set block anything by itself?
pub(crate) fn blocks(filters: &str) -> bool {
    filters.lines().any(|line| line.split_ascii_whitespace().next() == Some("block"))
}

/// Does `pfctl -s info` say that the filter is enabled?
pub(crate) fn is_enabled(text: &str) -> bool {
    text.lines().any(|line| {
        line.trim()
            .strip_prefix("Status:")
            .is_some_and(|status| status.trim().starts_with("Enabled"))
    })
}

/// How many rules are printed, noise left out.
pub(crate) fn translations(text: &str) -> usize {
    starting_with(text, &["no", "rdr", "nat"])
}

/// The same for filter rules.
pub(crate) fn filters(text: &str) -> usize {
    starting_with(text, &["pass", "block"])
}

fn starting_with(text: &str, keywords: &[&str]) -> usize {
    text.lines()
        .filter_map(|line| line.split_ascii_whitespace().next())
        .filter(|word| keywords.contains(word))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: &str = "No ALTQ support in kernel\nALTQ related functions disabled\n";

    #[test]
    fn a_token_is_found_among_noise() {
        let text = format!("{NOISE}pf enabled\nToken : 18446744072635809792\n");
        assert_eq!(token(&text), Some(18_446_744_072_635_809_792));
        assert_eq!(token("Token: 7"), Some(7));
        assert_eq!(token(NOISE), None);
        assert_eq!(token("Token : none\nTokens : 9"), None);
    }

    #[test]
    fn a_token_is_known_by_its_column() {
        let text = "TOKENS:\nPID      Process Name                 TOKEN                    TIMESTAMP\n\
                    4711     com.apple.WebKit.Net         18446744072635809792     0 days 00:00:05\n";
        assert!(has_token(text, 18_446_744_072_635_809_792));
        assert!(!has_token(text, 4711));
        assert!(!has_token(NOISE, 1));
    }

    #[test]
    fn a_skipped_loopback_is_told_from_one_that_is_not_and_from_none() {
        let listed = |lo0: &str| format!("ALL\n\tCleared: x\nen0\n{lo0}\n\tReferences: 1\nlo01\n");
        assert_eq!(loopback_is_skipped(&listed("lo0 (skip)")), Some(true));
        assert_eq!(loopback_is_skipped(&listed("lo0")), Some(false));
        assert_eq!(loopback_is_skipped("en0\nlo01\n"), None);
        assert_eq!(loopback_is_skipped(""), None);
    }

    #[test]
    fn both_anchor_points_are_needed() {
        let nat = "nat-anchor \"com.apple/*\" all\nrdr-anchor \"com.apple/*\" all\n";
        let rules =
            "scrub-anchor \"com.apple/*\" all fragment reassemble\nanchor \"com.apple/*\" all\n";
        assert!(has_anchor_points(nat, rules));
        assert!(!has_anchor_points("nat-anchor \"com.apple/*\" all", rules));
        assert!(!has_anchor_points(nat, "scrub-anchor \"com.apple/*\" all"));
        assert!(!has_anchor_points(nat, "anchor \"com.apple/sub/*\" all"));
    }

    #[test]
    fn a_main_rule_set_that_blocks_is_noticed() {
        assert!(blocks("anchor \"x\" all\nblock drop out all\n"));
        assert!(!blocks("pass all\nanchor \"block\" all\n"));
    }

    #[test]
    fn rules_are_counted_without_noise() {
        let text = format!("{NOISE}no rdr on lo0 inet\nrdr on lo0 inet\n");
        assert_eq!((translations(&text), filters(&text)), (2, 0));
        assert_eq!(filters("pass in\nblock return\n\nanchor"), 2);
    }

    #[test]
    fn only_an_enabled_filter_is_enabled() {
        assert!(is_enabled("Status: Enabled for 0 days 00:01:02           Debug: Urgent\n"));
        assert!(!is_enabled("Status: Disabled                              Debug: Urgent\n"));
        assert!(!is_enabled(NOISE));
    }
}
