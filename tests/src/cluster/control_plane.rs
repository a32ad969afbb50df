//! The arguments of the programs of a control plane, and nothing else (pure).
//!
//! Comes in: where a cluster lies ([`Layout`]) and what a test wants ([`ClusterConfig`]). Goes out: command lines.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// What a test may choose about a control plane.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Whether every request is written to an audit log (see [`super::Cluster::audit`]). Costs time at scale.
    pub audit: bool,
    /// How long a node may be silent before it is `NotReady`. Kubernetes' own: 50 s.
    pub node_grace: Duration,
    /// How long pods stay on a node that is `NotReady` or unreachable before they are deleted, seconds. Kubernetes' own: 300.
    pub eviction_seconds: u32,
    /// Address by which kubelets, and pods with a network of their own, reach the API server (see [`super::ContainerNode`]).
    /// Absent: everything stays on loopback, where the volumes of claims are folders that any node reaches.
    pub reachable: Option<Ipv4Addr>,
    /// Extra arguments of kube-apiserver.
    pub api_server: Vec<String>,
    /// Extra arguments of kube-controller-manager.
    pub controller_manager: Vec<String>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            audit: true,
            node_grace: Duration::from_secs(50),
            eviction_seconds: 300,
            reachable: None,
            api_server: Vec::new(),
            controller_manager: Vec::new(),
        }
    }
}

/// Where the parts of a cluster are.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) folder: PathBuf,
    pub(super) address: Ipv4Addr,
    pub(super) etcd: u16,
    pub(super) etcd_peers: u16,
    pub(super) api_server: u16,
    pub(super) controller_manager: u16,
    pub(super) scheduler: u16,
}

/// Every request with its metadata; the control plane's own leases and health checks are left out.
pub(super) const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "users": ["system:apiserver", "system:kube-scheduler", "system:kube-controller-manager"]},
    {"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"]},
    {"level": "Metadata"}
  ]
}"#;

