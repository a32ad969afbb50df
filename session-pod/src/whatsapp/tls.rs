//! The one TLS configuration of everything that leaves: Mozilla's roots, and the operator's own beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Why the configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The PEM file.
    #[error("cannot read certificates from {path}: {source}. Give a PEM file with at least one certificate")]
    ExtraCa {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// A certificate in it.
    #[error("{path} holds a certificate that cannot be used as a root: {source}")]
    Root {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The library refuses its own defaults.
    #[error("cannot set TLS up: {0}")]
    Versions(rustls::Error),
}

/// Reads the extra roots and builds the configuration.
///
/// # Errors
/// The file cannot be read, holds no certificate, or one that is no root.
pub(crate) fn client_config(extra_ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra_ca {
        add(&mut roots, path)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let unreadable = |source| TlsError::ExtraCa { path: path.to_owned(), source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(unreadable(rustls_pki_types::pem::Error::NoItemsFound));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|source| TlsError::Root { path: path.to_owned(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        assert!(matches!(client_config(Some(&path)), Err(TlsError::ExtraCa { .. })), "missing");
        std::fs::write(&path, "no certificate").unwrap();
        assert!(matches!(client_config(Some(&path)), Err(TlsError::ExtraCa { .. })), "empty");
        assert!(client_config(None).is_ok());
    }
}
