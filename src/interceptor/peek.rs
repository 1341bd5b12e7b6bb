//! What a connection begins with, without deciding anything.
//!
//! The bytes are kept, so that a splice can replay them. A ClientHello may come in any number of
//! pieces: post-quantum key shares do not fit into one segment.

use std::{io, time::Duration};

use bytes::BytesMut;
use rustls::server::{Accepted, Acceptor};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

/// How long an agent may take to say something.
pub(super) const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest ClientHello.
const MAX_HELLO: usize = 16 * 1024;
/// First byte of a TLS handshake record (RFC 8446 §5.1).
const HANDSHAKE: u8 = 0x16;

/// What was found.
pub(super) enum Opening {
    /// A whole ClientHello, and the bytes it came in.
    Tls(Box<Accepted>, BytesMut),
    /// Something else.
    Opaque(BytesMut),
    /// Something that begins like TLS and is none, or is too long.
    Malformed,
    /// Nothing, or not all of it, in time; or the agent left.
    Nothing,
}

/// Reads until it is known what the connection is.
pub(super) async fn opening<S: AsyncRead + Unpin>(stream: &mut S) -> Opening {
    match timeout(OPENING_TIMEOUT, read(stream)).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(_)) | Err(_) => Opening::Nothing,
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Opening> {
    let mut raw = BytesMut::with_capacity(2048);
    let mut acceptor = Acceptor::default();
    let mut fed = 0;
    loop {
        if stream.read_buf(&mut raw).await? == 0 {
            return Ok(Opening::Nothing);
        }
        if raw.first() != Some(&HANDSHAKE) {
            return Ok(Opening::Opaque(raw));
        }
        while let Some(mut unread) = raw.get(fed..).filter(|unread| !unread.is_empty()) {
            match acceptor.read_tls(&mut unread) {
                Ok(0) | Err(_) => return Ok(Opening::Malformed),
                Ok(read) => fed += read,
            }
            match acceptor.accept() {
                // What follows a ClientHello waits for our answer, so there is nothing left over; if
                // there is, it is no client we understand.
                Ok(Some(_)) if fed < raw.len() => return Ok(Opening::Malformed),
                Ok(Some(accepted)) => return Ok(Opening::Tls(Box::new(accepted), raw)),
                Ok(None) => {}
                Err(_) => return Ok(Opening::Malformed),
            }
        }
        if raw.len() > MAX_HELLO {
            return Ok(Opening::Malformed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring};
    use tokio_util::io::StreamReader;

    use super::*;

    fn hello(name: &'static str) -> Vec<u8> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    async fn open(pieces: Vec<Vec<u8>>) -> Opening {
        let pieces = pieces.into_iter().map(|piece| Ok::<_, io::Error>(bytes::Bytes::from(piece)));
        let mut stream = StreamReader::new(futures_util::stream::iter(pieces));
        opening(&mut stream).await
    }

    fn name(opening: &Opening) -> Option<String> {
        match opening {
            Opening::Tls(accepted, _) => accepted.client_hello().server_name().map(str::to_owned),
            Opening::Opaque(_) | Opening::Malformed | Opening::Nothing => None,
        }
    }

    #[tokio::test]
    async fn a_client_hello_is_found_however_it_is_cut() {
        let whole = hello("api.test");
        for cut in 1..whole.len() {
            let (head, tail) = whole.split_at(cut);

            let found = open(vec![head.to_vec(), tail.to_vec()]).await;

            assert_eq!(name(&found).as_deref(), Some("api.test"), "cut at {cut}");
            assert!(matches!(found, Opening::Tls(_, raw) if raw == whole));
        }
    }

    #[tokio::test]
    async fn a_client_hello_is_found_byte_by_byte() {
        let pieces = hello("api.test").into_iter().map(|byte| vec![byte]).collect();

        assert_eq!(name(&open(pieces).await).as_deref(), Some("api.test"));
    }

    #[tokio::test]
    async fn no_part_of_a_client_hello_is_taken_for_the_whole() {
        let whole = hello("api.test");
        for end in 0..whole.len() {
            let found = open(vec![whole[..end].to_vec()]).await;

            assert!(matches!(found, Opening::Nothing), "{end} bytes");
        }
    }

    #[tokio::test]
    async fn what_is_not_tls_is_opaque_and_kept() {
        let found = open(vec![b"SSH-2.0-x\r\n".to_vec()]).await;

        assert!(matches!(found, Opening::Opaque(raw) if raw == b"SSH-2.0-x\r\n"[..]));
    }

    #[tokio::test]
    async fn endless_handshake_records_are_malformed() {
        let mut record = vec![0x16, 3, 1, 0, 1];
        record.push(1);

        let found = open(vec![record.repeat(4000)]).await;

        assert!(matches!(found, Opening::Malformed));
    }
}
