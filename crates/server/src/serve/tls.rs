//! Encryption by rustls: a certificate from files, or one that is made and kept. When its files
//! change, the new certificate counts from the next connection on.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

use super::Encryption;
use crate::error::ServeError;

/// A certificate ready for use.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) config: Arc<ServerConfig>,
    /// What the configuration takes its certificate from.
    pub(crate) certificate: Arc<Certificate>,
    /// The SHA-256 of a certificate that was made.
    pub(crate) fingerprint: Option<String>,
}

/// Reads or makes the certificate.
pub(crate) fn configure(
    encryption: &Encryption,
    address: IpAddr,
) -> Result<Option<Secured>, ServeError> {
    let (certificate, key, is_own) = match encryption {
        Encryption::None => return Ok(None),
        Encryption::Files { certificate, key } => (certificate.clone(), key.clone(), false),
        Encryption::SelfSigned { dir } => {
            let (certificate, key) = (dir.join("tls-cert.pem"), dir.join("tls-key.pem"));
            if !certificate.exists() || !key.exists() {
                make(&certificate, &key, address)?;
            }
            (certificate, key, true)
        }
    };
    let found = Found::of(&certificate, &key);
    let current = load(&certificate, &key)?;
    let fingerprint = is_own
        .then(|| current.cert.first().map(fingerprint))
        .flatten();
    let shown = certificate.clone();
    let certificate = Arc::new(Certificate {
        chain: certificate,
        key,
        state: Mutex::new((found, Arc::new(current))),
    });
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&shown, error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Secured {
        config: Arc::new(config),
        certificate,
        fingerprint,
    }))
}

/// A certificate in files, and what was last read of them.
#[derive(Debug)]
pub(crate) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    state: Mutex<(Found, Arc<CertifiedKey>)>,
}

/// What tells a file from the one that was there before: time, length and place of both.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found([Option<(SystemTime, u64, u64)>; 2]);

impl Found {
    fn of(certificate: &Path, key: &Path) -> Self {
        Self([certificate, key].map(|path| {
            let data = fs::metadata(path).ok()?;
            #[cfg(unix)]
            let place = std::os::unix::fs::MetadataExt::ino(&data);
            #[cfg(not(unix))]
            let place = 0;
            Some((data.modified().ok()?, data.len(), place))
        }))
    }
}

impl Certificate {
    /// Reads the files again where they have changed; `None` where they have not.
    ///
    /// # Errors
    /// When what is there now cannot be used: then the certificate stays the one it was, and the
    /// files are read again only when they change once more.
    pub(crate) fn refresh(&self) -> Option<Result<(), ServeError>> {
        let found = Found::of(&self.chain, &self.key);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 == found {
            return None;
        }
        state.0 = found;
        Some(load(&self.chain, &self.key).map(|new| state.1 = Arc::new(new)))
    }

    /// The file of the certificate.
    pub(crate) fn path(&self) -> &Path {
        &self.chain
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&state.1))
    }
}

fn refused(path: &Path, why: String) -> ServeError {
    ServeError::Certificate {
        path: path.to_owned(),
        why,
    }
}

/// Reads a certificate and its key, and holds one against the other.
fn load(certificate: &PathBuf, key: &PathBuf) -> Result<CertifiedKey, ServeError> {
    let pem = read(certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(refused(certificate, "it holds no certificate".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| refused(key, error.to_string()))?;
    CertifiedKey::from_der(chain, secret, &ring::default_provider())
        .map_err(|error| refused(certificate, error.to_string()))
}

fn read(path: &PathBuf) -> Result<Vec<u8>, ServeError> {
    fs::read(path).map_err(|source| ServeError::File {
        path: path.clone(),
        source,
    })
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let bytes: Vec<_> = Sha256::digest(certificate.as_ref())
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    bytes.join(":")
}

/// Makes a certificate for this machine's names; its key is for the owner alone.
fn make(certificate: &Path, key: &Path, address: IpAddr) -> Result<(), ServeError> {
    let failed = |why: rcgen::Error| ServeError::Certificate {
        path: certificate.to_owned(),
        why: why.to_string(),
    };
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    if !address.is_unspecified() && !names.contains(&address.to_string()) {
        names.push(address.to_string());
    }
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Portolan on this machine");
    let pair = KeyPair::generate().map_err(failed)?;
    let made = params.self_signed(&pair).map_err(failed)?;
    write(certificate, &made.pem())?;
    write(key, &pair.serialize_pem())
}

fn write(path: &Path, text: &str) -> Result<(), ServeError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| ServeError::File {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let encryption = Encryption::SelfSigned {
            dir: dir.path().to_owned(),
        };
        let address = "192.0.2.1".parse().unwrap();
        let first = configure(&encryption, address).unwrap().unwrap();
        let second = configure(&encryption, address).unwrap().unwrap();
        assert_eq!(first.fingerprint, second.fingerprint);
        assert_eq!(first.fingerprint.unwrap().len(), 32 * 3 - 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.path().join("tls-key.pem"))
                .unwrap()
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_certificate_that_changes_is_taken_over_and_a_bad_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("a.pem"), dir.path().join("b.pem"));
        let address = "127.0.0.1".parse().unwrap();
        make(&path, &key, address).unwrap();
        let files = Encryption::Files {
            certificate: path.clone(),
            key: key.clone(),
        };
        let secured = configure(&files, address).unwrap().unwrap();
        let current = || secured.certificate.state.lock().unwrap().1.cert.clone();
        let first = current();
        assert!(secured.certificate.refresh().is_none());
        // A certificate whose key is still the old one.
        let (new, new_key) = (dir.path().join("c.pem"), dir.path().join("d.pem"));
        make(&new, &new_key, address).unwrap();
        fs::rename(&new, &path).unwrap();
        let refused = secured.certificate.refresh().unwrap().unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("cannot use the certificate"),
            "{refused}"
        );
        assert_eq!(current(), first);
        assert!(secured.certificate.refresh().is_none());
        fs::rename(&new_key, &key).unwrap();
        secured.certificate.refresh().unwrap().unwrap();
        assert_ne!(current(), first);
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pem");
        fs::write(&path, "nothing").unwrap();
        let encryption = Encryption::Files {
            certificate: path.clone(),
            key: path.clone(),
        };
        let refused = configure(&encryption, "127.0.0.1".parse().unwrap()).unwrap_err();
        let expected = format!(
            "cannot use the certificate `{}`: it holds no certificate",
            path.display()
        );
        assert_eq!(refused.to_string(), expected);
    }
}
