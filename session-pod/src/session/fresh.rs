//! Messages that were just put into the store: whoever writes them to the wire need not read them back. Pure.
//!
//! Only a shortcut: what does not fit, and what is tried again, is read from the store.

use std::collections::HashMap;

use crate::store::Draft;

/// Messages that are kept at a time.
const MAX_MESSAGES: usize = 64;
/// Bytes that are kept at a time.
const MAX_BYTES: usize = 1 << 20;

/// A message as it goes to the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Who gets it, a JID.
    pub to: String,
    /// The encoded message.
    pub message: Vec<u8>,
}

/// The messages, by id.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    messages: HashMap<String, Outgoing>,
    bytes: usize,
}

impl Fresh {
    /// Keeps a message that was committed, if there is room.
    pub(crate) fn keep(&mut self, draft: Draft) {
        let bytes = self.bytes + draft.message.len();
        if self.messages.len() >= MAX_MESSAGES || bytes > MAX_BYTES {
            return;
        }
        let outgoing = Outgoing { to: draft.to, message: draft.message };
        if let Some(former) = self.messages.insert(draft.id, outgoing) {
            self.bytes = bytes - former.message.len();
        } else {
            self.bytes = bytes;
        }
    }

    /// Takes a message out: it goes to the wire, or it is settled.
    pub(crate) fn take(&mut self, id: &str) -> Option<Outgoing> {
        let outgoing = self.messages.remove(id)?;
        self.bytes -= outgoing.message.len();
        Some(outgoing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(id: usize, bytes: usize) -> Draft {
        Draft { id: id.to_string(), to: "a@lid".into(), fingerprint: Vec::new(), message: vec![7; bytes] }
    }

    #[test]
    fn a_message_is_there_once() {
        let mut fresh = Fresh::default();
        fresh.keep(draft(1, 3));
        fresh.keep(draft(1, 5));
        assert_eq!(fresh.bytes, 5);
        assert_eq!(fresh.take("1"), Some(Outgoing { to: "a@lid".into(), message: vec![7; 5] }));
        assert_eq!((fresh.take("1"), fresh.bytes), (None, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_by_number_and_by_bytes() {
        let mut fresh = Fresh::default();
        (0..MAX_MESSAGES + 9).for_each(|id| fresh.keep(draft(id, 1)));
        assert_eq!((fresh.messages.len(), fresh.bytes), (MAX_MESSAGES, MAX_MESSAGES));
        let mut fresh = Fresh::default();
        fresh.keep(draft(1, MAX_BYTES));
        fresh.keep(draft(2, 1));
        assert!(fresh.take("2").is_none() && fresh.take("1").is_some());
    }
}
