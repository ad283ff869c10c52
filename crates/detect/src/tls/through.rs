//! Speaking through TLS 1.2 and 1.3, whatever certificate the server shows.

use std::io;
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::options::{Options, Target, Waits};
use crate::talk::Limited;

/// What a handshake showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Handshake {
    pub(crate) version: Option<String>,
    pub(crate) cipher: Option<String>,
    pub(crate) alpn: Option<String>,
    pub(crate) certificate: Option<Vec<u8>>,
}

/// Takes every certificate, and keeps the server's own.
#[derive(Debug, Default)]
struct Anything {
    seen: Mutex<Option<Vec<u8>>>,
}

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(end_entity.to_vec());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ]
    }
}

/// Shakes hands on a connection, offering the protocols `alpn`.
///
/// # Errors
/// When the server does not, or not in time.
pub(crate) async fn through(
    stream: Limited,
    target: &Target,
    waits: Waits,
    options: &Options,
    alpn: &[&str],
) -> io::Result<(TlsStream<Limited>, Handshake)> {
    let verifier = Arc::new(Anything::default());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let named = target
        .name
        .clone()
        .and_then(|name| ServerName::try_from(name).ok());
    let name = named.unwrap_or_else(|| ServerName::from(target.address));
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    // A handshake takes two round trips and the server's arithmetic.
    let stream = timeout(waits.answer.max(options.answer), connecting)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    let (_, session) = stream.get_ref();
    let handshake = Handshake {
        version: session.protocol_version().map(|version| match version {
            rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        }),
        cipher: session
            .negotiated_cipher_suite()
            .map(|suite| super::hello::cipher_name(u16::from(suite.suite()))),
        alpn: session
            .alpn_protocol()
            .map(|name| crate::escape::field(name, 40)),
        certificate: verifier.seen.lock().ok().and_then(|mut seen| seen.take()),
    };
    Ok((stream, handshake))
}
