//! The program's flags, each of them also an environment variable. Nothing else in the operator reads the environment.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Turns every `WhatsAppSession` into exactly one running pod.
#[derive(Debug, Clone, Parser)]
#[command(name = "operator", version)]
pub struct Config {
    /// Namespaces whose sessions are looked after, separated by commas. Empty: all.
    #[arg(long, env = "WAREST_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Label selector on sessions: only those are looked after.
    #[arg(long, env = "WAREST_SELECTOR", default_value = "")]
    pub selector: String,
    /// The operator's own namespace (lease, cluster key). Default: the service account's, or the kubeconfig's.
    #[arg(long, env = "WAREST_NAMESPACE")]
    pub namespace: Option<String>,

    /// What a session's pod is made of.
    #[command(flatten)]
    pub session: SessionFlags,
    /// Who may reach a session's pod.
    #[command(flatten)]
    pub network: NetworkFlags,
    /// Leader election.
    #[command(flatten)]
    pub lease: LeaseFlags,
    /// Changes across all sessions.
    #[command(flatten)]
    pub rollout: RolloutFlags,

    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "WAREST_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// File that gets `host:port` once they are.
    #[arg(long, env = "WAREST_ADDRESS_FILE")]
    pub address_file: Option<std::path::PathBuf>,
    /// How log lines look.
    #[arg(long, env = "WAREST_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// How many sessions are worked on at once.
    #[arg(long, env = "WAREST_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// How long a node has to be away before it counts as lost, seconds.
    #[arg(long, env = "WAREST_NODE_LOSS_SECONDS", default_value_t = 300)]
    pub node_loss_seconds: u32,
    /// How long a node that fails may still look well, seconds: for so long, the pod's grace period and 10 s a pod is waited for
    /// that is gone although nobody saw it end. More than kube-controller-manager's --node-monitor-grace-period. 0: it is not
    /// waited for at all.
    #[arg(long, env = "WAREST_NODE_GRACE_SECONDS", default_value_t = 60)]
    pub node_grace_seconds: u32,
    /// A watch is begun anew after this time, seconds; what is silent for 5 s longer counts as broken.
    #[arg(long, env = "WAREST_WATCH_TIMEOUT_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=290))]
    pub watch_timeout_seconds: u32,
    /// Every session is looked at again after this time, seconds (more or less, so that they do not all come at once).
    #[arg(long, env = "WAREST_RESYNC_SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(10..))]
    pub resync_seconds: u32,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people: a sentence, and `name=value`.
    Text,
    /// For programs: one object a line.
    Json,
}

/// What a session's pod is made of, where its resource does not say so itself.
#[derive(Debug, Clone, Parser)]
pub struct SessionFlags {
    /// The session program's image.
    #[arg(long = "session-image", env = "WAREST_SESSION_IMAGE")]
    pub image: String,
    /// When it is pulled: Always, `IfNotPresent` or Never. Unset: as Kubernetes decides by the tag.
    #[arg(long = "session-image-pull-policy", env = "WAREST_SESSION_IMAGE_PULL_POLICY", value_parser = ["", "Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: Option<String>,
    /// Secrets with registry credentials in each session's namespace, separated by commas.
    #[arg(
        long = "session-image-pull-secrets",
        env = "WAREST_SESSION_IMAGE_PULL_SECRETS",
        value_delimiter = ','
    )]
    pub image_pull_secrets: Vec<String>,
    /// CPU that is set aside for a session.
    #[arg(long = "session-cpu-request", env = "WAREST_SESSION_CPU_REQUEST", default_value = "10m")]
    pub cpu_request: String,
    /// Memory that is set aside for a session.
    #[arg(long = "session-memory-request", env = "WAREST_SESSION_MEMORY_REQUEST", default_value = "32Mi")]
    pub memory_request: String,
    /// Memory that a session may use at most.
    #[arg(long = "session-memory-limit", env = "WAREST_SESSION_MEMORY_LIMIT", default_value = "128Mi")]
    pub memory_limit: String,
    /// WhatsApp's websocket, when it is not the real one.
    #[arg(long, env = "WAREST_WHATSAPP_URL")]
    pub whatsapp_url: Option<String>,
    /// `ConfigMap` in each session's namespace whose key `ca.crt` holds certificates that sessions trust as well.
    #[arg(long, env = "WAREST_EXTRA_CA_CONFIGMAP")]
    pub extra_ca_configmap: Option<String>,
    /// `RUST_LOG` of the sessions.
    #[arg(long = "session-log", env = "WAREST_SESSION_LOG")]
    pub log: Option<String>,
    /// One more environment variable of the sessions, NAME=VALUE (may be given several times; in the environment: a comma list).
    #[arg(long = "session-env", env = "WAREST_SESSION_ENV", value_parser = variables)]
    pub env: Vec<Variables>,
    /// Port of the session program.
    #[arg(long = "session-port", env = "WAREST_SESSION_PORT", default_value_t = 8080)]
    pub port: u16,
}

/// Environment variables, as one flag gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(pub Vec<(String, String)>);

