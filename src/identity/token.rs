//! The principal chain token: which agent acts for which user, in which run, until when.
//!
//! A compact JWS (RFC 7515 §3.1) with a JWT's claims. What is accepted is what is minted here and
//! nothing beside: one algorithm, no extension, no padding, a few hundred bytes (RFC 8725). Nothing of a
//! token is believed before its signature has been verified.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{AgentKey, AgentName, Error, Result, VerifyingKey};

/// For whom tokens are (`aud`).
pub const AUDIENCE: &str = "authsome";
/// How long a token is good for, unless another time is asked for.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How long one can be asked for.
pub const MAX_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Longest token that is looked at, in bytes.
pub const TOKEN_MAX: usize = 2048;

/// Clocks of two processes, or of one that was set, may differ by so much.
const SKEW: u64 = 30;

/// What a token says, without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The user that is acted for (`sub`).
    pub user: String,
    /// The agent that acts (`act.sub`).
    pub agent: AgentName,
    /// The run it acts in, or what else makes the token the only one of its name (`jti`).
    pub id: String,
}

/// A token's content, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who acts for whom.
    pub chain: Chain,
    /// The agent's `did:key` (`iss`).
    pub issuer: String,
    /// Since when it is good (`iat`).
    pub issued_at: SystemTime,
    /// Until when, exclusive (`exp`).
    pub expires_at: SystemTime,
}

/// A JOSE header. A member that is not here, `crit` above all, means something we would not heed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// The claims. Others are ignored, as RFC 7519 §4 has it.
#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    iss: &'a str,
    /// A user's name may hold what JSON escapes: `CORP\ada`.
    #[serde(borrow)]
    sub: Cow<'a, str>,
    act: Actor<'a>,
    aud: &'a str,
    #[serde(borrow)]
    jti: Cow<'a, str>,
    iat: u64,
    exp: u64,
}

/// The party that acts (RFC 8693 §4.1). Nobody acts for the agent in turn.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Actor<'a> {
    sub: &'a str,
}

/// A token for `chain` that is good from `now` for `lifetime`, signed by the agent's key.
///
/// # Errors
/// [`Error::Lifetime`]; [`Error::Malformed`] for a chain too long for a token.
pub fn mint(key: &AgentKey, chain: &Chain, now: SystemTime, lifetime: Duration) -> Result<String> {
    if lifetime < Duration::from_secs(1) || lifetime > MAX_LIFETIME {
        return Err(Error::Lifetime { lifetime });
    }
    let issued = seconds(now);
    let header = Header { alg: "EdDSA", typ: "JWT", kid: &key.public().id() };
    let payload = Payload {
        iss: key.public().did(),
        sub: chain.user.as_str().into(),
        act: Actor { sub: &chain.agent.address() },
        aud: AUDIENCE,
        jti: chain.id.as_str().into(),
        iat: issued,
        exp: issued.saturating_add(lifetime.as_secs()),
    };
    let token = compact(key, &json(&header)?, &json(&payload)?);
    if token.len() > TOKEN_MAX { Err(Error::Malformed("it is too long")) } else { Ok(token) }
}

/// What a token says, if `key` has signed it and it is good at `now`.
///
/// # Errors
/// What is wrong with it: see [`Error`].
pub fn verify(token: &str, key: &VerifyingKey, now: SystemTime) -> Result<Claims> {
    let parts = Parts::split(token)?;
    let header = decode(parts.header)?;
    let header: Header<'_> = parse(&header)?;
    if header.alg != "EdDSA" {
        return Err(Error::Algorithm);
    }
    if header.typ != "JWT" {
        return Err(Error::Malformed("it is no JWT"));
    }
    if header.kid != key.id() {
        return Err(Error::Key);
    }
    let signature = decode(parts.signature)?;
    let signature: &[u8; 64] =
        signature.as_slice().try_into().map_err(|_| Error::Malformed("its signature's length"))?;
    if !key.verifies(parts.signed.as_bytes(), signature) {
        return Err(Error::Signature);
    }
    let payload = decode(parts.payload)?;
    let payload: Payload<'_> = parse(&payload)?;
    check(&payload, key, seconds(now))
}

