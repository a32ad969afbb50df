//! The gateway's way out: not ready at once, open a little longer for those who do not know yet, then no new connections.
//!
//! Comes in: the wish to stop. Goes out: the same wish, to whoever must know: the probe, answers, waits, the listener.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

/// How long the way out may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long connections are still accepted: until nobody is led here any more.
    pub drain: Duration,
    /// How long requests under way may take after that.
    pub grace: Duration,
}

/// Whether the gateway is on its way out. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Closing(watch::Sender<bool>);

impl Closing {
    /// From now on it is.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends once it is.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut seen = self.0.subscribe();
        async move {
            // Without a sender nobody can wish it any more.
            if seen.wait_for(|begun| *begun).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
