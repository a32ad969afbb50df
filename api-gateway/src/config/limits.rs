//! Settings of the environment that an admin may change later.
//!
//! Comes in: flags and environment. Goes out: [`Settings`], or which one is wrong.

use clap::Args;

use super::{ConfigError, filled, number, wrong};
use crate::settings::{Settings, Stored};

/// Flags that an admin may change later.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(super) struct Flags {
    /// Window of the rate limit, milliseconds.
    #[arg(long, env = "RATE_LIMIT_WINDOW_MS", default_value = "60000")]
    rate_limit_window_ms: String,
    /// Requests that a key may make in that window.
    #[arg(long, env = "RATE_LIMIT_MAX", default_value = "120")]
    rate_limit_max: String,
    /// Where events of sessions without a webhook of their own shall be posted.
    #[arg(long, env = "WEBHOOK_DEFAULT_URL")]
    webhook_default_url: Option<String>,
    /// Key of the signature of those posts.
    #[arg(long, env = "WEBHOOK_DEFAULT_SECRET", hide_env_values = true)]
    webhook_default_secret: Option<String>,
}

pub(super) fn check(flags: Flags) -> Result<Settings, ConfigError> {
    let read = Stored {
        rate_limit_window_ms: Some(number("RATE_LIMIT_WINDOW_MS", &flags.rate_limit_window_ms, 60_000)?),
        rate_limit_max: Some(number("RATE_LIMIT_MAX", &flags.rate_limit_max, 120)?),
        webhook_default_url: filled(flags.webhook_default_url),
        webhook_default_secret: filled(flags.webhook_default_secret),
    };
    let checked = read.checked().map_err(|error| wrong(setting(error.field), error.problem))?;
    let none = Settings { window_ms: 60_000, max: 120, webhook_url: None, webhook_secret: None };
    Ok(checked.over(&none))
}

/// What the environment calls a stored field.
fn setting(field: &str) -> &'static str {
    match field {
        "rateLimitWindowMs" => "RATE_LIMIT_WINDOW_MS",
        "rateLimitMax" => "RATE_LIMIT_MAX",
        "webhookDefaultUrl" => "WEBHOOK_DEFAULT_URL",
        _ => "WEBHOOK_DEFAULT_SECRET",
    }
}