/// Who may reach a session's pod.
#[derive(Debug, Clone, Parser)]
pub struct NetworkFlags {
    /// Namespace of the gateway. Default: the operator's own.
    #[arg(long, env = "WAREST_GATEWAY_NAMESPACE")]
    pub gateway_namespace: Option<String>,
    /// Labels of the gateway's pods, KEY=VALUE separated by commas.
    #[arg(
        long,
        env = "WAREST_GATEWAY_LABELS",
        value_delimiter = ',',
        value_parser = pair,
        default_value = "app.kubernetes.io/name=warest,app.kubernetes.io/component=api-gateway"
    )]
    pub gateway_labels: Vec<(String, String)>,
    /// Labels of the operator's own pods, KEY=VALUE separated by commas.
    #[arg(
        long,
        env = "WAREST_OPERATOR_LABELS",
        value_delimiter = ',',
        value_parser = pair,
        default_value = "app.kubernetes.io/name=warest,app.kubernetes.io/component=operator"
    )]
    pub operator_labels: Vec<(String, String)>,
    /// Namespace whose pods may reach the sessions too, to collect their metrics. Unset: none.
    #[arg(long, env = "WAREST_METRICS_NAMESPACE")]
    pub metrics_namespace: Option<String>,
}

/// Leader election.
#[derive(Debug, Clone, Parser)]
pub struct LeaseFlags {
    /// Whether one of several operators leads and the others wait.
    #[arg(long = "leader-elect", env = "WAREST_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub elect: bool,
    /// Name of the lease.
    #[arg(long = "lease-name", env = "WAREST_LEASE_NAME", default_value = "warest-operator")]
    pub name: String,
    /// How long a leader is waited for that does not renew, seconds.
    #[arg(long = "lease-duration-seconds", env = "WAREST_LEASE_DURATION_SECONDS", default_value_t = 15)]
    pub duration_seconds: u32,
    /// How long a leader tries to renew before it gives up, seconds.
    #[arg(
        long = "lease-renew-deadline-seconds",
        env = "WAREST_LEASE_RENEW_DEADLINE_SECONDS",
        default_value_t = 10
    )]
    pub renew_deadline_seconds: u32,
    /// Time between two tries, seconds.
    #[arg(long = "lease-retry-seconds", env = "WAREST_LEASE_RETRY_SECONDS", default_value_t = 2)]
    pub retry_seconds: u32,
}

/// Changes across all sessions.
#[derive(Debug, Clone, Parser)]
pub struct RolloutFlags {
    /// How many sessions may be away at once because of a rollout: a number, or a share such as 5%.
    #[arg(long = "rollout-max-unavailable", env = "WAREST_ROLLOUT_MAX_UNAVAILABLE", default_value = "5%")]
    pub max_unavailable: String,
    /// How many sessions may fail to come back before a rollout stops.
    #[arg(long = "rollout-max-failures", env = "WAREST_ROLLOUT_MAX_FAILURES", default_value_t = 1)]
    pub max_failures: u32,
    /// How long a session may take to come back, seconds.
    #[arg(
        long = "rollout-progress-deadline-seconds",
        env = "WAREST_ROLLOUT_PROGRESS_DEADLINE_SECONDS",
        default_value_t = 300
    )]
    pub progress_deadline_seconds: u32,
}

impl Config {
    /// How long a node has to be away before it counts as lost.
    pub fn node_loss(&self) -> Duration {
        Duration::from_secs(self.node_loss_seconds.into())
    }

    /// How long a node that fails may still look well.
    pub fn node_grace(&self) -> Duration {
        Duration::from_secs(self.node_grace_seconds.into())
    }

    /// After how long every session is looked at again.
    pub fn resync(&self) -> Duration {
        Duration::from_secs(self.resync_seconds.into())
    }
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

/// `NAME=VALUE` or `NAME=VALUE,NAME=VALUE`. A comma that no name follows belongs to the value.
fn variables(text: &str) -> Result<Variables, String> {
    let is_name = |name: &str| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let mut all: Vec<(String, String)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        match (part.split_once('=').filter(|(name, _)| is_name(name) && !name.is_empty()), all.last_mut()) {
            (Some((name, value)), _) => all.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push(',');
                value.push_str(part);
            }
            (None, None) => return Err(format!("{text:?} is not NAME=VALUE")),
        }
    }
    Ok(Variables(all))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_image_alone_is_enough_and_every_flag_has_a_variable() {
        Config::command().debug_assert();
        let config = Config::try_parse_from(["operator", "--session-image", "warest/session-pod:1"]).unwrap();
        assert!(config.lease.elect && config.watch_namespaces.is_empty());
        assert_eq!(config.network.gateway_labels.len(), 2);
        let flags = Config::command();
        let silent: Vec<_> = flags.get_arguments().filter(|flag| flag.get_env().is_none()).collect();
        let unnamed: Vec<_> = silent
            .iter()
            .map(|flag| flag.get_id().as_str())
            .filter(|id| !["help", "version"].contains(id))
            .collect();
        assert!(unnamed.is_empty(), "{unnamed:?}");
    }

    #[test]
    fn what_is_no_pair_or_no_policy_is_refused() {
        let parse =
            |more: &[&str]| Config::try_parse_from([&["operator", "--session-image", "i"], more].concat());
        let env = |text: &str| parse(&["--session-env", text]).unwrap().session.env[0].0.clone();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(env("A=b=c"), [pair("A", "b=c")]);
        assert_eq!(env("NO_PROXY=a,.b,A=1"), [pair("NO_PROXY", "a,.b"), pair("A", "1")]);
        for bad in
            [["--session-env", "A"], ["--session-image-pull-policy", "sometimes"], ["--concurrency", "0"]]
        {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
        assert!(!parse(&["--leader-elect", "false"]).unwrap().lease.elect);
    }
}
