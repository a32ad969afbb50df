//! Settings of the end: how long the gateway goes on once it is told to stop.
//!
//! Comes in: flags and environment. Goes out: a [`Patience`], or which setting is wrong.

use std::time::Duration;

use clap::Args;

use super::{ConfigError, Mode, number, wrong};
use crate::closing::Patience;

/// Longest time of each, seconds.
const MOST: u64 = 3_600;

/// Flags of the end.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(super) struct Flags {
    /// Seconds that a gateway that is told to stop goes on accepting connections, while `/health/ready` says 503: until nobody
    /// is led to it any more. By default 5 with `--mode kubernetes`, else 0.
    #[arg(long, env = "WAREST_DRAIN_SECONDS", default_value = "")]
    drain_seconds: String,
    /// Seconds that requests under way may take after that. By default 50 with `--mode kubernetes`, else 10.
    #[arg(long, env = "WAREST_GRACE_SECONDS", default_value = "")]
    grace_seconds: String,
}

pub(super) fn check(flags: &Flags, mode: &Mode) -> Result<Patience, ConfigError> {
    let (drain, grace) = match mode {
        Mode::Local => (0, 10),
        // A wish may take 45 s to be carried out, a send waits 20 s for its acknowledgement.
        Mode::Kubernetes(_) => (5, 50),
    };
    Ok(Patience {
        drain: seconds("WAREST_DRAIN_SECONDS", &flags.drain_seconds, drain)?,
        grace: seconds("WAREST_GRACE_SECONDS", &flags.grace_seconds, grace)?,
    })
}

fn seconds(name: &'static str, text: &str, default: u64) -> Result<Duration, ConfigError> {
    match number(name, text, default)? {
        seconds if seconds <= MOST => Ok(Duration::from_secs(seconds)),
        seconds => Err(wrong(name, format!("{seconds} is more than {MOST}"))),
    }
}
