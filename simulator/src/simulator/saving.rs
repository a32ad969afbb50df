//! The tasks beside the sockets: time passes, and the world is saved a moment after it changed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::snapshot::{StateDir, encode_world};

/// The world is saved at most this often.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// How often the world hears that time passed.
const TICK: Duration = Duration::from_millis(250);

/// Tells the world that time passes.
pub(super) async fn tick(hub: Arc<Hub>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(TICK);
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        hub.tick();
    }
}

/// Saves the world a moment after it changed.
pub(super) async fn save_often(hub: Arc<Hub>, dir: StateDir, stop: CancellationToken) {
    let mut changes = hub.changes();
    while stop
        .run_until_cancelled(async {
            let news = changes.changed().await;
            tokio::time::sleep(SAVE_EVERY).await;
            news
        })
        .await
        .is_some_and(|news| news.is_ok())
    {
        changes.mark_unchanged();
        save(Arc::clone(&hub), dir.clone()).await;
    }
}

/// Saves the world now.
pub(super) async fn save(hub: Arc<Hub>, dir: StateDir) {
    let saved = tokio::task::spawn_blocking(move || {
        let encoded = hub.look(encode_world)?;
        dir.save_world(&encoded)
    });
    match saved.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the world could not be saved"),
        Err(error) => tracing::error!(%error, "saving the world broke off"),
    }
}
