//! Waiting for a condition with a deadline: the only way in which a test may let time pass.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Generous: two cores run all tests at once.
pub const DEADLINE: Duration = Duration::from_mins(1);

const INTERVAL: Duration = Duration::from_millis(20);

/// Asks until the answer is there.
///
/// # Panics
/// When [`DEADLINE`] passes; `what` says what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    within(DEADLINE, what, ask).await
}

/// [`eventually`] with a deadline of its own.
///
/// # Panics
/// When the deadline passes.
pub async fn within<T, F: Future<Output = Option<T>>>(
    deadline: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited {deadline:?} for {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}
