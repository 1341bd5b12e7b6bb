//! The two SQLite files of an NSS database.
//!
//! `cert9.db` has a table of PKCS #11 objects, a column for each attribute by its number in hexadecimal;
//! `key4.db` a table alike for private ones, and one of what belongs to the database itself.

use rusqlite::{Connection, OptionalExtension, params};
use sha1::{Digest, Sha1};

use super::signature::Signer;

/// Every attribute that NSS 3.87 makes a column for (`known_attributes` in `sdb.c`); later versions
/// add to them by themselves.
const COLUMNS: &str = "a0 a1 a2 a3 a10 a11 a12 a80 a81 a82 a83 a84 a85 a86 a87 a88 a89 a8a a8b a90 \
    a100 a101 a102 a103 a104 a105 a106 a107 a108 a109 a10a a10b a10c a110 a111 a120 a121 a122 a123 \
    a124 a125 a126 a127 a128 a129 a130 a131 a132 a133 a134 a160 a161 a162 a163 a164 a165 a166 a170 \
    a180 a181 a200 a201 a202 a210 a300 a301 a302 a400 a401 a402 a403 a404 a405 a406 a480 a481 a482 \
    a500 a501 a502 a503 a40000211 a40000212 a80000001 ace534351 ace534352 ace534353 ace534354 \
    ace534355 ace534356 ace534357 ace534358 ace534364 ace534365 ace534366 ace534367 ace534368 \
    ace534369 ace534373 ace534374 ace536351 ace536352 ace536353 ace536354 ace536355 ace536356 \
    ace536357 ace536358 ace536359 ace53635a ace53635b ace53635c ace53635d ace53635e ace53635f \
    ace536360 ace5363b4 ace5363b5 ad5a0db00";

/// A global salt, and "password-check" encrypted under the empty password with it (PBES2: PBKDF2 with
/// one iteration of HMAC-SHA-256, AES-256-CBC). The same in every database of ours: nothing in them is
/// secret.
const GLOBAL_SALT: &str = "bdd5b47377e21f285e1bd07812f452e7d8520050";
const PASSWORD_CHECK: &str = "308181306d06092a864886f70d01050d3060304106092a864886f70d01050c303404205d\
    2c8f85f1fd5367dfd02ec66e56459c1cd9bfb4665aa78c029e96014e93057c020101020120300a06082a864886f70d02\
    09301b060960864801650304012a040e9ab51a4950e2af51b87971cc6959041071ea062c97a3456cb4626b89a0d46588";

/// Object classes, and their attributes, by PKCS #11 and NSS (`pkcs11t.h`, `pkcs11n.h`).
const CERTIFICATE: u32 = 1;
const TRUST: u32 = 0xce53_4353;
const TRUST_SERVER_AUTH: u32 = 0xce53_6358;
const TRUST_CLIENT_AUTH: u32 = 0xce53_6359;
const TRUST_CODE_SIGNING: u32 = 0xce53_635a;
const TRUST_EMAIL: u32 = 0xce53_635b;
const TRUST_STEP_UP: u32 = 0xce53_6360;
const TRUST_SHA1: u32 = 0xce53_63b4;
/// "C": may issue certificates for servers. "c": nobody trusts it for that, but it may be in a chain.
const TRUSTED_DELEGATOR: u32 = 0xce53_4352;
const MUST_VERIFY: u32 = 0xce53_4353;
/// How an attribute that is there and empty is written.
const EMPTY: [u8; 3] = [0xa5, 0x00, 0x5a];
/// What the certificate is called.
const LABEL: &[u8] = b"authsome run";
/// Where to look for an object number that is free; they have 30 bits.
const FIRST_OBJECT: u32 = 0x2a00_0000;

/// Why a database cannot be added to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("not a database that NSS would read")]
    Database(#[from] rusqlite::Error),
    #[error("the certificate cannot be read")]
    Certificate,
}

/// The contents of `cert9.db` and `key4.db` with the certificate `der` trusted to issue others for
/// servers. Made anew where there is none.
pub(super) fn with_authority(
    certificates: Option<Vec<u8>>,
    keys: Option<Vec<u8>>,
    der: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut certificates = open(certificates, "nssPublic")?;
    let mut keys = open(keys, "nssPrivate")?;
    keys.execute_batch(
        "CREATE TABLE IF NOT EXISTS metaData \
         (id PRIMARY KEY UNIQUE ON CONFLICT REPLACE, item1, item2)",
    )?;
    let signer = Signer::new(&global_salt(&keys)?);
    add(&certificates, &keys, &signer, der)?;
    Ok((certificates.serialize("main")?.to_vec(), keys.serialize("main")?.to_vec()))
}

/// A database in memory: what is on disk stays as it is.
fn open(contents: Option<Vec<u8>>, table: &str) -> Result<Connection, Error> {
    let mut database = Connection::open_in_memory()?;
    if let Some(contents) = contents.filter(|contents| !contents.is_empty()) {
        let length = contents.len();
        database.deserialize_read_exact("main", contents.as_slice(), length, false)?;
    }
    let columns = COLUMNS.replace(' ', ", ");
    database.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {table} (id PRIMARY KEY UNIQUE ON CONFLICT ABORT, {columns}); \
         CREATE INDEX IF NOT EXISTS issuer ON {table} (a81); \
         CREATE INDEX IF NOT EXISTS subject ON {table} (a101); \
         CREATE INDEX IF NOT EXISTS label ON {table} (a3); \
         CREATE INDEX IF NOT EXISTS ckaid ON {table} (a102)"
    ))?;
    Ok(database)
}