fn check(payload: &Payload<'_>, key: &VerifyingKey, now: u64) -> Result<Claims> {
    if payload.iss != key.did() {
        return Err(Error::Claim("iss"));
    }
    if payload.aud != AUDIENCE {
        return Err(Error::Claim("aud"));
    }
    for (name, text) in [("sub", &payload.sub), ("jti", &payload.jti)] {
        if text.is_empty() {
            return Err(Error::Claim(name));
        }
    }
    let agent = AgentName::from_address(payload.act.sub).map_err(|_| Error::Claim("act"))?;
    let life = payload.exp.checked_sub(payload.iat).ok_or(Error::Claim("exp"))?;
    if life == 0 || life > MAX_LIFETIME.as_secs() {
        return Err(Error::Claim("exp"));
    }
    if payload.iat > now.saturating_add(SKEW) {
        return Err(Error::NotYet);
    }
    if now >= payload.exp.saturating_add(SKEW) {
        return Err(Error::Expired);
    }
    let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    Ok(Claims {
        chain: Chain { user: payload.sub.to_string(), agent, id: payload.jti.to_string() },
        issuer: payload.iss.to_owned(),
        issued_at: time(payload.iat).ok_or(Error::Claim("iat"))?,
        expires_at: time(payload.exp).ok_or(Error::Claim("exp"))?,
    })
}

/// Which agent a token claims to be of, to find the key to verify it with. Nothing else may be done
/// with the answer: anybody can write anything into a token.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Claim`].
pub fn named_agent(token: &str) -> Result<AgentName> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        act: Actor<'a>,
    }
    let payload = decode(Parts::split(token)?.payload)?;
    let named: Named<'_> = parse(&payload)?;
    AgentName::from_address(named.act.sub).map_err(|_| Error::Claim("act"))
}

/// A compact serialisation, taken apart.
struct Parts<'a> {
    /// What the signature is over: header and payload with the dot between them.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self> {
        if token.len() > TOKEN_MAX {
            return Err(Error::Malformed("it is too long"));
        }
        let (signed, signature) =
            token.rsplit_once('.').ok_or(Error::Malformed("it has no dots"))?;
        let (header, payload) =
            signed.split_once('.').ok_or(Error::Malformed("it has too few parts"))?;
        // A third dot is in the payload then, and no base64.
        Ok(Self { signed, header, payload, signature })
    }
}

/// Strict base64url: no padding, no bits left over, so one token has one form.
fn decode(part: &str) -> Result<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::Malformed("it is not base64url"))
}

fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|_| Error::Malformed("its members are not a token's"))
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|_| Error::Malformed("it cannot be written"))
}

