//! Placeholders: what an agent holds in place of a secret.
//!
//! One has the secret's length and passes the checks a client makes, is different for every
//! connection, and says `authsome` where its shape leaves room for that.

use sha2::{Digest, Sha256};

use super::{
    Field, Pattern,
    shape::{self, Random},
};

/// What a placeholder says wherever its shape allows it.
pub const MARKER: &str = "authsome";

/// Secrets shorter than this do not decide the placeholder's length: it could not be told apart.
const SHORT: usize = 20;
/// Length of the placeholder of such a secret.
const DEFAULT_LENGTH: usize = 32;
/// Longest placeholder.
const MAX_LENGTH: usize = 8 * 1024;
/// Random characters that the marker must leave.
const MIN_RANDOM: usize = 8;
const RANDOM: &str = "{random}";

/// The placeholder for a value of `secret_len` bytes of this field.
///
/// As long as the secret if that has at least 20 characters and the field's pattern allows it; matches
/// the pattern. The same seed gives the same placeholder; the seed is to be random and different for
/// each connection.
#[must_use]
pub fn placeholder(field: &Field, secret_len: usize, seed: &[u8; 32]) -> String {
    let mut stream = Stream::new(seed, &field.name);
    let wished = if secret_len < SHORT { DEFAULT_LENGTH } else { secret_len.min(MAX_LENGTH) };

    let shaped = field.placeholder.as_deref().and_then(split_shape);
    let regex = field.pattern.as_ref().and_then(Pattern::compile);
    let allowed = |text: &str| regex.as_ref().is_none_or(|regex| regex.is_match(text));

    if let Some((before, after)) = shaped {
        let text = filled(before, after, wished, &mut stream);
        if allowed(&text) {
            return text;
        }
    }
    let Some(pattern) = &field.pattern else { return filled("", "", wished, &mut stream) };
    let (low, high) = shape::lengths(pattern.as_str()).unwrap_or((wished, None));
    let nearest = wished.clamp(low, high.unwrap_or(usize::MAX).max(low)).min(MAX_LENGTH);
    let lengths = [wished, nearest, secret_len.min(MAX_LENGTH), low.min(MAX_LENGTH)];
    let text =
        lengths.iter().find_map(|length| shape::text(pattern.as_str(), *length, &mut stream));
    match text.filter(|text| allowed(text)) {
        Some(text) => marked(&text, allowed),
        None => filled("", "", wished, &mut stream),
    }
}

/// Random letters and digits between two literals, about `length` characters in all.
fn filled(before: &str, after: &str, length: usize, stream: &mut Stream) -> String {
    let room = length.saturating_sub(before.len() + after.len()).max(MARKER.len() + MIN_RANDOM);
    let random: String = std::iter::repeat_with(|| stream.alphanumeric()).take(room).collect();
    format!("{before}{}{after}", marked(&random, |_| true))
}

/// Checks a definition's `placeholder`; on failure says what is wrong with it.
pub(super) fn check_shape(shape: &str) -> Result<(), &'static str> {
    let visible = shape.bytes().all(|byte| byte.is_ascii_graphic());
    match split_shape(shape) {
        Some((before, after)) if visible && !before.contains('{') && !after.contains('{') => Ok(()),
        _ => Err("must be visible text around one `{random}`"),
    }
}

fn split_shape(shape: &str) -> Option<(&str, &str)> {
    shape.split_once(RANDOM)
}

/// The text with the marker at the first place where it is still `allowed` and leaves enough that is
/// random; unchanged if there is no such place.
fn marked(text: &str, allowed: impl Fn(&str) -> bool) -> String {
    if text.len() < MARKER.len() + MIN_RANDOM || !text.is_ascii() {
        return text.to_owned();
    }
    // A pattern's literal prefix ends long before this.
    let last = (text.len() - MARKER.len()).min(64);
    for at in 0..=last {
        let (Some(before), Some(after)) = (text.get(..at), text.get(at + MARKER.len()..)) else {
            continue;
        };
        let candidate = format!("{before}{MARKER}{after}");
        if allowed(&candidate) {
            return candidate;
        }
    }
    text.to_owned()
}

/// Random bytes from a seed: SHA-256 of seed, label and a counter.
struct Stream {
    seed: Sha256,
    counter: u64,
    block: Vec<u8>,
}

impl Stream {
    fn new(seed: &[u8; 32], label: &str) -> Self {
        let seed = Sha256::new().chain_update(seed).chain_update(label.as_bytes());
        Self { seed, counter: 0, block: Vec::new() }
    }

    fn byte(&mut self) -> u8 {
        if self.block.is_empty() {
            let block = self.seed.clone().chain_update(self.counter.to_be_bytes()).finalize();
            self.block = block.to_vec();
            self.counter += 1;
        }
        self.block.pop().unwrap_or_default()
    }

    fn alphanumeric(&mut self) -> char {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let index = self.below(ALPHABET.len());
        ALPHABET.get(index).copied().map_or('x', char::from)
    }
}

impl Random for Stream {
    fn below(&mut self, bound: usize) -> usize {
        // Two bytes for at most 94 choices: the bias is below 0.15 %.
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number.checked_rem(bound).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(pattern: Option<&str>, placeholder: Option<&str>) -> Field {
        let mut field = Field::new("api_key", "API key");
        field.pattern = pattern.map(|text| Pattern::parse(text).unwrap());
        field.placeholder = placeholder.map(str::to_owned);
        field
    }

    #[test]
    fn has_the_secrets_length_the_vendors_prefix_and_the_marker() {
        let field = field(Some("sk-ant-[A-Za-z0-9_-]{20,}"), Some("sk-ant-api03-{random}"));
        let text = placeholder(&field, 108, &[1; 32]);
        assert_eq!(text.len(), 108);
        assert!(text.starts_with("sk-ant-api03-authsome"), "{text}");
        assert!(text.contains(MARKER), "{text}");
    }

    #[test]
    fn differs_from_seed_to_seed_and_not_from_call_to_call() {
        let field = field(None, None);
        assert_eq!(placeholder(&field, 40, &[1; 32]), placeholder(&field, 40, &[1; 32]));
        assert_ne!(placeholder(&field, 40, &[1; 32]), placeholder(&field, 40, &[2; 32]));
    }

    #[test]
    fn a_narrow_shape_has_no_marker_and_still_matches() {
        let field = field(Some("[0-9a-f]{32}"), None);
        let text = placeholder(&field, 32, &[3; 32]);
        assert!(field.pattern.unwrap().matches(&text), "{text}");
        assert!(!text.contains(MARKER));
    }

    #[test]
    fn a_short_secret_gets_a_placeholder_that_can_be_told_apart() {
        let text = placeholder(&field(None, Some("pk_{random}")), 4, &[4; 32]);
        assert!(text.starts_with("pk_authsome"), "{text}");
        assert!(text.len() >= SHORT);
    }

    #[test]
    fn a_huge_secret_makes_no_huge_placeholder() {
        assert!(placeholder(&field(Some("a+"), None), usize::MAX, &[5; 32]).len() <= MAX_LENGTH);
    }

    #[test]
    fn a_shape_has_one_random_part() {
        assert!(check_shape("sk-{random}").is_ok());
        for shape in ["sk-", "{random}{random}", "a b{random}", "{rnd}"] {
            assert!(check_shape(shape).is_err(), "{shape}");
        }
    }
}
