//! How a client shows who it is.

use authsome::{
    auth::{Client, Error, Fault, client_credentials, refresh},
    provider::ClientAuthentication,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use oauth2::url::form_urlencoded;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use secrecy::SecretString;
use serde_json::Value;

use super::fake::{Fake, client, now, run, server, tokens};

const P256: &str = include_str!("keys/p256.pem");
const ED25519_KEY: &str = include_str!("keys/ed25519.pem");
const RSA: &str = include_str!("keys/rsa.pem");

fn sent(client: &Client) -> String {
    let fake = Fake::script([tokens()]);
    run(client_credentials(&fake, &server(), client, &[], now())).unwrap();
    fake.request()
}

/// The assertion in a request's body, its header and its claims.
fn assertion(client: &Client) -> (String, Value, Value) {
    let request = sent(client);
    let body = request.split_once("\n\n").unwrap().1;
    let member = |name: &str| {
        form_urlencoded::parse(body.as_bytes())
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    };
    assert_eq!(
        member("client_assertion_type").as_deref(),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    assert_eq!(member("client_id").as_deref(), Some("app"));
    assert_eq!(member("client_secret"), None);
    let jwt = member("client_assertion").unwrap();
    let part = |index: usize| {
        let part = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(index).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&part).unwrap()
    };
    let (header, claims) = (part(0), part(1));
    (jwt, header, claims)
}

fn signed(jwt: &str, key: UnparsedPublicKey<Vec<u8>>) {
    let (message, signature) = jwt.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    key.verify(message.as_bytes(), &signature).unwrap();
}

fn der(pem: &str) -> Vec<u8> {
    PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap().secret_pkcs8_der().to_vec()
}

#[test]
fn a_public_client_says_its_id() {
    let body = "\n\ngrant_type=client_credentials&client_id=app";
    for method in
        [ClientAuthentication::None, ClientAuthentication::Basic, ClientAuthentication::Body]
    {
        let request = sent(&client(None, method));
        assert!(request.ends_with(body), "{method:?}: {request}");
        assert!(!request.contains("authorization:"));
    }
    assert!(sent(&client(Some("s"), ClientAuthentication::None)).ends_with(body));
}

#[test]
fn a_secret_goes_into_the_body() {
    let request = sent(&client(Some("s3 cr&t"), ClientAuthentication::Body));
    let body = "\n\ngrant_type=client_credentials&client_secret=s3+cr%26t&client_id=app";
    assert!(request.ends_with(body), "{request}");
    assert!(!request.contains("authorization:"));
}

#[test]
fn basic_encodes_id_and_secret_first() {
    let client = Client {
        id: "a:b c".to_owned(),
        secret: Some(SecretString::from("s:3/c%r+t")),
        method: ClientAuthentication::Basic,
    };
    // `a%3Ab+c:s%3A3%2Fc%25r%2Bt`
    let request = sent(&client);
    assert_eq!(
        request,
        "POST https://id.example/token\n\
         accept: application/json\n\
         authorization: Basic YSUzQWIrYzpzJTNBMyUyRmMlMjVyJTJCdA==\n\
         content-type: application/x-www-form-urlencoded\n\n\
         grant_type=client_credentials"
    );
}

#[test]
fn an_assertion_is_signed_for_one_server_and_one_minute() {
    let (jwt, header, claims) = assertion(&client(Some(P256), ClientAuthentication::PrivateKeyJwt));
    assert_eq!(header, serde_json::json!({ "alg": "ES256", "typ": "JWT" }));
    assert_eq!(claims["iss"], "app");
    assert_eq!(claims["sub"], "app");
    assert_eq!(claims["aud"], "https://id.example/token");
    assert_eq!(claims["iat"], now().as_second());
    assert_eq!(claims["exp"], now().as_second() + 60);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
    let random = ring::rand::SystemRandom::new();
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(P256), &random).unwrap();
    let public = key.public_key().as_ref().to_vec();
    signed(&jwt, UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public));
}

#[test]
fn no_two_assertions_have_the_same_id() {
    let client = client(Some(P256), ClientAuthentication::PrivateKeyJwt);
    assert_ne!(assertion(&client).2["jti"], assertion(&client).2["jti"]);
}

#[test]
fn keys_of_other_kinds_sign_too() {
    let (jwt, header, _) =
        assertion(&client(Some(ED25519_KEY), ClientAuthentication::PrivateKeyJwt));
    assert_eq!(header["alg"], "EdDSA");
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(ED25519_KEY)).unwrap();
    signed(&jwt, UnparsedPublicKey::new(&ED25519, key.public_key().as_ref().to_vec()));
    let (jwt, header, _) = assertion(&client(Some(RSA), ClientAuthentication::PrivateKeyJwt));
    assert_eq!(header["alg"], "RS256");
    let key = RsaKeyPair::from_pkcs8(&der(RSA)).unwrap();
    let public = key.public_key().as_ref().to_vec();
    signed(&jwt, UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public));
}

#[test]
fn a_refresh_is_authenticated_too() {
    let fake = Fake::script([tokens()]);
    let client = client(Some("s"), ClientAuthentication::Basic);
    let token = SecretString::from("rt-0");
    run(refresh(&fake, &server(), &client, &token, &[], now())).unwrap();
    assert!(fake.request().contains("authorization: Basic YXBwOnM=\n"));
}

#[test]
fn a_key_that_cannot_sign_is_the_client_s_fault_and_is_not_sent() {
    let sec1 = include_str!("keys/sec1.pem");
    let p384 = include_str!("keys/p384.pem");
    for (key, problem) in [
        (None, "is missing"),
        (Some("s3cret"), "is not PKCS#8 PEM"),
        (Some(sec1), "is not PKCS#8 PEM"),
        (Some(p384), "is of no kind that can be used"),
    ] {
        let fake = Fake::script([tokens()]);
        let client = client(key, ClientAuthentication::PrivateKeyJwt);
        let error = run(client_credentials(&fake, &server(), &client, &[], now())).unwrap_err();
        assert!(matches!(error, Error::Key { .. }), "{error}");
        assert!(error.to_string().ends_with(problem), "{error}");
        assert_eq!(error.kind(), Fault::Client);
        assert!(fake.requests().is_empty());
    }
}
