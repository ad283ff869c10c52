//! One conversation over one connection: bounded in bytes and in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::options::{Options, Target, Waits};

/// A connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing came any more.
    Quiet,
    /// The server closed it, or reset it.
    Closed,
    /// It said more than it may.
    Full,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
}

/// A TCP connection that ends after so many bytes, whatever reads it.
#[derive(Debug)]
pub(crate) struct Limited {
    inner: TcpStream,
    left: usize,
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Ok(()));
        }
        let most = self.left.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let polled = Pin::new(&mut self.inner).poll_read(context, &mut part);
        let read = part.filled().len();
        buffer.advance(read);
        self.left -= read;
        polled
    }
}

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Connects; the time that it took comes with it.
pub(crate) async fn connect(target: &Target, options: &Options) -> io::Result<(Limited, Duration)> {
    let begun = Instant::now();
    let stream = timeout(options.connect, TcpStream::connect(target.socket()))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    let took = begun.elapsed();
    // Neither side keeps state of a connection that was only asked through.
    let _ = stream.set_zero_linger();
    let _ = stream.set_nodelay(true);
    let limited = Limited {
        inner: stream,
        // Enough for a handshake around what is read.
        left: options.bytes.saturating_mul(3),
    };
    Ok((limited, took))
}

/// Sends `bytes`; a server that does not take them is no error here, for it may have spoken.
pub(crate) async fn say(stream: &mut (impl Stream + ?Sized), bytes: &[u8], within: Duration) {
    let _ = timeout(within, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    })
    .await;
}

/// Reads what comes: `first` is how long to wait for anything; a silence of `waits.quiet` ends
/// an answer that does not say of itself how long it is.
pub(crate) async fn hear(
    stream: &mut (impl Stream + ?Sized),
    into: &mut Vec<u8>,
    first: Duration,
    waits: Waits,
    options: &Options,
) -> End {
    let begun = Instant::now();
    let start = into.len();
    let mut chunk = vec![0; 4096];
    loop {
        let room = options.bytes.saturating_sub(into.len());
        if room == 0 {
            return End::Full;
        }
        let answer = into.get(start..).unwrap_or_default();
        let wait = if answer.is_empty() {
            first
        } else {
            match is_complete(answer) {
                Some(true) => return End::Quiet,
                Some(false) => waits.answer,
                None => waits.quiet,
            }
        };
        let deadline = (Instant::now() + wait).min(begun + first.max(options.talk));
        let most = room.min(chunk.len());
        let Some(part) = chunk.get_mut(..most) else {
            return End::Full;
        };
        match timeout_at(deadline, stream.read(part)).await {
            Err(_) => return End::Quiet,
            Ok(Err(_) | Ok(0)) => return End::Closed,
            Ok(Ok(read)) => into.extend_from_slice(part.get(..read).unwrap_or_default()),
        }
    }
}

/// Whether an answer that says its length has come whole; `None` for one that does not say.
fn is_complete(answer: &[u8]) -> Option<bool> {
    if !answer.starts_with(b"HTTP/1.") {
        return None;
    }
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        return Some(false);
    };
    let response = crate::readers::http::Response::parse(answer)?;
    if matches!(response.status, 100..=199 | 204 | 304) {
        return Some(true);
    }
    if let Some(length) = response.header("content-length") {
        let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
        return Some(answer.len() - end - 4 >= length);
    }
    match response.header("transfer-encoding") {
        Some(_) => Some(answer.ends_with(b"0\r\n\r\n")),
        // Then it ends with the connection.
        None => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_http_says_where_it_ends() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(is_complete(whole), Some(true));
        assert_eq!(is_complete(&whole[..whole.len() - 1]), Some(false));
        assert_eq!(is_complete(b"HTTP/1.1 204 No\r\n\r\n"), Some(true));
        let parts = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        assert_eq!(is_complete(parts), Some(true));
        assert_eq!(is_complete(b"HTTP/1.1 200 OK\r\n\r\n"), Some(false));
        assert_eq!(is_complete(b"220 ready\r\n"), None);
    }
}
