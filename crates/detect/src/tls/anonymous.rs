//! Speaking through TLS 1.2 with a server that has no certificate (RFC 5246, appendix F.1.1.1):
//! monitoring agents such as NRPE speak nothing else as they are delivered, and no library for
//! honest use offers it.
//!
//! Nothing that is said here is a secret, so the private exponent is one: the public value is
//! the generator, and what both sides share is the server's public value. All that remains is
//! the derivation of keys (RFC 5246, 5 and 6.3) and AES in Galois counter mode (RFC 5288).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hmac};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::hello::random;
use crate::cursor::Cursor;
use crate::options::{Options, Waits};
use crate::talk::Stream;

/// The suites that are spoken: `TLS_DH_anon_WITH_AES_128_GCM_SHA256` and
/// `TLS_DH_anon_WITH_AES_256_GCM_SHA384` (RFC 5288, 3).
const SUITES: [u16; 2] = [0x00a6, 0x00a7];

/// The most bytes of the plain text in one record (RFC 5246, 6.2.1).
const RECORD_BYTES: usize = 1 << 14;

/// What a record adds to its plain text: an explicit nonce and a tag (RFC 5288, 3).
const NONCE_BYTES: usize = 8;
const TAG_BYTES: usize = 16;

/// The most bytes of a handshake that are read.
const HANDSHAKE_BYTES: usize = 32 * 1024;

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// TLS 1.2 on the wire.
const VERSION: [u8; 2] = [3, 3];

fn wrong(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A suite's parts.
#[derive(Debug, Clone, Copy)]
struct Suite {
    prf: hmac::Algorithm,
    hash: &'static digest::Algorithm,
    cipher: &'static aead::Algorithm,
}

impl Suite {
    fn by_number(number: usize) -> Option<Self> {
        match number {
            0x00a6 => Some(Self {
                prf: hmac::HMAC_SHA256,
                hash: &digest::SHA256,
                cipher: &aead::AES_128_GCM,
            }),
            0x00a7 => Some(Self {
                prf: hmac::HMAC_SHA384,
                hash: &digest::SHA384,
                cipher: &aead::AES_256_GCM,
            }),
            _ => None,
        }
    }

    /// The pseudo-random function (RFC 5246, 5), `length` bytes of it.
    fn prf(&self, secret: &[u8], label: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
        let key = hmac::Key::new(self.prf, secret);
        let seed = [label, seed].concat();
        let mut chained = hmac::sign(&key, &seed);
        let mut out = Vec::with_capacity(length + 48);
        while out.len() < length {
            let block = [chained.as_ref(), &seed].concat();
            out.extend_from_slice(hmac::sign(&key, &block).as_ref());
            chained = hmac::sign(&key, chained.as_ref());
        }
        out.truncate(length);
        out
    }
}

/// One direction: its key, its fixed part of the nonce, and how many records there were.
#[derive(Debug)]
struct Direction {
    key: LessSafeKey,
    salt: [u8; 4],
    count: u64,
}

impl Direction {
    fn new(suite: Suite, key: &[u8], salt: &[u8]) -> io::Result<Self> {
        let key = UnboundKey::new(suite.cipher, key).map_err(|_| wrong("a key of another size"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            salt: salt
                .try_into()
                .map_err(|_| wrong("a salt of another size"))?,
            count: 0,
        })
    }

    fn nonce(&self, explicit: [u8; NONCE_BYTES]) -> Nonce {
        let mut nonce = [0; 12];
        let (fixed, rest) = nonce.split_at_mut(4);
        fixed.copy_from_slice(&self.salt);
        rest.copy_from_slice(&explicit);
        Nonce::assume_unique_for_key(nonce)
    }

    /// What is authenticated beside the text (RFC 5246, 6.2.3.3), for the next record.
    fn beside(&mut self, kind: u8, length: usize) -> [u8; 13] {
        let mut beside = [0; 13];
        let (count, rest) = beside.split_at_mut(8);
        count.copy_from_slice(&self.count.to_be_bytes());
        let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        rest.copy_from_slice(&[kind, VERSION[0], VERSION[1], length[0], length[1]]);
        self.count += 1;
        beside
    }

    /// A whole record.
    fn seal(&mut self, kind: u8, text: &[u8]) -> io::Result<Vec<u8>> {
        let explicit = self.count.to_be_bytes();
        let beside = self.beside(kind, text.len());
        let mut sealed = text.to_vec();
        self.key
            .seal_in_place_append_tag(self.nonce(explicit), Aad::from(beside), &mut sealed)
            .map_err(|_| wrong("a record that cannot be sealed"))?;
        Ok(record(kind, &[&explicit, &sealed[..]].concat()))
    }

    /// The text of a record's body.
    fn open(&mut self, kind: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        let lies = || wrong("a record that is not sealed by its key");
        let (explicit, sealed) = body.split_first_chunk::<NONCE_BYTES>().ok_or_else(lies)?;
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or_else(lies)?;
        let beside = self.beside(kind, length);
        let mut sealed = sealed.to_vec();
        let text = self
            .key
            .open_in_place(self.nonce(*explicit), Aad::from(beside), &mut sealed)
            .map_err(|_| lies())?;
        Ok(text.to_vec())
    }
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind, VERSION[0], VERSION[1]], &length[..], body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind], length.get(1..).unwrap_or_default(), body].concat()
}

