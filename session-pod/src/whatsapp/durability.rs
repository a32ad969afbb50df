//! Commits every inbound message to the session's own store before WhatsApp is told that we have it.
//!
//! Runs inside the client's receive path: it looks numbers up and writes to the store, and sends nothing.
//!
//! whatsapp-rust 0.7.0 writes a session's new ratchet key some 25 ms after a message brought it. A send in between publishes
//! that key; a crash before it is written then leaves a session that cannot read the answers. So the hook, which holds the
//! sender's session, has the keys written before it lets go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use whatsapp_rust::types::events::InboundMessage;
use whatsapp_rust::{Client, InboundDurabilityHook, anyhow, async_trait};

use super::convert;
use super::engine::Reporter;
use crate::session::now_ms;
use crate::session::state::Input;
use crate::store::{Inbound, Store};

/// How long the keys may take to be written before the message is let through. Only a client that is still draining its
/// offline queue makes it wait: it writes them itself.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The hook.
#[derive(Clone)]
pub(super) struct CommitInbound {
    /// Where to.
    pub(super) store: Arc<Store>,
    /// Whether `ping` is answered right now.
    pub(super) auto_reply: Arc<AtomicBool>,
    /// Whether the client is past its offline queue.
    pub(super) live: Arc<AtomicBool>,
    /// Who hears of answers that wait, and of a store that fails.
    pub(super) reporter: Reporter,
}

#[async_trait]
impl InboundDurabilityHook for CommitInbound {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        self.take(&client, batch).await?;
        if self.live.load(Ordering::Acquire) {
            flush(client).await;
        }
        Ok(())
    }
}

impl CommitInbound {
    /// Commits what is an event. Called by the hook, and for messages that come past it: the phone's own copies of what could
    /// not be decrypted.
    pub(super) async fn take(&self, client: &Client, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let auto_reply = self.auto_reply.load(Ordering::Relaxed);
        let mut rows = Vec::new();
        for item in batch {
            rows.extend(row(client, item, auto_reply).await);
        }
        if rows.is_empty() { Ok(()) } else { self.commit(rows).await }
    }

    async fn commit(&self, rows: Vec<Inbound>) -> anyhow::Result<()> {
        let count = rows.len();
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || store.receive(&rows, now_ms())).await? {
            Ok(replies) => {
                self.reporter.metrics.received.inc_by(count as u64);
                for reply in replies {
                    self.reporter.input(Input::Stored { id: reply.id, to: reply.to });
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "an inbound message could not be stored; WhatsApp keeps it");
                self.reporter.input(Input::StorageFailed(error.reason()));
                Err(error.into())
            }
        }
    }
}

/// Has the client write its keys. A task of its own, so that running out of time breaks nothing off.
async fn flush(client: Arc<Client>) {
    let flushing = tokio::spawn(async move { client.flush_pending_signal_state().await });
    match tokio::time::timeout(FLUSH_TIMEOUT, flushing).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the client's keys could not be written yet"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the client takes long to write its keys"),
    }
}

async fn row(client: &Client, item: &InboundMessage, auto_reply: bool) -> Option<Inbound> {
    let (info, message) = (&*item.info, &*item.message);
    if !convert::is_event(info, message) {
        return None;
    }
    let known = match &info.source.sender_alt {
        Some(_) => None,
        None => client.get_lid_pn_entry(&info.source.sender).await.ok().flatten(),
    };
    let from = convert::public_sender(info, known.as_ref().map(|entry| &*entry.phone_number));
    convert::inbound(info, message, from, auto_reply)
}