/// The database's own; ours, with an empty password, where none has been set.
fn global_salt(keys: &Connection) -> Result<Vec<u8>, Error> {
    let query = "SELECT item1 FROM metaData WHERE id = 'password'";
    if let Some(salt) = keys.query_row(query, [], |row| row.get(0)).optional()? {
        return Ok(salt);
    }
    let bytes = |text: &str| hex::decode(text).unwrap_or_default();
    let salt = bytes(GLOBAL_SALT);
    let insert = "INSERT INTO metaData (id, item1, item2) VALUES ('password', ?1, ?2)";
    keys.execute(insert, params![salt, bytes(PASSWORD_CHECK)])?;
    Ok(salt)
}

fn add(
    certificates: &Connection,
    keys: &Connection,
    signer: &Signer,
    der: &[u8],
) -> Result<(), Error> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).map_err(|_| Error::Certificate)?;
    let (issuer, subject) = (parsed.issuer().as_raw(), parsed.subject().as_raw());
    let serial = parsed.raw_serial();
    let length = u8::try_from(serial.len()).ok().filter(|length| *length < 128);
    let serial = [&[2, length.ok_or(Error::Certificate)?], serial].concat();
    let key_id = Sha1::digest(&*parsed.public_key().subject_public_key.data);
    let word = |number: u32| number.to_be_bytes();

    let object = free(certificates)?;
    certificates.execute(
        "INSERT INTO nssPublic (id, a0, a1, a2, a3, a11, a80, a81, a82, a101, a102, a170) \
         VALUES (?1, ?2, x'01', x'00', ?3, ?4, x'00000000', ?5, ?6, ?7, ?8, x'01')",
        params![object, word(CERTIFICATE), LABEL, der, issuer, serial, subject, key_id.as_slice()],
    )?;
    let object = free(certificates)?;
    certificates.execute(
        "INSERT INTO nssPublic (id, a0, a1, a2, a3, a81, a82, a170) \
         VALUES (?1, ?2, x'01', x'00', ?3, ?4, ?5, x'01')",
        params![object, word(TRUST), EMPTY, issuer, serial],
    )?;
    let digest = Sha1::digest(der);
    let (trusted, verify) = (word(TRUSTED_DELEGATOR), word(MUST_VERIFY));
    let trust: [(u32, &[u8]); 6] = [
        (TRUST_SERVER_AUTH, &trusted),
        (TRUST_CLIENT_AUTH, &verify),
        (TRUST_CODE_SIGNING, &verify),
        (TRUST_EMAIL, &verify),
        (TRUST_STEP_UP, &[0]),
        (TRUST_SHA1, &digest),
    ];
    for (attribute, value) in trust {
        let update = format!("UPDATE nssPublic SET a{attribute:x} = ?2 WHERE id = ?1");
        certificates.execute(&update, params![object, value])?;
        let signature = signer.sign(object, attribute, value);
        keys.execute(
            "INSERT INTO metaData (id, item1) VALUES (?1, ?2)",
            params![format!("sig_cert_{object:08x}_{attribute:08x}"), signature],
        )?;
    }
    Ok(())
}

/// An object number that is free.
fn free(certificates: &Connection) -> Result<u32, Error> {
    let query = "SELECT coalesce(max(id), ?1 - 1) + 1 FROM nssPublic WHERE id BETWEEN ?1 AND ?2";
    let last = FIRST_OBJECT + 0xff_ffff;
    Ok(certificates.query_row(query, params![FIRST_OBJECT, last - 1], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;
    use crate::{interceptor::RunCa, trust::bundle};

    fn certificate() -> Vec<u8> {
        let (pem, _) = RunCa::generate().unwrap();
        let base64: String =
            bundle::certificates(&pem).next().unwrap().split_ascii_whitespace().collect();
        STANDARD.decode(base64).unwrap()
    }

    fn objects(contents: Vec<u8>) -> Vec<(u32, Vec<u8>)> {
        let database = open(Some(contents), "nssPublic").unwrap();
        let mut query = database.prepare("SELECT id, a0 FROM nssPublic ORDER BY id").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn a_second_certificate_is_added_beside_the_first_under_the_same_password() {
        let (certificates, keys) = with_authority(None, None, &certificate()).unwrap();
        let (certificates, keys) =
            with_authority(Some(certificates), Some(keys), &certificate()).unwrap();
        let classes: Vec<_> = objects(certificates).into_iter().map(|(_, class)| class).collect();
        let pair = [CERTIFICATE.to_be_bytes().to_vec(), TRUST.to_be_bytes().to_vec()];
        assert_eq!(classes, [pair.clone(), pair].concat());
        let keys = open(Some(keys), "nssPrivate").unwrap();
        let count = |like: &str| -> u32 {
            let query = "SELECT count(*) FROM metaData WHERE id LIKE ?1";
            keys.query_row(query, [like], |row| row.get(0)).unwrap()
        };
        assert_eq!((count("password"), count("sig_cert_%")), (1, 12));
    }

    #[test]
    fn the_constants_are_whole() {
        assert_eq!(hex::decode(GLOBAL_SALT).unwrap().len(), 20);
        assert_eq!(hex::decode(PASSWORD_CHECK).unwrap().len(), 0x81 + 3);
    }
}
