//! Clients of a cluster: who may ask what, and the namespaces that tests work in.
//!
//! Comes in: identities. Goes out: `kube` clients and kubeconfig files. A client lives in the runtime that it was made in,
//! so each test makes its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::PostParams;
use kube::config::Kubeconfig;
use kube::{Api, Client, Config};

use super::kubeconfig::Identity;
use super::{Cluster, Relay};
use crate::wait::eventually;

/// Validity of the tokens of service accounts, seconds.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// A client from a kubeconfig file.
///
/// # Panics
/// When the file is no kubeconfig.
pub fn client_from(kubeconfig: &Path) -> Client {
    client_with(config(kubeconfig))
}

/// What a kubeconfig file says.
///
/// # Panics
/// When the file is no kubeconfig.
pub fn config(kubeconfig: &Path) -> Config {
    let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    Config::try_from(file).expect("a usable kubeconfig")
}

/// A client with a configuration of its own.
///
/// # Panics
/// When the configuration cannot be used.
pub fn client_with(config: Config) -> Client {
    // A second caller may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(config).expect("a client")
}

impl Cluster {
    /// A client of the administrator, who may do everything.
    pub fn client(&self) -> Client {
        client_from(&self.kubeconfig())
    }

    /// Kubeconfig file of the administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder().join("admin.kubeconfig")
    }

    /// A client of a user and its groups (by impersonation).
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        let mut config = config(&self.kubeconfig());
        config.auth_info.impersonate = Some(user.to_owned());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        client_with(config)
    }

    /// A client of a service account, which must exist.
    pub async fn client_for_service_account(&self, namespace: &str, name: &str) -> Client {
        client_from(&self.kubeconfig_for_service_account(namespace, name).await)
    }

    /// Kubeconfig file with a token of a service account, which must exist; its namespace is the file's. The token is good for a day.
    pub async fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> PathBuf {
        let identity = Identity::Token(self.service_account_token(namespace, name).await);
        self.shared.kubeconfig(&format!("{namespace}-{name}"), &self.api_server_url(), namespace, &identity)
    }

    /// [`Cluster::kubeconfig_for_service_account`], with the server behind a [`Relay`] that a test can cut.
    pub async fn kubeconfig_through(&self, relay: &Relay, namespace: &str, name: &str) -> PathBuf {
        let identity = Identity::Token(self.service_account_token(namespace, name).await);
        let server = format!("https://{}", relay.address());
        self.shared.kubeconfig(
            &format!("{namespace}-{name}-{}", relay.address().port()),
            &server,
            namespace,
            &identity,
        )
    }

    /// A token of a service account, which must exist.
    ///
    /// # Panics
    /// When the server gives none.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let spec =
            TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
        answer.expect("a token").status.expect("a token").token
    }

    /// A relay to the API server on an address of the control plane.
    pub async fn relay(&self) -> Relay {
        let address = self.shared.layout.address;
        Relay::start((address, 0).into(), (address, self.shared.layout.api_server).into()).await
    }

    /// A new namespace that pods can start in.
    pub async fn namespace(&self, prefix: &str) -> String {
        self.namespace_with(prefix, &[]).await
    }

    /// A new namespace whose pods must meet the pod security standard `restricted`.
    pub async fn restricted_namespace(&self, prefix: &str) -> String {
        self.namespace_with(prefix, &[("pod-security.kubernetes.io/enforce", "restricted")]).await
    }

    /// A new namespace with labels.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn namespace_with(&self, prefix: &str, labels: &[(&str, &str)]) -> String {
        let name = format!("{prefix}-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        namespace.metadata.labels = Some(labels.collect::<BTreeMap<_, _>>());
        let all: Api<Namespace> = Api::all(self.client());
        all.create(&PostParams::default(), &namespace).await.expect("a namespace");
        self.complete(&name).await;
        name
    }

    /// Waits until a namespace has what a pod in it needs.
    pub(super) async fn complete(&self, namespace: &str) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let maps: Api<ConfigMap> = Api::namespaced(self.client(), namespace);
        eventually("the namespace to have its service account", || async {
            let account = accounts.get_opt("default").await.ok()??;
            let authority = maps.get_opt("kube-root-ca.crt").await.ok()??;
            Some((account, authority))
        })
        .await;
    }
}
