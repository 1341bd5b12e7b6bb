//! Secrets are replaced in every encoding, at exact length, however the text is cut.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use super::*;

const SECRET: &str = "ghp_S3cr3t/With+Odd=Chars&<more>\"quoted\"\\0'9~";
const PLACEHOLDER: &str = "ghp_placeholder0000000000000000000000000000Zz";

fn scrubber(pairs: &[(&str, &str)]) -> Arc<Scrubber> {
    let pairs: Vec<_> =
        pairs.iter().map(|(s, p)| (SecretString::from(*s), (*p).to_owned())).collect();
    Arc::new(Scrubber::new(&pairs))
}

fn whole(scrubber: &Arc<Scrubber>, text: &[u8]) -> Vec<u8> {
    chunked(scrubber, [text])
}

fn chunked<'a>(scrubber: &Arc<Scrubber>, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut stream = scrubber.stream();
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(chunk)));
    }
    out.extend_from_slice(&stream.finish());
    out
}

/// xorshift64: the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn text(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| b"abcghpS_3/+=%\\u002Zz \n"[self.below(22)]).collect()
    }

    fn cut<'a>(&mut self, mut text: &'a [u8], longest: usize) -> Vec<&'a [u8]> {
        let mut chunks = Vec::new();
        while !text.is_empty() {
            let (chunk, rest) = text.split_at(1 + self.below(longest.min(text.len())));
            chunks.push(chunk);
            text = rest;
        }
        chunks
    }
}

/// `SECRET` as encoders that are not ours write it.
fn spellings(secret: &str) -> Vec<String> {
    let escape = |from: &[char], to: fn(char) -> String| -> String {
        secret.chars().map(|c| if from.contains(&c) { to(c) } else { c.into() }).collect()
    };
    let json = serde_json::to_string(secret).unwrap();
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap();
    let go =
        |text: &str| text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let percent = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC)
        .to_string();
    vec![
        secret.to_owned(),
        percent.replace("%5F", "_").replace("%7E", "~").replace("%2D", "-"),
        percent,
        escape(&['/', '+', '=', '&', '<', '>', '"', '\\', '\''], |c| {
            format!("%{:02x}", u32::from(c))
        }),
        json.to_owned(),
        json.replace('/', "\\/"),
        go(json),
        secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
        hex::encode(secret),
        hex::encode_upper(secret),
    ]
}

#[test]
fn the_plain_secret_becomes_the_placeholder() {
    assert_eq!(SECRET.len(), PLACEHOLDER.len());
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    let text = format!("a {SECRET} b{SECRET}{SECRET}");
    let wanted = format!("a {PLACEHOLDER} b{PLACEHOLDER}{PLACEHOLDER}");
    assert_eq!(whole(&scrubber, text.as_bytes()), wanted.as_bytes());
}

#[test]
fn every_spelling_is_replaced_at_its_length() {
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    for spelling in spellings(SECRET) {
        let text = format!("<{spelling}>");
        let out = String::from_utf8(whole(&scrubber, text.as_bytes())).unwrap();
        assert_eq!(out.len(), text.len());
        let inner = out.trim_start_matches('<').trim_end_matches('>');
        let plain = inner.trim_end_matches('*').replace("%5F", "_");
        let hexed = hex::encode(PLACEHOLDER);
        assert!(
            PLACEHOLDER == plain || hexed.eq_ignore_ascii_case(inner),
            "{spelling} became {inner}"
        );
    }
}

#[test]
fn base64_decodes_to_the_placeholder_at_every_alignment() {
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    for before in ["", "u", "u:", "u:x", "user name:"] {
        for after in ["", "\n", "zz", "zzz", "\u{7f}~~~~"] {
            let text = format!("{before}{SECRET}{after}");
            let wanted = format!("{before}{PLACEHOLDER}{after}");
            let standard = whole(&scrubber, STANDARD.encode(&text).as_bytes());
            assert_eq!(standard, STANDARD.encode(&wanted).as_bytes(), "{before:?} {after:?}");
            let url_safe = whole(&scrubber, URL_SAFE_NO_PAD.encode(&text).as_bytes());
            assert_eq!(url_safe, URL_SAFE_NO_PAD.encode(&wanted).as_bytes());
        }
    }
}

#[test]
fn base64_in_a_parameter_is_replaced() {
    let secret = "ghp_\u{3ff}\u{3ff}\u{3ff}\u{3ff}>>>???";
    let scrubber = scrubber(&[(secret, "ghp_00000000000000")]);
    let encoded = STANDARD.encode(secret);
    assert!(encoded.contains('/') && encoded.contains('+'));
    for text in [
        encoded.replace('/', "%2F").replace('+', "%2B"),
        encoded.replace('/', "%2f").replace('+', "%2b"),
        encoded.replace('/', "\\/"),
    ] {
        let out = String::from_utf8(whole(&scrubber, text.as_bytes())).unwrap();
        assert_eq!(out.len(), text.len());
        assert_eq!(out.trim_end_matches('*'), STANDARD.encode("ghp_00000000000000"));
    }
}

