//! A connection whose other end must read: what cannot be written for too long ends it.
//!
//! A client that opens an event stream and never reads fills the system's buffers; from then on
//! each write waits. Without an end to that, it would hold its place for ever.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A stream whose writes may wait for so long and no longer.
#[derive(Debug)]
pub(crate) struct Patience<S> {
    stream: S,
    longest: Duration,
    /// When the write that waits has waited for too long.
    end: Pin<Box<Sleep>>,
    waits: bool,
}

impl<S> Patience<S> {
    pub(crate) fn new(stream: S, longest: Duration) -> Self {
        Self {
            stream,
            longest,
            end: Box::pin(tokio::time::sleep(longest)),
            waits: false,
        }
    }

    /// What is written to and read from.
    pub(crate) const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Holds the outcome of a write against the time.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waits = false;
            return outcome;
        }
        if !self.waits {
            self.waits = true;
            let end = Instant::now() + self.longest;
            self.end.as_mut().reset(end);
        }
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_never_reads_is_cut_off() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut ours = Patience::new(ours, Duration::from_millis(10));
        let refused = ours.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_reads_slowly_is_served_whatever_it_takes() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let mut ours = Patience::new(ours, Duration::from_mins(1));
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            let mut byte = [0; 1];
            while theirs.read(&mut byte).await.unwrap() > 0 {
                read.extend(byte);
                tokio::task::yield_now().await;
            }
            read
        });
        ours.write_all(&[7; 500]).await.unwrap();
        drop(ours);
        assert_eq!(reader.await.unwrap(), [7; 500]);
    }
}
