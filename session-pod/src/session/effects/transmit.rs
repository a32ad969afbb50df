//! Has messages written to the wire, one after another, beside the session task; it hears how each went.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use session_api::Reason;
use tokio::sync::oneshot;

use crate::session::fresh::Outgoing;
use crate::session::now_ms;
use crate::session::run::Runner;
use crate::session::state::{Input, Signal, Transmission, reason};
use crate::store::{Store, StoreError};

impl Runner {
    /// Has these messages written; what stands behind one that cannot be written is held.
    pub(super) fn transmit(&mut self, (generation, connection): (u64, u64), ids: Vec<String>, behind: bool) {
        let (Some(engine), Some(store)) = (self.engine.clone(), self.setup.store.clone()) else { return };
        let (to_self, metrics) = (self.to_self.clone(), Arc::clone(&self.setup.metrics));
        let line = Arc::clone(&self.line);
        let kept: Vec<_> = ids.into_iter().map(|id| (self.fresh.take(&id), id)).collect();
        let (done, all_written) = oneshot::channel();
        let before = self.last_batch.replace(all_written).filter(|_| behind);
        tokio::spawn(async move {
            let mut written = match before {
                Some(before) => before.await.unwrap_or(false),
                None => true,
            };
            for (fresh, id) in kept {
                let result = match fresh {
                    _ if !written => Transmission::Held,
                    // The next connection writes it.
                    _ if line.load(Ordering::Acquire) != connection => Transmission::Disconnected,
                    Some(Outgoing { to, message }) => engine.transmit(&id, &to, &message).await,
                    None => match stored(&store, &id).await {
                        Ok(Some((to, message))) => engine.transmit(&id, &to, &message).await,
                        Ok(None) => {
                            Transmission::Impossible(reason("not_stored", "the message is not in the store"))
                        }
                        Err(Unread::Message) => Transmission::Unreadable,
                        Err(Unread::Store(why)) => {
                            let _stopped = to_self.send(Input::StorageFailed(why));
                            Transmission::Held
                        }
                    },
                };
                written &= matches!(result, Transmission::Written | Transmission::Unreadable);
                metrics.transmitted(&result);
                let signal = Signal::Transmitted { connection, id, result };
                let _stopped = to_self.send(Input::Engine { generation, signal });
            }
            // Nobody may stand behind it.
            let _last = done.send(written);
        });
    }
}

/// Why a message could not be read.
enum Unread {
    /// It is this one; the store gives back the others.
    Message,
    /// The store has failed.
    Store(Reason),
}

/// Recipient and message of a send, as the store has them.
async fn stored(store: &Arc<Store>, id: &str) -> Result<Option<(String, Vec<u8>)>, Unread> {
    let (store, wanted) = (Arc::clone(store), id.to_owned());
    let read =
        tokio::task::spawn_blocking(move || store.message(&wanted).map_err(|error| unread(&store, &error)));
    let stopped = |_| Err(Unread::Store(reason("store_unwritable", "the store stopped answering")));
    read.await.unwrap_or_else(stopped)
}

/// Whether it is the store that has failed: then it does not take writes, or does not say what waits. Blocks.
fn unread(store: &Store, error: &StoreError) -> Unread {
    let sound = store.probe(now_ms()).and_then(|()| store.queued());
    match sound {
        Ok(_) => {
            tracing::error!(%error, "a message in the outbox cannot be read; the others go on");
            Unread::Message
        }
        Err(failed) => {
            tracing::error!(%error, "the store cannot be read");
            Unread::Store(failed.reason())
        }
    }
}
