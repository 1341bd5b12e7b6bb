//! The encrypted segments of a backup as a stream of bytes to write to and to read from.

use std::io::{self, Read, Write};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{
        generic_array::GenericArray,
        stream::{DecryptorBE32, EncryptorBE32},
    },
};
use zeroize::Zeroizing;

use super::{Error, Result, SEGMENT_LEN};
use crate::vault::seal::Key;

/// Length of the random part of the nonces: 12 without the number and the mark of the last.
pub(super) const NONCE_LEN: usize = 7;

/// Bytes a segment's ciphertext has beyond its plaintext.
const TAG_LEN: usize = 16;

/// Set in a segment's length if it is the last.
const LAST: u32 = 1 << 31;

/// Encrypts what is written to it. Without [`Sealer::finish`] what is there is a backup cut off.
pub(super) struct Sealer<W> {
    out: W,
    stream: EncryptorBE32<Aes256Gcm>,
    bound: [u8; 32],
    plain: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealer<W> {
    /// `bound` is the hash of the head. Writes the empty segment that tells a right passphrase.
    pub(super) fn new(out: W, key: &Key, nonce: &[u8; NONCE_LEN], bound: [u8; 32]) -> Result<Self> {
        let stream = EncryptorBE32::from_aead(
            Aes256Gcm::new(key.bytes().into()),
            GenericArray::from_slice(nonce),
        );
        let plain = Zeroizing::new(Vec::with_capacity(SEGMENT_LEN + TAG_LEN));
        let mut sealer = Self { out, stream, bound, plain };
        sealer.segment().map_err(|wrapped| error(wrapped, Error::Write))?;
        Ok(sealer)
    }

    /// Writes the last segment.
    pub(super) fn finish(mut self) -> Result<W> {
        let full = || Error::TooLarge { what: "the home".to_owned() };
        self.stream.encrypt_last_in_place(&self.bound, &mut *self.plain).map_err(|_| full())?;
        let length = u32::try_from(self.plain.len()).map_err(|_| full())?;
        self.out
            .write_all(&(length | LAST).to_be_bytes())
            .and_then(|()| self.out.write_all(&self.plain))
            .and_then(|()| self.out.flush())
            .map_err(Error::Write)?;
        Ok(self.out)
    }

    fn segment(&mut self) -> io::Result<()> {
        let full = || io::Error::other(Error::TooLarge { what: "the home".to_owned() });
        self.stream.encrypt_next_in_place(&self.bound, &mut *self.plain).map_err(|_| full())?;
        let length = u32::try_from(self.plain.len()).map_err(|_| full())?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&self.plain)?;
        // What is left in it is ciphertext.
        self.plain.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.plain.len() == SEGMENT_LEN {
            self.segment()?;
        }
        let taken = bytes.len().min(SEGMENT_LEN - self.plain.len());
        self.plain.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what is read from it. An [`io::Error`] it gives has an [`Error`] inside: see [`error`].
pub(super) struct Opener<R> {
    input: R,
    /// None once the last segment was opened.
    stream: Option<DecryptorBE32<Aes256Gcm>>,
    bound: [u8; 32],
    plain: Zeroizing<Vec<u8>>,
    /// What of `plain` has been read.
    at: usize,
}

impl<R: Read> Opener<R> {
    /// # Errors
    /// [`Error::Passphrase`] if the first segment does not open.
    pub(super) fn new(
        input: R,
        key: &Key,
        nonce: &[u8; NONCE_LEN],
        bound: [u8; 32],
    ) -> Result<Self> {
        let stream = DecryptorBE32::from_aead(
            Aes256Gcm::new(key.bytes().into()),
            GenericArray::from_slice(nonce),
        );
        let plain = Zeroizing::new(Vec::with_capacity(SEGMENT_LEN + TAG_LEN));
        let mut opener = Self { input, stream: Some(stream), bound, plain, at: 0 };
        match opener.segment() {
            Ok(()) if opener.plain.is_empty() && opener.stream.is_some() => Ok(opener),
            Ok(()) => Err(Error::Damaged(CHANGED)),
            Err(Error::Damaged(CHANGED)) => Err(Error::Passphrase),
            Err(error) => Err(error),
        }
    }

    /// Refuses what goes on after its end.
    pub(super) fn finish(mut self) -> Result<()> {
        // The last segment may be empty, and not have been looked at.
        if self.at == self.plain.len() && self.stream.is_some() {
            self.segment()?;
        }
        if self.at < self.plain.len() || self.stream.is_some() {
            return Err(Error::Damaged("it goes on after its end"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Error::Damaged("it goes on after its end")),
            Err(error) => Err(Error::Read(error)),
        }
    }

    /// Opens the next segment in place of the one before.
    fn segment(&mut self) -> Result<()> {
        let stream = self.stream.take().ok_or(Error::Damaged("its items are not complete"))?;
        let mut word = [0; 4];
        self.input.read_exact(&mut word).map_err(cut_off)?;
        let word = u32::from_be_bytes(word);
        let length = usize::try_from(word & !LAST).unwrap_or(usize::MAX);
        if !(TAG_LEN..=SEGMENT_LEN + TAG_LEN).contains(&length) {
            return Err(Error::Damaged("a segment has no length it could have"));
        }
        self.plain.clear();
        self.plain.resize(length, 0);
        self.at = 0;
        self.input.read_exact(&mut self.plain).map_err(cut_off)?;
        let opened = if word & LAST == 0 {
            let mut stream = stream;
            let opened = stream.decrypt_next_in_place(&self.bound, &mut *self.plain);
            self.stream = Some(stream);
            opened
        } else {
            stream.decrypt_last_in_place(&self.bound, &mut *self.plain)
        };
        if opened.is_err() {
            self.plain.clear();
            return Err(Error::Damaged(CHANGED));
        }
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        // A segment that is not the last has something in it; one that has not is followed by another.
        while self.at == self.plain.len() {
            if bytes.is_empty() {
                return Ok(0);
            }
            self.segment().map_err(io::Error::other)?;
        }
        let rest = self.plain.get(self.at..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += count;
        Ok(count)
    }
}

const CHANGED: &str = "a segment was changed";

/// The error that a [`Sealer`] or an [`Opener`] wrapped; else it is the file's.
pub(super) fn error(error: io::Error, other: fn(io::Error) -> Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(other)
}

pub(super) fn cut_off(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { Error::CutOff } else { Error::Read(error) }
}