#[test]
fn replacements_of_another_length_are_cut_or_padded() {
    let cases = [
        ("12345678", "longer than the secret", "longer*t"),
        ("12345678", "abc", "abc*****"),
        ("12345678", "", "********"),
        ("12345678", "é\n\"'x", "***\"'x**"),
    ];
    for (secret, placeholder, wanted) in cases {
        let scrubber = scrubber(&[(secret, placeholder)]);
        assert_eq!(whole(&scrubber, secret.as_bytes()), wanted.as_bytes());
        let encoded = whole(&scrubber, STANDARD.encode(secret).as_bytes());
        assert_eq!(STANDARD.decode(encoded).unwrap(), wanted.as_bytes());
    }
}

#[test]
fn an_escape_is_not_cut_in_two() {
    let scrubber = scrubber(&[("abcdefg/", "1234567/")]);
    assert_eq!(whole(&scrubber, b"abcdefg%2F"), b"1234567%2F");
    let scrubber = self::scrubber(&[("abcdefg/", "123456//")]);
    assert_eq!(whole(&scrubber, b"abcdefg%2F"), b"123456%2F*");
}

#[test]
fn short_secrets_are_not_looked_for() {
    let scrubber = scrubber(&[("1234567", "x"), ("", "x")]);
    assert!(scrubber.is_empty());
    assert_eq!(whole(&scrubber, b"1234567"), b"1234567");
}

#[test]
fn the_longest_of_secrets_that_begin_alike_is_replaced() {
    let scrubber = scrubber(&[("abcdefgh", "11111111"), ("abcdefghijkl", "222222222222")]);
    let text = b"abcdefghijkl abcdefghijk abcdefghij";
    let wanted = b"222222222222 11111111ijk 11111111ij";
    assert_eq!(whole(&scrubber, text), wanted);
    for at in 0..text.len() {
        assert_eq!(chunked(&scrubber, [&text[..at], &text[at..]]), wanted, "{at}");
    }
}

#[test]
fn a_secret_inside_an_unfinished_longer_one_is_replaced() {
    let scrubber = scrubber(&[("cdefghij", "11111111"), ("abcdefghijkl", "222222222222")]);
    for (text, wanted) in
        [(&b"abcdefghijkX"[..], &b"ab11111111kX"[..]), (b"abcdefghij", b"ab11111111")]
    {
        assert_eq!(chunked(&scrubber, text.chunks(1)), wanted);
    }
}

#[test]
fn secrets_that_repeat_themselves_are_replaced() {
    let scrubber = scrubber(&[("aaaaaaaa", "bbbbbbbb")]);
    for len in 0..40 {
        let text = vec![b'a'; len];
        let out = chunked(&scrubber, text.chunks(3));
        assert_eq!(out.iter().filter(|&&b| b == b'b').count(), len / 8 * 8);
        assert_eq!(out.len(), len);
    }
}

#[test]
fn any_chunking_gives_the_same_output_and_no_secret() {
    let other = "sk-ant-0123456789abcdef";
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER), (other, "sk-ant-PLACEHOLDER00000")]);
    let mut forms = spellings(SECRET);
    forms.extend(spellings(other));
    for text in [SECRET, other] {
        forms.extend(["", "a", "ab"].map(|before| STANDARD.encode(format!("{before}{text}"))));
        forms.extend(
            ["", "a", "ab"].map(|before| URL_SAFE_NO_PAD.encode(format!("{before}{text}"))),
        );
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..300 {
        let mut text = Vec::new();
        for _ in 0..random.below(6) {
            let len = random.below(40);
            text.extend(random.text(len));
            let form = &forms[random.below(forms.len())];
            // Sometimes only a part: a beginning that leads nowhere.
            let len = if random.below(3) == 0 { random.below(form.len()) } else { form.len() };
            text.extend_from_slice(&form.as_bytes()[..len]);
        }
        let wanted = whole(&scrubber, &text);
        assert_eq!(wanted.len(), text.len());
        for longest in [1, 2, 7, 50, 1000] {
            let chunks = random.cut(&text, longest);
            assert_eq!(chunked(&scrubber, chunks), wanted);
        }
        for form in &forms {
            // The last characters of a padded base64 text mix with what follows.
            let needle = form.trim_end_matches('=');
            let found = memchr::memmem::find(&wanted, needle.as_bytes());
            assert_eq!(found, None, "{form}");
        }
    }
}

#[test]
fn released_bytes_stay_part_of_a_match() {
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    let mut stream = scrubber.stream();
    let secret = SECRET.as_bytes();
    let mut out = stream.push(Bytes::copy_from_slice(&secret[..3])).to_vec();
    out.extend_from_slice(&stream.release(4));
    assert_eq!(out, &secret[..3]);
    assert_eq!(stream.pending(), 0);
    out.extend_from_slice(&stream.push(Bytes::copy_from_slice(&secret[3..4])));
    out.extend_from_slice(&stream.release(4));
    assert_eq!(out, &secret[..4]);
    for byte in &secret[4..] {
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(&[*byte])));
        assert!(!stream.is_releasable(4) || out.len() == secret.len());
        out.extend_from_slice(&stream.release(4));
    }
    out.extend_from_slice(&stream.finish());
    let wanted = [&secret[..4], &PLACEHOLDER.as_bytes()[4..]].concat();
    assert_eq!(out, wanted);
}

