//! Settings of the mode `kubernetes`.
//!
//! Comes in: flags and environment. Goes out: a [`ClusterConfig`], or which setting is wrong.

use clap::Args;

use super::{ConfigError, filled, flag, listed, number, wrong};
use crate::directory::kubernetes::{KubernetesSettings, Places};
use crate::session_name::SessionName;

/// Flags of the mode `kubernetes`.
#[derive(Debug, Clone, Args)]
#[group(skip)]
#[command(next_help_heading = "With --mode kubernetes")]
pub(super) struct Flags {
    /// The gateway's own namespace, where keys and settings are; by default that of its service account, outside a pod that of
    /// the kubeconfig's context.
    #[arg(long, env = "WAREST_OWN_NAMESPACE")]
    own_namespace: Option<String>,
    /// Where sessions are made that are made over REST; by default the gateway's own namespace.
    #[arg(long, env = "WAREST_NAMESPACE")]
    namespace: Option<String>,
    /// Where sessions are looked for, separated by commas, or `*` for everywhere; by default where they are made.
    #[arg(long, env = "WAREST_WATCH_NAMESPACES", default_value = "")]
    watch_namespaces: String,
    /// Where the Secret `warest-cluster-key` is; by default the gateway's own namespace.
    #[arg(long, env = "WAREST_CLUSTER_KEY_NAMESPACE")]
    cluster_key_namespace: Option<String>,
    /// Secret in the gateway's own namespace with the API keys (`keys.yaml`). Without it `ADMIN_API_KEY` and `USER_API_KEYS` hold.
    #[arg(long, env = "WAREST_KEYS_SECRET")]
    keys_secret: Option<String>,
    /// Make that Secret with a new admin key if it is not there.
    #[arg(long, env = "WAREST_KEYS_SECRET_CREATE", default_value = "false")]
    keys_secret_create: String,
    /// Name of the `ConfigMap` and the Secret with the settings that an admin changes.
    #[arg(long, env = "WAREST_SETTINGS_NAME", default_value = "warest-settings")]
    settings_name: String,
    /// A watch is begun anew after this time, seconds; what is silent for 5 s longer counts as broken. By default 30.
    #[arg(long, env = "WAREST_WATCH_TIMEOUT_SECONDS", default_value = "")]
    watch_timeout_seconds: String,
}

/// Settings of the mode `kubernetes` that can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The gateway's own namespace, unless it is to be found out.
    pub own_namespace: Option<String>,
    home: Option<String>,
    watched: Option<Places>,
    key_namespace: Option<String>,
    /// The Secret with the API keys.
    pub keys_secret: Option<String>,
    /// Whether it is made if it is not there.
    pub keys_secret_create: bool,
    /// Name of the objects with the settings that an admin changes.
    pub settings_name: String,
    /// How long a watch lasts, seconds.
    pub watch_timeout: u32,
}

impl ClusterConfig {
    /// Where everything is, for a gateway that lives in the namespace `own`.
    pub fn places(&self, own: &str) -> KubernetesSettings {
        let home = self.home.clone().unwrap_or_else(|| own.to_owned());
        KubernetesSettings {
            places: self.watched.clone().unwrap_or_else(|| Places::Namespaces(vec![home.clone()])),
            key_namespace: self.key_namespace.clone().unwrap_or_else(|| own.to_owned()),
            home,
        }
    }
}

pub(super) fn check(flags: Flags, has_admin_key: bool) -> Result<ClusterConfig, ConfigError> {
    let keys_secret = filled(flags.keys_secret);
    let keys_secret_create = flag("WAREST_KEYS_SECRET_CREATE", &flags.keys_secret_create)?;
    match (&keys_secret, has_admin_key) {
        (Some(_), true) => {
            return Err(wrong(
                "WAREST_KEYS_SECRET",
                "ADMIN_API_KEY is set too: only one of them can hold the keys",
            ));
        }
        (None, false) => {
            let problem = "name the Secret with the API keys (or set ADMIN_API_KEY): in a cluster no key is made by itself";
            return Err(wrong("WAREST_KEYS_SECRET", problem));
        }
        (None, true) if keys_secret_create => {
            return Err(wrong("WAREST_KEYS_SECRET_CREATE", "name the Secret in WAREST_KEYS_SECRET"));
        }
        (Some(_), false) | (None, true) => {}
    }
    let home = namespace("WAREST_NAMESPACE", filled(flags.namespace))?;
    let watched = watched(&flags.watch_namespaces)?;
    if let (Some(home), Some(Places::Namespaces(names))) = (&home, &watched)
        && !names.contains(home)
    {
        let problem = format!("{home} is missing: sessions that are made there would never be seen");
        return Err(wrong("WAREST_WATCH_NAMESPACES", problem));
    }
    Ok(ClusterConfig {
        own_namespace: namespace("WAREST_OWN_NAMESPACE", filled(flags.own_namespace))?,
        home,
        watched,
        key_namespace: namespace("WAREST_CLUSTER_KEY_NAMESPACE", filled(flags.cluster_key_namespace))?,
        keys_secret,
        keys_secret_create,
        settings_name: filled(Some(flags.settings_name)).unwrap_or_else(|| "warest-settings".to_owned()),
        watch_timeout: watch_timeout(&flags.watch_timeout_seconds)?,
    })
}

fn watch_timeout(text: &str) -> Result<u32, ConfigError> {
    let name = "WAREST_WATCH_TIMEOUT_SECONDS";
    match number(name, text, 30)? {
        // What forgets silent connections, such as a firewall, does so after 5 minutes or more.
        seconds @ 1..=290 => Ok(seconds),
        seconds => Err(wrong(name, format!("{seconds} is not between 1 and 290"))),
    }
}

fn watched(text: &str) -> Result<Option<Places>, ConfigError> {
    if text.trim() == "*" {
        return Ok(Some(Places::All));
    }
    let names = listed(text).map(|name| namespace("WAREST_WATCH_NAMESPACES", Some(name.to_owned())));
    let names: Vec<String> = names.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    Ok((!names.is_empty()).then_some(Places::Namespaces(names)))
}

/// A namespace's name obeys the same rule as a session's.
fn namespace(setting: &'static str, name: Option<String>) -> Result<Option<String>, ConfigError> {
    match name {
        Some(name) if name.trim().parse::<SessionName>().is_err() => Err(wrong(
            setting,
            format!("{name:?} is no namespace: lower-case letters, digits and hyphens are needed"),
        )),
        name => Ok(name.map(|name| name.trim().to_owned())),
    }
}
