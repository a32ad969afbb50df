//! A service account as a pod sees it: a folder at a fixed path with its token and the API server's authority, and the server's
//! address in the environment.
//!
//! Comes in: those. Goes out: commands whose programs find them there, and files that are replaced as a kubelet replaces them.
//! Needs root, for mounts that only the program sees.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

/// The folder; then the program and its arguments.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /var/run
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
mount --bind "$1" /var/run/secrets/kubernetes.io/serviceaccount
shift
exec "$@"
"#;

/// See the file's comment.
#[derive(Debug)]
pub struct ServiceAccount {
    folder: TempDir,
    server: SocketAddr,
}

impl ServiceAccount {
    /// The account's files, for a server that speaks TLS at `server`.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn new(server: SocketAddr, namespace: &str, token: &str, authorities: &str) -> Self {
        let account = Self { folder: TempDir::new().expect("a folder"), server };
        account.replace("namespace", namespace);
        account.replace("token", token);
        account.replace("ca.crt", authorities);
        account
    }

    /// Replaces one of its files: readers see all of it or nothing.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn replace(&self, file: &str, text: &str) {
        let (path, new) = (self.folder.path().join(file), self.folder.path().join("new"));
        std::fs::write(&new, text).expect("a file in a folder of our own");
        std::fs::rename(new, path).expect("a file in a folder of our own");
    }

    /// A program that runs as if in a pod of this account's.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "bash", "-c", SCRIPT, "pod"])
            .arg(self.folder.path())
            .arg(program)
            .env("KUBERNETES_SERVICE_HOST", self.server.ip().to_string())
            .env("KUBERNETES_SERVICE_PORT", self.server.port().to_string());
        command
    }
}
