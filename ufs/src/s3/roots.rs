//! [`Roots`]: the authorities that may sign an `https://` endpoint's certificate.

use std::io::Read;
use std::path::Path;

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::{Error, Result};

/// Of a bundle of certificates; the public authorities of the world take a quarter of a MiB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The system's, or those of a file and no others.
pub(super) enum Roots {
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured.
    System,
    File {
        store: RootCertStore,
        /// The same again, for the SDK. It panics on what cannot be parsed; this has been.
        pem: Vec<u8>,
    },
}

impl Roots {
    /// Reads and checks `ca_file`; `url` is for errors.
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self> {
        let Some(path) = ca_file else { return Ok(Self::System) };
        let unusable = |reason: &dyn std::fmt::Display| Error::Config {
            url: url.to_owned(),
            reason: format!("ca_file {path:?}: {reason}; name a file of PEM certificates"),
        };
        let pem = read(path).map_err(|error| unusable(&error))?;
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            store.add(certificate).map_err(|error| unusable(&error))?;
        }
        if store.is_empty() {
            return Err(unusable(&"it holds no certificate"));
        }
        Ok(Self::File { store, pem })
    }

    /// For the SDK's client.
    pub(super) fn context(&self) -> TlsContext {
        let store = match self {
            Self::System => TrustStore::default(),
            Self::File { pem, .. } => TrustStore::empty().with_pem_certificate(pem.as_slice()),
        };
        TlsContext::builder().with_trust_store(store).build().expect("a trust store alone is never refused")
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(pem)
}