/// The signed serialisation of these bytes.
fn compact(key: &AgentKey, header: &[u8], payload: &[u8]) -> String {
    let mut token =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// Whole seconds since 1970; a clock before that shows 0.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The key of RFC 8037 A.1.
    fn key() -> AgentKey {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        AgentKey::from_seed(&seed.try_into().unwrap())
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const NOW: u64 = 1_800_000_000;

    fn chain() -> Chain {
        let agent = "claude".parse().unwrap();
        Chain { user: "ada".to_owned(), agent, id: "0123456789abcdef".to_owned() }
    }

    fn token() -> String {
        mint(&key(), &chain(), at(NOW), LIFETIME).unwrap()
    }

    fn header() -> Value {
        json!({ "alg": "EdDSA", "typ": "JWT", "kid": key().public().id() })
    }

    fn payload() -> Value {
        json!({
            "iss": key().public().did(), "sub": "ada", "act": { "sub": "agent://local/claude" },
            "aud": "authsome", "jti": "r", "iat": NOW, "exp": NOW + 900,
        })
    }

    /// What is said of a token with one member of its payload, or its header, replaced.
    fn with(part: &str, member: &str, value: Value) -> Result<Claims> {
        let (mut header, mut payload) = (header(), payload());
        let changed = if part == "header" { &mut header } else { &mut payload };
        changed[member] = value;
        let bytes = |value: &Value| serde_json::to_vec(value).unwrap();
        let token = compact(&key(), &bytes(&header), &bytes(&payload));
        verify(&token, key().public(), at(NOW))
    }

    #[test]
    fn a_signature_is_that_of_rfc_8037_a_4() {
        let token = compact(&key(), br#"{"alg":"EdDSA"}"#, b"Example of Ed25519 signing");
        assert_eq!(
            token,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09P\
             GcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn a_token_says_who_acts_for_whom_until_when() {
        let claims = verify(&token(), key().public(), at(NOW)).unwrap();
        assert_eq!(claims.chain, chain());
        assert_eq!(claims.issuer, key().public().did());
        assert_eq!((claims.issued_at, claims.expires_at), (at(NOW), at(NOW + 900)));
    }

    #[test]
    fn a_user_of_a_domain_is_named_as_they_are() {
        let chain = Chain { user: "CORP\\\"ada\"".to_owned(), ..chain() };
        let token = mint(&key(), &chain, at(NOW), LIFETIME).unwrap();
        assert_eq!(verify(&token, key().public(), at(NOW)).unwrap().chain, chain);
    }

    #[test]
    fn a_token_has_the_members_that_its_readers_expect() {
        let token = token();
        let parts: Vec<Value> = token
            .split('.')
            .take(2)
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(parts[0], header());
        let mut expected = payload();
        expected["jti"] = json!("0123456789abcdef");
        assert_eq!(parts[1], expected);
    }

    #[test]
    fn what_the_tests_change_is_good_unchanged() {
        with("payload", "sub", json!("ada")).unwrap();
        with("payload", "unknown", json!(1)).unwrap();
    }

    #[test]
    fn another_algorithm_or_none_is_refused() {
        for algorithm in ["none", "None", "HS256", "ES256", "eddsa", "Ed25519", ""] {
            let refused = with("header", "alg", json!(algorithm));
            assert!(matches!(refused, Err(Error::Algorithm)), "{algorithm}: {refused:?}");
        }
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let bytes = |value: &Value| URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap());
        let mut none = header();
        none["alg"] = json!("none");
        for header in [none, header()] {
            let token = format!("{}.{}.", bytes(&header), bytes(&payload()));
            assert!(verify(&token, key().public(), at(NOW)).is_err());
        }
    }

    #[test]
    fn a_header_with_anything_more_or_less_is_refused() {
        assert!(with("header", "crit", json!(["exp"])).is_err());
        assert!(with("header", "jwk", json!({})).is_err());
        assert!(with("header", "typ", json!("at+jwt")).is_err());
        assert!(with("header", "typ", Value::Null).is_err());
        assert!(matches!(with("header", "kid", json!("did:key:zOther")), Err(Error::Key)));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let token = token();
        for at_ in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at_] = if changed[at_] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(verify(&changed, key().public(), at(NOW)).is_err(), "character {at_}");
        }
    }

    #[test]
    fn a_token_of_another_key_is_refused_whatever_it_calls_itself() {
        let other = AgentKey::generate().unwrap();
        assert!(matches!(verify(&token(), other.public(), at(NOW)), Err(Error::Key)));
        let bytes = |value: &Value| serde_json::to_vec(value).unwrap();
        let forged = compact(&other, &bytes(&header()), &bytes(&payload()));
        assert!(matches!(verify(&forged, key().public(), at(NOW)), Err(Error::Signature)));
    }

    #[test]
    fn a_token_is_good_for_its_time_and_half_a_minute_more() {
        let at_ = |seconds| verify(&token(), key().public(), at(seconds));
        at_(NOW - SKEW).unwrap();
        at_(NOW + 900 + SKEW - 1).unwrap();
        assert!(matches!(at_(NOW - SKEW - 1), Err(Error::NotYet)));
        assert!(matches!(at_(NOW + 900 + SKEW), Err(Error::Expired)));
        assert!(matches!(at_(u64::from(u32::MAX) * 2), Err(Error::Expired)));
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        for exp in [json!(NOW), json!(NOW - 1), json!(NOW + 3601), json!(u64::MAX)] {
            assert!(matches!(with("payload", "exp", exp), Err(Error::Claim("exp"))));
        }
        for wrong in [json!(-1), json!(1.5), json!("1"), Value::Null] {
            assert!(with("payload", "iat", wrong).is_err());
        }
    }

    #[test]
    fn a_claim_that_says_something_else_is_named() {
        for (member, value) in [
            ("iss", json!("did:key:zOther")),
            ("aud", json!("elsewhere")),
            ("sub", json!("")),
            ("jti", json!("")),
            ("act", json!({ "sub": "agent://remote/x" })),
        ] {
            match with("payload", member, value) {
                Err(Error::Claim(named)) => assert_eq!(named, member),
                other => panic!("{member}: {other:?}"),
            }
        }
        let nested = json!({ "sub": "agent://local/a", "act": { "sub": "agent://local/b" } });
        assert!(with("payload", "act", nested).is_err());
        assert!(with("payload", "aud", json!(["authsome", "elsewhere"])).is_err());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let long = "a".repeat(TOKEN_MAX + 1);
        for text in ["", ".", "..", "...", "a", "a.b", "a.b.c", "{}", "é.é.é", "a.b.c.d.e", &long]
        {
            assert!(verify(text, key().public(), at(NOW)).is_err(), "{text:?}");
            assert!(named_agent(text).is_err(), "{text:?}");
        }
        for suffix in ["=", ".", "\n", ".AAAA"] {
            assert!(verify(&format!("{}{suffix}", token()), key().public(), at(NOW)).is_err());
        }
    }

    #[test]
    fn a_token_names_its_agent_before_it_is_verified() {
        assert_eq!(named_agent(&token()).unwrap().as_str(), "claude");
    }

    #[test]
    fn no_token_lives_too_long_or_not_at_all() {
        for lifetime in [0, 3601] {
            let minted = mint(&key(), &chain(), at(NOW), Duration::from_secs(lifetime));
            assert!(matches!(minted, Err(Error::Lifetime { .. })));
        }
    }
}
