//! Kubeconfig files (JSON is YAML, too).
//!
//! Comes in: a server, the authority's file, an identity. Goes out: text that kubectl, helm, the Kubernetes programs and kube-rs read.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Who a client is.
#[derive(Debug, Clone)]
pub(super) enum Identity {
    /// Certificate and key files.
    Certificate {
        /// Certificate file.
        certificate: PathBuf,
        /// Key file.
        key: PathBuf,
    },
    /// A service account's token.
    Token(String),
}

/// The file's text. `server` is a URL; `namespace` is the one that commands without another mean.
pub(super) fn text(server: &str, namespace: &str, authority: &Path, identity: &Identity) -> String {
    let user = match identity {
        Identity::Certificate { certificate, key } => {
            json!({"client-certificate": certificate, "client-key": key})
        }
        Identity::Token(token) => json!({"token": token}),
    };
    document(&json!({"server": server, "certificate-authority": authority}), &user, namespace).to_string()
}

fn document(cluster: &Value, user: &Value, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "warest", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "warest", "context": {"cluster": "warest", "user": "user", "namespace": namespace}}],
        "current-context": "warest",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_reads_both_identities_and_the_namespace() {
        let token =
            text("https://127.9.0.1:6443", "toko", Path::new("/ca.crt"), &Identity::Token("t".into()));
        let read: kube::config::Kubeconfig = serde_json::from_str(&token).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("warest"));
        assert_eq!(read.contexts[0].context.as_ref().unwrap().namespace.as_deref(), Some("toko"));
        let identity = Identity::Certificate { certificate: "/a.crt".into(), key: "/a.key".into() };
        let read: kube::config::Kubeconfig =
            serde_json::from_str(&text("https://x", "default", Path::new("/ca.crt"), &identity)).unwrap();
        let user = read.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.client_key.as_deref(), Some("/a.key"));
    }
}
