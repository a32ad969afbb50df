//! `--check URL`: asks whether a gateway answers well, for probes that have no other HTTP client.
//!
//! Comes in: a URL. Goes out: nothing, or a sentence. It must not read or open anything else.

use std::time::Duration;

/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// So much of a bad answer is told.
const TOLD: usize = 500;

/// Asks once.
pub async fn check(url: &str) -> Result<(), String> {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.map_err(|error| whole(&error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = answer.text().await.unwrap_or_default();
    Err(format!("{url} answers {status}: {}", body.chars().take(TOLD).collect::<String>()))
}

fn whole(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", whole(cause)),
        None => error.to_string(),
    }
}