impl Layout {
    /// URL of the API server.
    pub(super) fn server(&self) -> String {
        format!("https://{}:{}", self.address, self.api_server)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    pub(super) fn etcd(&self) -> Vec<String> {
        let clients = format!("http://{}:{}", self.address, self.etcd);
        let peers = format!("http://{}:{}", self.address, self.etcd_peers);
        arguments(&[
            ("name", "default"),
            ("data-dir", &self.path("etcd")),
            ("listen-client-urls", &clients),
            ("advertise-client-urls", &clients),
            ("listen-peer-urls", &peers),
            ("initial-advertise-peer-urls", &peers),
            ("initial-cluster", &format!("default={peers}")),
            ("unsafe-no-fsync", "true"),
            ("log-level", "error"),
        ])
    }

    pub(super) fn api_server(&self, config: &ClusterConfig) -> Vec<String> {
        let eviction = config.eviction_seconds.to_string();
        let mut all = arguments(&[
            ("etcd-servers", &format!("http://{}:{}", self.address, self.etcd)),
            ("secure-port", &self.api_server.to_string()),
            ("service-cluster-ip-range", "10.96.0.0/16"),
            ("tls-cert-file", &self.path("pki/apiserver.crt")),
            ("tls-private-key-file", &self.path("pki/apiserver.key")),
            ("client-ca-file", &self.path("pki/ca.crt")),
            ("cert-dir", &self.path("pki/made")),
            ("service-account-issuer", "https://kubernetes.default.svc"),
            ("service-account-key-file", &self.path("pki/sa.pub")),
            ("service-account-signing-key-file", &self.path("pki/sa.key")),
            ("kubelet-preferred-address-types", "InternalIP"),
            ("authorization-mode", "Node,RBAC"),
            ("enable-admission-plugins", "NodeRestriction,PodSecurity"),
            ("allow-privileged", "true"),
            ("default-not-ready-toleration-seconds", &eviction),
            ("default-unreachable-toleration-seconds", &eviction),
        ]);
        all.extend(self.reach(config.reachable));
        if config.audit {
            all.extend(arguments(&[
                ("audit-policy-file", &self.path("audit-policy.json")),
                ("audit-log-path", &self.path("audit.log")),
                ("audit-log-maxsize", "10000"),
            ]));
        }
        all.extend(config.api_server.iter().cloned());
        all
    }

    /// Where the API server listens, and how it calls kubelets. Kubernetes takes no loopback address as an endpoint of a Service.
    fn reach(&self, reachable: Option<Ipv4Addr>) -> Vec<String> {
        let Some(address) = reachable else {
            let address = self.address.to_string();
            return arguments(&[
                ("bind-address", &address),
                ("advertise-address", &address),
                ("endpoint-reconciler-type", "none"),
            ]);
        };
        arguments(&[
            ("bind-address", "0.0.0.0"),
            ("advertise-address", &address.to_string()),
            ("kubelet-client-certificate", &self.path("pki/admin.crt")),
            ("kubelet-client-key", &self.path("pki/admin.key")),
            ("kubelet-certificate-authority", &self.path("pki/ca.crt")),
        ])
    }

    pub(super) fn controller_manager(&self, config: &ClusterConfig) -> Vec<String> {
        let mut all = self.client("controller-manager", self.controller_manager);
        all.extend(arguments(&[
            ("service-account-private-key-file", &self.path("pki/sa.key")),
            ("root-ca-file", &self.path("pki/ca.crt")),
            ("cluster-signing-cert-file", &self.path("pki/ca.crt")),
            ("cluster-signing-key-file", &self.path("pki/ca.key")),
            ("use-service-account-credentials", "true"),
            ("node-monitor-grace-period", &format!("{}s", config.node_grace.as_secs())),
            ("node-monitor-period", "1s"),
            ("node-eviction-rate", "10"),
            ("pvclaimbinder-sync-period", "5s"),
        ]));
        all.extend(config.controller_manager.iter().cloned());
        all
    }

    pub(super) fn scheduler(&self) -> Vec<String> {
        self.client("scheduler", self.scheduler)
    }

    fn client(&self, name: &str, port: u16) -> Vec<String> {
        arguments(&[
            ("kubeconfig", &self.path(&format!("{name}.kubeconfig"))),
            ("leader-elect", "false"),
            ("kube-api-qps", "5000"),
            ("kube-api-burst", "5000"),
            ("bind-address", &self.address.to_string()),
            ("secure-port", &port.to_string()),
        ])
    }
}

fn arguments(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            folder: "/c".into(),
            address: Ipv4Addr::new(127, 9, 0, 1),
            etcd: 1,
            etcd_peers: 2,
            api_server: 3,
            controller_manager: 4,
            scheduler: 5,
        }
    }

    #[test]
    fn nothing_is_audited_unless_it_is_wanted() {
        let config = ClusterConfig { audit: false, ..ClusterConfig::default() };
        assert!(!layout().api_server(&config).iter().any(|argument| argument.contains("audit")));
        assert!(
            layout().api_server(&ClusterConfig::default()).contains(&"--audit-log-path=/c/audit.log".into())
        );
    }

    #[test]
    fn the_limits_of_the_controllers_are_raised() {
        for all in [layout().controller_manager(&ClusterConfig::default()), layout().scheduler()] {
            assert!(
                all.contains(&"--kube-api-qps=5000".into()) && all.contains(&"--kube-api-burst=5000".into())
            );
        }
    }

    #[test]
    fn loopback_is_left_only_when_it_is_wanted() {
        let has = |config: &ClusterConfig, wanted: &str| layout().api_server(config).contains(&wanted.into());
        assert!(has(&ClusterConfig::default(), "--bind-address=127.9.0.1"));
        let config =
            ClusterConfig { reachable: Some(Ipv4Addr::new(10, 200, 0, 1)), ..ClusterConfig::default() };
        assert!(has(&config, "--bind-address=0.0.0.0") && has(&config, "--advertise-address=10.200.0.1"));
    }

    #[test]
    fn the_audit_policy_is_json() {
        assert!(serde_json::from_str::<serde_json::Value>(AUDIT_POLICY).is_ok());
    }
}