/// Both directions, the client's first.
fn directions(suite: Suite, master: &[u8], randoms: [&[u8]; 2]) -> io::Result<[Direction; 2]> {
    let size = suite.cipher.key_len();
    let [client, server] = randoms;
    let seed = [server, client].concat();
    let block = suite.prf(master, b"key expansion", &seed, 2 * size + 8);
    let mut block = Cursor(&block);
    let short = || wrong("too few bytes of keys");
    let keys = [block.take(size), block.take(size)];
    let salts = [block.take(4), block.take(4)];
    let [Some(client), Some(server)] = keys else {
        return Err(short());
    };
    let [Some(client_salt), Some(server_salt)] = salts else {
        return Err(short());
    };
    Ok([
        Direction::new(suite, client, client_salt)?,
        Direction::new(suite, server, server_salt)?,
    ])
}

/// What a server says before it waits for keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flight<'a> {
    suite: usize,
    random: &'a [u8],
    generator: &'a [u8],
    public: &'a [u8],
}

/// Reads the server's first flight: `ServerHello`, `ServerKeyExchange`, `ServerHelloDone`.
/// `Ok(None)` while it has not come whole.
pub(crate) fn flight(messages: &[u8]) -> io::Result<Option<Flight<'_>>> {
    let (mut hello, mut exchange) = (None, None);
    let mut rest = Cursor(messages);
    while let (Some(kind), Some(length)) = (rest.be(1), rest.be(3)) {
        if length > HANDSHAKE_BYTES {
            return Err(wrong("a message that is too long"));
        }
        let Some(body) = rest.take(length) else {
            return Ok(None);
        };
        let mut body = Cursor(body);
        match kind {
            2 => {
                let read = || {
                    body.take(2)?;
                    let random = body.take(32)?;
                    body.counted(1)?;
                    Some((body.be(2)?, random))
                };
                hello = { read }();
            }
            12 => {
                // RFC 5246, 7.4.3: the prime, the generator, the public value; no signature.
                let read = || {
                    body.counted(2)?;
                    Some((body.counted(2)?, body.counted(2)?))
                };
                exchange = { read }();
            }
            14 => {
                let (Some((suite, random)), Some((generator, public))) = (hello, exchange) else {
                    return Err(wrong("a flight that lacks a message"));
                };
                return Ok(Some(Flight {
                    suite,
                    random,
                    generator,
                    public,
                }));
            }
            _ => return Err(wrong("a message that has no place here")),
        }
    }
    Ok(None)
}

/// A greeting that offers nothing else.
fn greeting(random: &[u8; 32]) -> Vec<u8> {
    let mut hello = VERSION.to_vec();
    hello.extend_from_slice(random);
    hello.push(0);
    // The two suites, and that renegotiation is understood (RFC 5746, 3.3).
    hello.extend_from_slice(&[0, 6]);
    for suite in SUITES {
        hello.extend_from_slice(&suite.to_be_bytes());
    }
    hello.extend_from_slice(&[0, 0xff, 1, 0]);
    message(1, &hello)
}

