//! A server without a certificate, made of the same parts: with an exponent of one on our side,
//! what is shared is its public value, so it needs no arithmetic either.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::DuplexStream;

use super::*;

const GENERATOR: &[u8] = &[2];
const PUBLIC: &[u8] = &[0, 0, 7, 7, 7, 9, 1, 2];

fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}

/// What the server says first.
fn first_flight(suite: u16) -> Vec<u8> {
    let mut hello = VERSION.to_vec();
    hello.extend_from_slice(&[9; 32]);
    hello.push(0);
    hello.extend_from_slice(&suite.to_be_bytes());
    hello.push(0);
    let exchange = [counted(&[0xff; 16]), counted(GENERATOR), counted(PUBLIC)].concat();
    [message(2, &hello), message(12, &exchange), message(14, &[])].concat()
}

/// Shakes hands as a server, and answers one record with `answer`; what it was asked.
async fn serve(mut stream: DuplexStream, number: u16, answer: &[u8]) -> Vec<u8> {
    let suite = Suite::by_number(number.into()).unwrap();
    let (_, hello) = next_record(&mut stream).await.unwrap();
    let client_random = hello[6..38].to_vec();
    let flight = first_flight(number);
    // In two records, as a server may.
    let (one, two) = flight.split_at(20);
    stream.write_all(&record(HANDSHAKE, one)).await.unwrap();
    stream.write_all(&record(HANDSHAKE, two)).await.unwrap();
    let (_, exchange) = next_record(&mut stream).await.unwrap();
    assert_eq!(exchange, message(16, &counted(GENERATOR)));
    let seed = [&client_random[..], &[9; 32]].concat();
    let master = suite.prf(&PUBLIC[2..], b"master secret", &seed, 48);
    let [mut theirs, mut ours] = directions(suite, &master, [&client_random, &[9; 32]]).unwrap();
    assert_eq!(
        next_record(&mut stream).await.unwrap().0,
        CHANGE_CIPHER_SPEC
    );
    let (kind, finished) = next_record(&mut stream).await.unwrap();
    let finished = theirs.open(kind, &finished).unwrap();
    let said = [hello, flight, exchange].concat();
    let hash = digest::digest(suite.hash, &said);
    let verify = suite.prf(&master, b"client finished", hash.as_ref(), 12);
    assert_eq!(finished, message(20, &verify));
    let mut end = record(CHANGE_CIPHER_SPEC, &[1]);
    end.extend(ours.seal(HANDSHAKE, &message(20, &[0; 12])).unwrap());
    stream.write_all(&end).await.unwrap();
    let (kind, asked) = next_record(&mut stream).await.unwrap();
    let asked = theirs.open(kind, &asked).unwrap();
    let answer = ours.seal(APPLICATION_DATA, answer).unwrap();
    // A byte at a time at first: a record may come in pieces.
    let (first, rest) = answer.split_at(1);
    stream.write_all(first).await.unwrap();
    stream.write_all(rest).await.unwrap();
    asked
}

fn waits() -> (Waits, Options) {
    let options = Options {
        answer: Duration::from_secs(20),
        talk: Duration::from_secs(20),
        ..Options::at(0)
    };
    (Waits::new(Duration::ZERO, &options), options)
}

#[tokio::test]
async fn a_server_without_a_certificate_is_spoken_through() {
    for suite in SUITES {
        let (ours, theirs) = tokio::io::duplex(4096);
        let server = tokio::spawn(serve(theirs, suite, b"NRPE v4.1.0"));
        let (waits, options) = waits();
        let mut stream = through(ours, waits, &options).await.unwrap();
        stream.write_all(b"who are you?").await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"NRPE v4.1.0");
        assert_eq!(server.await.unwrap(), b"who are you?");
    }
}

#[tokio::test]
async fn a_record_of_another_key_is_refused() {
    let suite = Suite::by_number(0x00a6).unwrap();
    let [mut ours, _] = directions(suite, &[1; 48], [&[2; 32], &[3; 32]]).unwrap();
    let [mut other, _] = directions(suite, &[4; 48], [&[2; 32], &[3; 32]]).unwrap();
    let sealed = ours.seal(APPLICATION_DATA, b"hello").unwrap();
    assert!(other.open(APPLICATION_DATA, &sealed[5..]).is_err());
}

#[test]
fn a_flight_that_lies_is_an_error_and_one_that_is_cut_off_is_waited_for() {
    let whole = first_flight(0x00a6);
    assert_eq!(flight(&whole).unwrap().unwrap().public, PUBLIC);
    for end in 0..whole.len() {
        assert!(matches!(flight(&whole[..end]), Ok(None)), "{end}");
    }
    assert!(flight(&[2, 0xff, 0xff, 0xff]).is_err());
    assert!(flight(&message(14, &[])).is_err());
    assert!(flight(&message(11, &[0, 0, 0])).is_err());
    // The public value claims more than there is.
    let mut lying = first_flight(0x00a6);
    let at = lying.len() - 4 - PUBLIC.len() - 2;
    lying[at] = 0xff;
    assert!(flight(&lying).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = flight(&bytes);
        let suite = Suite::by_number(0x00a7).unwrap();
        let [mut ours, _] = directions(suite, &[1; 48], [&[2; 32], &[3; 32]]).unwrap();
        prop_assert!(ours.open(APPLICATION_DATA, &bytes).is_err());
    }
}
