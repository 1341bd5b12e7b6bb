//! A refusal in SSH's own words, so that the client shows it to its user.
//!
//! A server may disconnect before keys are exchanged, and say why (RFC 4253 §4.2, §6, §11.1). Clients show
//! that; of a connection that is merely closed, they say just that. Nothing the client sends is read.

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::linger::Linger;

/// Where SSH is spoken. On other ports too, but there a client's first words would have to be waited for.
pub(super) const PORT: u16 = 22;
/// `SSH_MSG_DISCONNECT`.
const DISCONNECT: u8 = 1;
/// `SSH_DISCONNECT_HOST_NOT_ALLOWED_TO_CONNECT`.
const NOT_ALLOWED: u32 = 1;
/// What a packet is a multiple of before there is a cipher, and the least padding.
const BLOCK: usize = 8;
const LEAST_PADDING: usize = 4;
/// More of a description than clients show.
const LONGEST: usize = 1024;

/// Tells an SSH client that its connection was refused.
pub(super) async fn disconnect(stream: TcpStream, why: &str) {
    let mut stream = Linger::new(stream);
    let told = async {
        stream.write_all(&refusal(why)).await?;
        stream.shutdown().await
    };
    if let Err(error) = told.await {
        tracing::debug!(%error, "an SSH client left before it was refused");
    }
}

/// The server's version, and one packet.
fn refusal(why: &str) -> Vec<u8> {
    let why = why.get(..why.floor_char_boundary(LONGEST)).unwrap_or(why);
    let mut payload = vec![DISCONNECT];
    payload.extend(NOT_ALLOWED.to_be_bytes());
    string(&mut payload, why);
    string(&mut payload, "");
    // Its own length takes four bytes, that of the padding one.
    let bare = 4 + 1 + payload.len();
    let padding = (bare + LEAST_PADDING).next_multiple_of(BLOCK) - bare;
    let mut bytes = b"SSH-2.0-authsome\r\n".to_vec();
    bytes.extend(length(1 + payload.len() + padding));
    bytes.push(u8::try_from(padding).unwrap_or_default());
    bytes.extend(payload);
    bytes.resize(bytes.len() + padding, 0);
    bytes
}

fn string(into: &mut Vec<u8>, text: &str) {
    into.extend(length(text.len()));
    into.extend(text.as_bytes());
}

/// Ours are far below what fits.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or_default().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a packet: declared length, padding and payload.
    fn parts(why: &str) -> (usize, usize, Vec<u8>) {
        let bytes = refusal(why);
        let packet = bytes.strip_prefix(b"SSH-2.0-authsome\r\n").unwrap();
        let length = u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize;
        assert_eq!(length, packet.len() - 4);
        let padding = usize::from(packet[4]);
        (packet.len(), padding, packet[5..packet.len() - padding].to_vec())
    }

    #[test]
    fn a_packet_of_any_length_is_whole_blocks_with_enough_padding() {
        for length in 0..40 {
            let (whole, padding, _) = parts(&"x".repeat(length));
            assert_eq!(whole % BLOCK, 0, "{length}");
            assert!((LEAST_PADDING..LEAST_PADDING + BLOCK).contains(&padding), "{length}");
        }
    }

    #[test]
    fn the_packet_disconnects_and_says_why() {
        let (_, _, payload) = parts("not allowed");
        let expected = [&[1, 0, 0, 0, 1, 0, 0, 0, 11][..], b"not allowed", &[0, 0, 0, 0]].concat();
        assert_eq!(payload, expected);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let (_, _, payload) = parts(&"é".repeat(LONGEST));
        assert_eq!(payload.len(), 9 + LONGEST + 4);
    }
}
