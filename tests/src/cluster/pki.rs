//! The certificates of one cluster.
//!
//! Comes in: the addresses of its API server. Goes out: PEM files in a folder. Everything is made anew for each cluster.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The first address of the services' range: the API server's own service.
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// The API server's names on every cluster.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "kubernetes.default.svc"];

/// A certificate authority and the folder where its certificates lie.
#[derive(Debug)]
pub(super) struct Pki {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Makes the authority (`ca.crt`), the API server's certificate (`apiserver.crt`) and the
    /// keys of service accounts (`sa.key`, `sa.pub`).
    pub(super) fn create(folder: PathBuf, addresses: &[Ipv4Addr]) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        authority.distinguished_name.push(DnType::CommonName, "warest-test-ca");
        let certificate = authority.self_signed(&key).expect("a certificate");
        write(&folder.join("ca.crt"), &certificate.pem());
        write(&folder.join("ca.key"), &key.serialize_pem());
        let accounts = KeyPair::generate().expect("a key");
        write(&folder.join("sa.key"), &accounts.serialize_pem());
        write(&folder.join("sa.pub"), &accounts.public_key_pem());
        let pki = Self { folder, issuer: Issuer::new(authority, key) };
        let addresses = addresses.iter().chain(&[SERVICE]).map(ToString::to_string);
        let names: Vec<_> = addresses.chain(NAMES.map(str::to_owned)).collect();
        pki.server("apiserver", &names.iter().map(String::as_str).collect::<Vec<_>>());
        pki
    }

    /// Makes `<name>.crt` and `<name>.key` for a server with these host names and addresses.
    pub(super) fn server(&self, name: &str, hosts: &[&str]) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(name, params);
    }

    /// Makes `<name>.crt` and `<name>.key` for a user and its group.
    pub(super) fn client(&self, name: &str, user: &str, group: Option<&str>) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(name, params);
    }

    fn issue(&self, name: &str, mut params: CertificateParams) {
        let key = KeyPair::generate().expect("a key");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        write(&self.file(&format!("{name}.crt")), &certificate.pem());
        write(&self.file(&format!("{name}.key")), &key.serialize_pem());
    }

    /// Path of a file by name, for example `ca.crt`.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file in a folder of our own");
}
