//! Answers whose reader takes nothing more of them.
//!
//! Over HTTP/2 a connection may be well, its pings answered, while its client gives none of its
//! streams room (RFC 9113, 5.2): what was written is held here, and the place of an event stream
//! is taken, for as long as the client likes. So each answer notes when it began to wait for its
//! reader, and a connection of which one has waited for too long is ended.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as Frames, Frame, SizeHint};
use tokio::time::Instant;

/// No more of an answer is handed on at once: so a slow reader is seen to read, and no more than
/// this is held for one that stopped.
pub(crate) const PIECE: usize = 64 << 10;

/// The answers of a connection, and since when each waits for its reader. Copies share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readers {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    since: HashMap<u64, Instant>,
}

impl Readers {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Every change is one insertion or removal.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same answer, which notes when it waits.
    pub(crate) fn watch(&self, body: Body) -> Body {
        let number = {
            let mut waiting = self.waiting();
            waiting.next += 1;
            let number = waiting.next;
            // Who gives it no room from the beginning on never asks for anything of it.
            waiting.since.insert(number, Instant::now());
            number
        };
        Body::new(Watched {
            body,
            rest: Bytes::new(),
            readers: self.clone(),
            number,
        })
    }

    /// Returns when an answer has waited for its reader for so long.
    pub(crate) async fn stalled(&self, longest: Duration) {
        loop {
            let oldest = self.waiting().since.values().min().copied();
            let now = Instant::now();
            match oldest {
                Some(since) if since + longest <= now => return,
                Some(since) => tokio::time::sleep_until(since + longest).await,
                None => tokio::time::sleep(longest).await,
            }
        }
    }
}

/// An answer in pieces.
struct Watched {
    body: Body,
    /// What was taken from the answer and is not handed on yet.
    rest: Bytes,
    readers: Readers,
    number: u64,
}

impl Watched {
    /// It waits for its reader from now on.
    fn waits(&self) {
        self.readers
            .waiting()
            .since
            .insert(self.number, Instant::now());
    }

    /// Its reader waits for it, or it is gone.
    fn is_asked(&self) {
        self.readers.waiting().since.remove(&self.number);
    }
}

impl Frames for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.is_asked();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => {
                        this.waits();
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        this.waits();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.is_asked();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);
    const ALMOST: Duration = Duration::from_secs(29);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_noticed_in_time() {
        let readers = Readers::default();
        let body = readers.watch(Body::from("never read"));
        let begin = Instant::now();
        readers.stalled(LONGEST).await;
        assert_eq!(begin.elapsed(), LONGEST);
        drop(body);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_none_that_stopped() {
        let readers = Readers::default();
        let text = vec![7; 10 * PIECE];
        let mut body = readers.watch(Body::from(text));
        let slow = async {
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                read += frame.unwrap().into_data().unwrap().len();
                tokio::time::sleep(ALMOST).await;
            }
            read
        };
        tokio::select! {
            read = slow => assert_eq!(read, 10 * PIECE),
            () = readers.stalled(LONGEST) => panic!("a slow reader was taken for none"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_has_nothing_to_say_yet_may_take_its_time() {
        let readers = Readers::default();
        let silent = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let mut body = readers.watch(Body::from_stream(silent));
        tokio::select! {
            _ = body.frame() => panic!("it says nothing"),
            () = readers.stalled(LONGEST) => panic!("its reader was ready"),
            () = tokio::time::sleep(10 * LONGEST) => {}
        }
    }

    #[tokio::test]
    async fn an_answer_is_as_long_as_it_was() {
        let readers = Readers::default();
        let text: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 1).collect();
        let mut body = readers.watch(Body::from(text.clone()));
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE);
        assert_eq!(body.size_hint().exact(), Some((text.len() - PIECE) as u64));
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!([first, rest].concat(), text);
        assert!(readers.waiting().since.is_empty());
    }
}