#[test]
fn released_bytes_are_not_given_out_again() {
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    for (text, rest) in [("ghp", "_no secret"), ("ghp", ""), ("g", "ghp_"), ("gh", "ghp_S3")] {
        let mut stream = scrubber.stream();
        let mut out = stream.push(Bytes::from_static(text.as_bytes())).to_vec();
        out.extend_from_slice(&stream.release(4));
        out.extend_from_slice(&stream.push(Bytes::from_static(rest.as_bytes())));
        out.extend_from_slice(&stream.release(4));
        out.extend_from_slice(&stream.finish());
        assert_eq!(out, format!("{text}{rest}").as_bytes());
        assert!(stream.finish().is_empty());
    }
}

#[test]
fn releases_at_any_point_show_no_more_than_the_first_bytes() {
    const MAX: usize = 4;
    let other = "sk-ant-0123456789abcdef";
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER), (other, "sk-ant-PLACEHOLDER00000")]);
    let mut forms = spellings(SECRET);
    forms.extend(spellings(other));
    forms.extend(["", "a", "ab"].map(|before| STANDARD.encode(format!("{before}{SECRET}"))));
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..300 {
        let mut text = Vec::new();
        for _ in 0..=random.below(5) {
            let len = random.below(20);
            text.extend(random.text(len));
            let form = &forms[random.below(forms.len())];
            let len = if random.below(3) == 0 { random.below(form.len()) } else { form.len() };
            text.extend_from_slice(&form.as_bytes()[..len]);
        }
        let wanted = whole(&scrubber, &text);
        for longest in [1, 2, 5, 30] {
            let mut stream = scrubber.stream();
            let mut out = Vec::new();
            let mut shown = vec![false; text.len()];
            let mut pushed = 0;
            for chunk in random.cut(&text, longest) {
                out.extend_from_slice(&stream.push(Bytes::copy_from_slice(chunk)));
                pushed += chunk.len();
                assert_eq!(out.len() + stream.pending(), pushed);
                if random.below(2) == 0 {
                    let start = out.len();
                    out.extend_from_slice(&stream.release(MAX));
                    shown[start..out.len()].fill(true);
                }
            }
            out.extend_from_slice(&stream.finish());
            assert_eq!(out.len(), text.len());
            for at in 0..out.len() {
                assert!(out[at] == wanted[at] || shown[at], "{at} of {out:?}");
            }
            for form in &forms {
                let rest = &form.trim_end_matches('=').as_bytes()[MAX..];
                assert_eq!(memchr::memmem::find(&out, rest), None, "{form}");
            }
        }
    }
}

#[test]
fn text_without_a_secret_is_not_copied() {
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    let mut stream = scrubber.stream();
    for text in ["data: {\"a\": 1}\n\n", "event: ping\n\n"] {
        let chunk = Bytes::from_static(text.as_bytes());
        let out = stream.push(chunk.clone());
        assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()));
    }
    assert!(stream.finish().is_empty());
}

#[test]
fn only_what_may_be_a_secret_is_held_back() {
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    let mut stream = scrubber.stream();
    assert_eq!(stream.push(Bytes::from_static(b"a ghp_")), "a ");
    assert_eq!(stream.push(Bytes::from_static(b"S3cr")), "");
    assert_eq!(stream.push(Bytes::from_static(b"X\n")), "ghp_S3crX\n");
    assert_eq!(stream.push(Bytes::from_static(b"ghp_S3")), "");
    assert_eq!(stream.finish(), "ghp_S3");
}

#[test]
fn a_header_is_changed_only_if_it_holds_a_secret() {
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    assert_eq!(scrubber.header(&HeaderValue::from_static("text/html")), None);
    let mut value = HeaderValue::from_str(&format!("Bearer {SECRET}; x")).unwrap();
    value.set_sensitive(true);
    let scrubbed = scrubber.header(&value).unwrap();
    assert_eq!(scrubbed, format!("Bearer {PLACEHOLDER}; x").as_str());
    assert!(scrubbed.is_sensitive());
    let end = HeaderValue::from_bytes(&SECRET.as_bytes()[..20]).unwrap();
    assert_eq!(scrubber.header(&end), None);
}

#[test]
fn debug_shows_no_pattern() {
    let scrubber = scrubber(&[(SECRET, PLACEHOLDER)]);
    let mut stream = scrubber.stream();
    stream.push(Bytes::from_static(&SECRET.as_bytes()[..20]));
    let shown = format!("{scrubber:?} {stream:?}");
    assert!(!shown.contains("ghp") && !shown.contains("103, 104"), "{shown}");
}
