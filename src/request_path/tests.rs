use super::*;

fn one(raw: &str) -> String {
    canonical(raw).unwrap().as_str().to_owned()
}

fn readings(raw: &str) -> Vec<String> {
    canonical(raw).unwrap().readings().to_vec()
}

#[test]
fn a_path_has_one_form() {
    for (raw, expected) in [
        ("", "/"),
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/%61%2D%2e%5f%7E", "/a-._~"),
        ("/a%2fb", "/a%2Fb"),
        ("/@scope%2fname", "/@scope%2Fname"),
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/../../b", "/b"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/a//b", "/a//b"),
        ("/a//../b", "/a/b"),
        ("/a;x=1/b", "/a;x=1/b"),
        ("/a b", "/a%20b"),
        ("/a\\..\\b", "/a%5C..%5Cb"),
        ("/é", "/%C3%A9"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a%3Ab:c", "/a%3Ab:c"),
        ("/...", "/..."),
        ("/a[1]{x}", "/a%5B1%5D%7Bx%7D"),
        ("/Case", "/Case"),
    ] {
        assert_eq!(one(raw), expected, "{raw}");
    }
}

#[test]
fn what_no_server_should_be_given_is_refused() {
    for (raw, error) in [
        ("a", PathError::NotAbsolute),
        ("*", PathError::NotAbsolute),
        ("/%", PathError::Escape),
        ("/%2", PathError::Escape),
        ("/%zz", PathError::Escape),
        ("/%u002e", PathError::Escape),
        ("/%+1", PathError::Escape),
        ("/a%00", PathError::Control),
        ("/a%0d%0ab", PathError::Control),
        ("/a\0", PathError::Control),
        ("/a\u{7f}", PathError::Control),
        ("/%c0%ae%c0%ae/x", PathError::Overlong),
        ("/%e0%80%ae", PathError::Overlong),
        ("/%f0%80%80%ae", PathError::Overlong),
        ("/a?b", PathError::NotPath),
        ("/a#b", PathError::NotPath),
        ("/a%2500", PathError::Control),
    ] {
        assert_eq!(canonical(raw).unwrap_err(), error, "{raw:?}");
    }
    assert_eq!(canonical(&format!("/{}", "a".repeat(LONGEST))).unwrap_err(), PathError::TooLong);
}

#[test]
fn plain_paths_have_one_reading_only() {
    for raw in ["/", "/a/b", "/a%20b", "/%C3%A9/x", "/v1/m:generate", "/a.b/c~d"] {
        assert!(readings(raw).is_empty(), "{raw}: {:?}", readings(raw));
    }
}

#[test]
fn what_lenient_servers_read_is_among_the_readings() {
    for (raw, expected) in [
        ("/pub/..%2fadmin", "/admin"),
        ("/pub/..%5Cadmin", "/admin"),
        ("/pub/%252e%252e/admin", "/admin"),
        ("/pub/..%252fadmin", "/admin"),
        ("/pub/..;/admin", "/admin"),
        ("/pub/..;x=1/admin", "/admin"),
        ("/pub/%2e%2e%3b/admin", "/admin"),
        ("//admin", "/admin"),
        ("/a//admin", "/a/admin"),
        ("/admin;x", "/admin"),
        ("/admin/", "/admin"),
        ("/x%2Fadmin", "/x/admin"),
        ("/v1/m%3Adelete", "/v1/m:delete"),
        ("/pub\\..\\admin", "/admin"),
    ] {
        assert!(readings(raw).iter().any(|reading| reading == expected), "{raw}: {expected}");
    }
}

#[test]
fn a_path_of_too_many_readings_is_refused() {
    let path = "/a;b//%252525252525252fc".repeat(40);
    let deep = format!("/%{}2e", "25".repeat(400));
    for raw in [path, deep] {
        assert_eq!(canonical(&raw).unwrap_err(), PathError::Ambiguous);
    }
}

/// Pieces that have fooled servers, put together at random.
#[test]
fn whatever_the_path_its_form_is_final_and_no_reading_climbs() {
    const PIECES: &[&str] = &[
        "/", "//", ".", "..", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "\\", ";", ";x=1", "%3b",
        "%25", "%252e", "%252f", "a", "B", "é", " ", "*", ":", "@", "%41", "%7e", "%c3%a9", "%20",
        "...",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut raw = "/".to_owned();
        for _ in 0..random(8) {
            raw.push_str(PIECES[random(PIECES.len())]);
        }
        let Ok(path) = canonical(&raw) else { continue };
        accepted += 1;
        let again = canonical(path.as_str()).unwrap();
        assert_eq!(again, path, "{raw}");
        for form in path.readings().iter().map(String::as_str).chain([path.as_str()]) {
            assert!(form.starts_with('/'), "{raw}: {form}");
            assert!(!form.split('/').any(|segment| matches!(segment, "." | "..")), "{raw}: {form}");
        }
    }
    assert!(accepted > 10_000, "{accepted}");
}
