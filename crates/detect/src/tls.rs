//! TLS as an outsider sees it: versions, cipher, certificate, and a way through.
//!
//! What is modern is spoken by rustls, which checks nothing here, as the question is what is
//! there. What is old is read by [`hello`]: an own greeting and the server's answer in the clear.

pub(crate) mod anonymous;
pub(crate) mod cert;
pub mod hello;
mod through;

use std::collections::BTreeMap;

pub(crate) use anonymous::through as through_anonymous;
use hello::{Greeting, ServerWords, Version};
pub(crate) use through::{Handshake, through};

use crate::options::{Options, Target, Waits};
use crate::talk::{Limited, Stream, connect, hear, say};

/// The protocols that are offered to learn what a server speaks (IANA, "ALPN Protocol IDs"; the
/// last is that of Syncthing).
const OFFERED: [&str; 3] = ["h2", "http/1.1", "bep/1.0"];

/// Greets a server on a fresh connection, and reads what it says in the clear.
pub(crate) async fn greet(
    stream: &mut (impl Stream + ?Sized),
    greeting: &Greeting<'_>,
    waits: Waits,
    options: &Options,
) -> Option<(ServerWords, Vec<u8>)> {
    say(stream, &hello::client_hello(greeting), waits.answer).await;
    let mut bytes = Vec::new();
    hear(stream, &mut bytes, waits.answer, waits, options).await;
    Some((hello::read(&bytes)?, bytes))
}

/// Every version that a server takes, each asked on a connection of its own.
pub(crate) async fn versions(target: &Target, waits: Waits, options: &Options) -> Vec<Version> {
    let ask = |version: Version| async move {
        let (mut stream, _) = connect(target, options).await.ok()?;
        let greeting = Greeting {
            name: target.name.as_deref(),
            newest: version,
            only: true,
        };
        let (words, _) = greet(&mut stream, &greeting, waits, options).await?;
        (words.version? == version).then_some(version)
    };
    futures_util::future::join_all(Version::ALL.map(ask))
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// Everything that a TLS server shows: by what it said in the clear, by a handshake on
/// `stream`, by greeting it with each version.
pub(crate) async fn facts(
    target: &Target,
    words: &ServerWords,
    waits: Waits,
    options: &Options,
) -> BTreeMap<String, String> {
    let (handshake, versions) = futures_util::future::join(
        async {
            let (stream, _) = connect(target, options).await.ok()?;
            if let Some(known) = handshake(stream, target, waits, options, &OFFERED).await {
                return Some(known);
            }
            // A server may refuse whoever offers only what it does not speak (RFC 7301, 3.2).
            let (stream, _) = connect(target, options).await.ok()?;
            handshake(stream, target, waits, options, &[]).await
        },
        versions(target, waits, options),
    )
    .await;
    describe(words, handshake.as_ref(), &versions, options)
}

async fn handshake(
    stream: Limited,
    target: &Target,
    waits: Waits,
    options: &Options,
    alpn: &[&str],
) -> Option<Handshake> {
    let (_, handshake) = through(stream, target, waits, options, alpn).await.ok()?;
    Some(handshake)
}

/// Facts by name.
pub(crate) fn describe(
    words: &ServerWords,
    handshake: Option<&Handshake>,
    versions: &[Version],
    options: &Options,
) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.insert(name.to_owned(), value);
        }
    };
    put(
        "tls.version",
        words.version.map(|version| version.to_string()),
    );
    put("tls.cipher", words.cipher.map(hello::cipher_name));
    put("tls.alert", words.alert.map(hello::alert_name));
    let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
    put("tls.versions", Some(versions.join(", ")));
    let mut certificate = words.certificate.as_deref();
    if let Some(handshake) = handshake {
        put("tls.version", handshake.version.clone());
        put("tls.cipher", handshake.cipher.clone());
        put("tls.alpn", handshake.alpn.clone());
        certificate = handshake.certificate.as_deref().or(certificate);
    }
    if let Some(certificate) = certificate {
        for (name, value) in cert::facts(certificate, options.now) {
            put(&format!("tls.cert.{name}"), Some(value));
        }
    }
    facts
}
