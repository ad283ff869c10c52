//! The icon of a web page, as a hash by which its program is recognised where it says nothing
//! else.
//!
//! The hash is the one that search engines for services have made common: `MurmurHash3` (x86,
//! 32 bits, seed 0, as a signed number) over the icon in base64 with a line feed after every 76
//! characters and at the end (RFC 2045, 6.8, with `\n`).

use portolan_model::Protocol;

use crate::explore::{Endpoint, HTTP, Via, filled};
use crate::options::Options;
use crate::readers::http::Response;
use crate::redirect::path_on;
use crate::talk::End;

/// The fact that holds the hash.
pub(crate) const FACT: &str = "http.favicon.mmh3";

/// The largest icon that is fetched, in bytes.
const MOST_BYTES: usize = 256 * 1024;

/// Where an icon is when the page names none.
const USUAL: &str = "/favicon.ico";

/// Fetches the icon of a page that was found, from the same endpoint and nowhere else.
pub(crate) async fn hash_of(endpoint: &Endpoint<'_>, via: Via) -> Option<String> {
    if endpoint.target.protocol != Protocol::Tcp || endpoint.options.intensity == 0 {
        return None;
    }
    let path = {
        let notes = endpoint.notes();
        // What is no page has no icon.
        let is_page = notes.fact("http.title").is_some() || notes.fact("http.icon").is_some();
        if !is_page || notes.fact("http.status") != Some("200") {
            return None;
        }
        notes
            .fact("http.icon")
            .and_then(|named| path_on(named, endpoint.target, via))
            .unwrap_or_else(|| USUAL.to_owned())
    };
    let mut probes = endpoint.rules.probes().iter();
    let request = probes.find(|probe| probe.name == HTTP)?.send.first()?;
    let request = filled(request, endpoint.target);
    let rest = request.strip_prefix(b"GET / ")?;
    let request = [b"GET ", path.as_bytes(), b" ", rest].concat();
    let options = Options {
        bytes: MOST_BYTES,
        ..endpoint.options.clone()
    };
    let roomy = Endpoint {
        options: &options,
        ..*endpoint
    };
    let heard = roomy.converse(&[request], false, via, None).await?;
    if heard.end == End::Full {
        return None;
    }
    icon(&heard.bytes).map(|icon| hash(&icon).to_string())
}

/// The bytes of an icon in an answer that came whole; `None` for a page that says there is none.
pub(crate) fn icon(answer: &[u8]) -> Option<Vec<u8>> {
    let response = Response::parse(answer)?;
    let kind = response.header("content-type").unwrap_or_default();
    let is_text = kind.to_ascii_lowercase().starts_with(b"text/");
    if response.status != 200 || is_text {
        return None;
    }
    let body = match response.header("transfer-encoding") {
        Some(_) => unchunked(response.body)?,
        None => response.body.to_vec(),
    };
    if let Some(length) = response.header("content-length") {
        let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
        if body.len() != length {
            return None;
        }
    }
    (!body.is_empty()).then_some(body)
}

/// A body in chunks, put together (RFC 9112, 7.1); `None` for one that is cut off.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let size = body.get(..end)?.split(|&byte| byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(size.trim_ascii()).ok()?, 16).ok()?;
        let rest = body.get(end + 2..)?;
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// The hash of an icon.
fn hash(icon: &[u8]) -> i32 {
    murmur3(&base64_lines(icon)).cast_signed()
}

/// Base64 (RFC 4648, 4) in lines of 76 characters, each with a line feed.
fn base64_lines(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + bytes.len() / 50 + 8);
    // 57 bytes are 76 characters.
    for line in bytes.chunks(57) {
        for three in line.chunks(3) {
            let bits = three
                .iter()
                .chain([&0, &0])
                .take(3)
                .fold(0_usize, |all, &byte| all << 8 | usize::from(byte));
            for place in 0..4 {
                let character = if place <= three.len() {
                    ALPHABET.get(bits >> (18 - 6 * place) & 63)
                } else {
                    Some(&b'=')
                };
                out.extend(character);
            }
        }
        out.push(b'\n');
    }
    out
}

/// `MurmurHash3_x86_32` with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let scrambled = |word: u32| {
        word.wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    };
    let (words, rest) = bytes.as_chunks::<4>();
    let mut state = 0_u32;
    for word in words {
        state ^= scrambled(u32::from_le_bytes(*word));
        state = state
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    let last = rest
        .iter()
        .rev()
        .fold(0, |all, &byte| all << 8 | u32::from(byte));
    state ^= scrambled(last);
    state ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    state = (state ^ state >> 16).wrapping_mul(0x85eb_ca6b);
    state = (state ^ state >> 13).wrapping_mul(0xc2b2_ae35);
    state ^ state >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_is_that_of_its_description() {
        // The values that the algorithm's own reference gives.
        assert_eq!(murmur3(b""), 0);
        assert_eq!(murmur3(b"hello").cast_signed(), 613_153_351);
        assert_eq!(murmur3(b"hello, world"), 0x149b_bb7f);
        assert_eq!(
            murmur3(b"The quick brown fox jumps over the lazy dog"),
            0x2e4f_f723
        );
    }

    #[test]
    fn base64_comes_in_lines() {
        assert_eq!(base64_lines(b""), b"");
        assert_eq!(base64_lines(b"f"), b"Zg==\n");
        assert_eq!(base64_lines(b"fo"), b"Zm8=\n");
        assert_eq!(base64_lines(b"foobar"), b"Zm9vYmFy\n");
        let long = base64_lines(&[0; 60]);
        assert_eq!(long.len(), 77 + 5);
        assert_eq!((long[76], long[81]), (b'\n', b'\n'));
    }

    #[test]
    fn an_icon_is_what_came_whole_and_is_no_page() {
        let whole =
            b"HTTP/1.1 200 OK\r\nContent-Type: image/x-icon\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(icon(whole).as_deref(), Some(&b"abc"[..]));
        assert_eq!(icon(&whole[..whole.len() - 1]), None);
        let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
        assert_eq!(icon(chunks).as_deref(), Some(&b"abc"[..]));
        assert_eq!(icon(&chunks[..chunks.len() - 12]), None);
        for none in [
            &b"HTTP/1.1 404 Not Found\r\n\r\nabc"[..],
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>no such icon",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"\x00\x01",
        ] {
            assert_eq!(icon(none), None);
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(
            head in "(HTTP/1\\.1 200 OK\r\n)?(transfer-encoding: chunked\r\n)?\r\n",
            body in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            icon(&[head.as_bytes(), &body].concat());
        }
    }
}
