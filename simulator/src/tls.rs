//! The simulator's own certificate authority, for `wss` and the media server. PEM in and out, and a TLS configuration. No sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate could not be made or read.
    #[error("make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// The configuration was refused.
    #[error("configure TLS: {0}")]
    Configure(#[from] rustls::Error),
    /// The leaf's key could not be encoded.
    #[error("encode the TLS key: {0}")]
    EncodeKey(&'static str),
}

/// The authority: its certificate and its key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authority {
    /// What clients must trust.
    pub certificate_pem: String,
    key_pem: String,
}

impl Authority {
    /// A new one.
    pub fn generate() -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let certificate = authority_params().self_signed(&key)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// A server's configuration with a fresh certificate for this machine, and for this host name or address besides.
    pub fn server_config(&self, host: Option<&str>) -> Result<Arc<ServerConfig>, TlsError> {
        let issuer = Issuer::new(authority_params(), KeyPair::from_pem(&self.key_pem)?);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::DnsName(Ia5String::try_from("localhost")?),
            SanType::DnsName(Ia5String::try_from("simulator")?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        if let Some(host) = host {
            params.subject_alt_names.push(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(Ia5String::try_from(host)?),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(TlsError::EncodeKey)?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Arc::new(config))
    }
}

/// The same for every authority; only the key differs.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "warest simulator");
    params
}