/// One record: its type and body.
async fn next_record(stream: &mut (impl Stream + ?Sized)) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
    if head[1] != 3 || length > RECORD_BYTES + 2048 {
        return Err(wrong("no record of TLS"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((head[0], body))
}

/// Shakes hands on a connection.
///
/// # Errors
/// When the server does not, or not in time.
pub(crate) async fn through<S: Stream>(
    stream: S,
    waits: Waits,
    options: &Options,
) -> io::Result<Anonymous<S>> {
    timeout(waits.answer.max(options.answer), shake(stream))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}

async fn shake<S: Stream>(mut stream: S) -> io::Result<Anonymous<S>> {
    let random = random();
    let mut said = greeting(&random);
    stream.write_all(&record(HANDSHAKE, &said)).await?;
    let greeted = said.len();
    let (master, suite, server_random, exchange) = loop {
        let (kind, body) = next_record(&mut stream).await?;
        if kind != HANDSHAKE || said.len() + body.len() > HANDSHAKE_BYTES {
            return Err(wrong("an answer that is no handshake"));
        }
        said.extend_from_slice(&body);
        let heard = said.get(greeted..).unwrap_or_default();
        let Some(flight) = flight(heard)? else {
            continue;
        };
        let suite = Suite::by_number(flight.suite).ok_or_else(|| wrong("another suite"))?;
        // RFC 5246, 8.1.2: without the zeros at its front.
        let zeros = flight.public.iter().take_while(|&&byte| byte == 0).count();
        let shared = flight.public.get(zeros..).unwrap_or_default();
        let seed = [&random, flight.random].concat();
        let master = suite.prf(shared, b"master secret", &seed, 48);
        let length = u16::try_from(flight.generator.len()).unwrap_or(u16::MAX);
        let exchange = message(16, &[&length.to_be_bytes(), flight.generator].concat());
        break (master, suite, flight.random.to_vec(), exchange);
    };
    let [mut ours, mut theirs] = directions(suite, &master, [&random, &server_random])?;
    said.extend_from_slice(&exchange);
    let hash = digest::digest(suite.hash, &said);
    let verify = suite.prf(&master, b"client finished", hash.as_ref(), 12);
    let mut flight = record(HANDSHAKE, &exchange);
    flight.extend(record(CHANGE_CIPHER_SPEC, &[1]));
    flight.extend(ours.seal(HANDSHAKE, &message(20, &verify))?);
    stream.write_all(&flight).await?;
    stream.flush().await?;
    // A ticket may come before the cipher is changed; it is of no use here.
    loop {
        match next_record(&mut stream).await? {
            (CHANGE_CIPHER_SPEC, _) => break,
            (HANDSHAKE, _) => {}
            _ => return Err(wrong("an alert in place of the end of the handshake")),
        }
    }
    let (kind, body) = next_record(&mut stream).await?;
    let finished = theirs.open(kind, &body)?;
    if kind != HANDSHAKE || finished.first() != Some(&20) {
        return Err(wrong("no end of the handshake"));
    }
    Ok(Anonymous {
        inner: stream,
        ours,
        theirs,
        raw: Vec::new(),
        text: Vec::new(),
        out: Vec::new(),
    })
}

/// A connection through TLS without a certificate.
#[derive(Debug)]
pub(crate) struct Anonymous<S> {
    inner: S,
    ours: Direction,
    theirs: Direction,
    /// What came and is no whole record yet.
    raw: Vec<u8>,
    /// What was opened and not read yet.
    text: Vec<u8>,
    /// What was sealed and not sent yet.
    out: Vec<u8>,
}

impl<S: Stream> Anonymous<S> {
    /// Opens the record at the front, if it has come whole; `false` ends the conversation.
    fn open_next(&mut self) -> io::Result<Option<bool>> {
        let mut cursor = Cursor(&self.raw);
        let (Some(kind), Some(_), Some(length)) = (cursor.be(1), cursor.be(2), cursor.be(2)) else {
            return Ok(None);
        };
        if length > RECORD_BYTES + 2048 {
            return Err(wrong("a record that is too long"));
        }
        let Some(body) = cursor.take(length) else {
            return Ok(None);
        };
        let kind = u8::try_from(kind).unwrap_or_default();
        let text = self.theirs.open(kind, body)?;
        self.raw.drain(..5 + length);
        if kind == APPLICATION_DATA {
            self.text.extend_from_slice(&text);
        }
        // Anything else is an alert: the end, or the announcement of one.
        Ok(Some(kind == APPLICATION_DATA))
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(context, &self.out))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncRead for Anonymous<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.text.is_empty() {
                let count = buffer.remaining().min(this.text.len());
                buffer.put_slice(this.text.get(..count).unwrap_or_default());
                this.text.drain(..count);
                return Poll::Ready(Ok(()));
            }
            match this.open_next()? {
                Some(true) => continue,
                Some(false) => return Poll::Ready(Ok(())),
                None => {}
            }
            let mut chunk = [0; 4096];
            let mut part = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut part))?;
            if part.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.raw.extend_from_slice(part.filled());
        }
    }
}

impl<S: Stream> AsyncWrite for Anonymous<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        let text = bytes.get(..RECORD_BYTES).unwrap_or(bytes);
        this.out = this.ours.seal(APPLICATION_DATA, text)?;
        // What does not go now goes with the next call.
        match this.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(text.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
