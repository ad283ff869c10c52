//! HTTP where TLS is expected: told in words, in place of a connection that just ends.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// What a browser shows that was told `http://`.
const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 72\r\n\
    Connection: close\r\n\r\n\
    This port is encrypted: begin its address with https:// and not http://\n";

/// What was sent is read for this long at the most, and no more than [`MOST`] bytes of it: ended
/// with something unread, a connection is reset, and the answer may be lost with it.
const READING: Duration = Duration::from_secs(1);
const MOST: u64 = 64 << 10;

/// Whether the first byte, which stays to be read, begins a method of HTTP (RFC 9112, 3) and no
/// record of TLS, the first of which has the type 22 (RFC 8446, 5.1).
pub(super) async fn is_spoken(stream: &TcpStream, end: Instant) -> bool {
    let mut first = [0];
    let peeked = timeout_at(end, stream.peek(&mut first)).await;
    matches!(peeked, Ok(Ok(1))) && first[0].is_ascii_uppercase()
}

/// Says that the port is encrypted, and ends the connection.
pub(super) async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let told = async {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(MOST), &mut tokio::io::sink()).await
    };
    // Who does not listen need not be told.
    let _ = timeout(READING, told).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_answer_is_whole_and_what_was_sent_is_read() {
        let (mut client, server) = tokio::io::duplex(4096);
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let refused = tokio::spawn(refuse(server));
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        drop(client);
        refused.await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        let length = format!("Content-Length: {}", body.len());
        assert!(head.contains(&length), "{head}; it has {}", body.len());
    }
}
