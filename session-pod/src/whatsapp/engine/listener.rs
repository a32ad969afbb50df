//! Hears the client's events: what they mean goes to the session task. Must not wait for anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use session_api::Account;
use whatsapp_rust::prelude::Client;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};

use super::Reporter;
use crate::session::now_ms;
use crate::whatsapp::durability::CommitInbound;
use crate::whatsapp::events;

/// Hears the client's events. Runs on the client's own path: only translates and passes on.
pub(super) struct Listener {
    pub(super) client: Weak<Client>,
    pub(super) hook: CommitInbound,
    pub(super) live: Arc<AtomicBool>,
    pub(super) reporter: Reporter,
}

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        if let Event::Connected(_) = &*event {
            self.live.store(true, Ordering::Release);
        }
        if let Event::Messages(batch) = &*event
            && !batch.hook_committed
            && let Some(client) = self.client.upgrade()
        {
            let (hook, messages) = (self.hook.clone(), Arc::clone(&batch.messages));
            // A store that fails is reported by the hook itself.
            tokio::spawn(async move { hook.take(&client, &messages).await });
        }
        let me = || self.client.upgrade().and_then(|client| me(&client));
        if let Some(signal) = events::signal(&event, now_ms(), me) {
            self.reporter.tell(signal);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::PairingQrCode,
            EventKind::PairingQrCodesExhausted,
            EventKind::PairSuccess,
            EventKind::PairError,
            EventKind::QrScannedWithoutMultidevice,
            EventKind::PairPasskeyRequest,
            EventKind::PairPasskeyConfirmation,
            EventKind::PairPasskeyError,
            EventKind::Connected,
            EventKind::Messages,
            EventKind::Disconnected,
            EventKind::LoggedOut,
            EventKind::StreamReplaced,
            EventKind::TemporaryBan,
            EventKind::ClientOutdated,
            EventKind::ConnectFailure,
            EventKind::ServerAck,
            EventKind::Receipt,
        ])
    }
}

fn me(client: &Client) -> Option<Account> {
    let number = client.pn()?;
    Some(events::account(&number, client.lid().as_ref(), &client.push_name()))
}
