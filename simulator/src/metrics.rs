//! Figures of the server as Prometheus text. Counts in, text out; no numbers, names or message texts as labels.

use std::collections::BTreeMap;
use std::fmt::Write;

use wacore_binary::Node;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Counters {
    received: BTreeMap<&'static str, u64>,
    sent: BTreeMap<&'static str, u64>,
    refused_logins: u64,
}

impl Counters {
    /// A stanza came in.
    pub fn received(&mut self, stanza: &Node) {
        *self.received.entry(label(stanza)).or_default() += 1;
    }

    /// A stanza goes out.
    pub fn sent(&mut self, stanza: &Node) {
        *self.sent.entry(label(stanza)).or_default() += 1;
    }

    /// A login was refused.
    pub fn refused_login(&mut self) {
        self.refused_logins += 1;
    }
}

/// Only known tags become labels: a client must not be able to make new ones.
fn label(stanza: &Node) -> &'static str {
    const KNOWN: [&str; 13] = [
        "ack",
        "chatstate",
        "failure",
        "ib",
        "iq",
        "message",
        "notification",
        "presence",
        "receipt",
        "stream:error",
        "success",
        "xmlstreamend",
        "call",
    ];
    KNOWN.into_iter().find(|known| stanza.tag == *known).unwrap_or("other")
}

impl super::world::World {
    /// Prometheus text.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        for (name, help, counts) in [
            ("simulator_stanzas_received_total", "Stanzas from clients.", &self.counters.received),
            ("simulator_stanzas_sent_total", "Stanzas to clients.", &self.counters.sent),
        ] {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            for (tag, count) in counts {
                let _ = writeln!(text, "{name}{{tag=\"{tag}\"}} {count}");
            }
        }
        let queued: usize = self
            .accounts()
            .flat_map(|account| account.devices.values())
            .map(|device| device.queue.len())
            .sum();
        let devices: usize = self.accounts().map(|account| account.devices.len()).sum();
        let refused = usize::try_from(self.counters.refused_logins).unwrap_or(usize::MAX);
        let phones = self.accounts().count();
        for (name, kind, help, value) in [
            ("simulator_logins_refused_total", "counter", "Refused logins.", refused),
            ("simulator_connections", "gauge", "Open connections.", self.connections.len()),
            ("simulator_devices_online", "gauge", "Logged-in devices.", self.online.len()),
            ("simulator_devices", "gauge", "Linked devices.", devices),
            ("simulator_phones", "gauge", "Phones.", phones),
            ("simulator_groups", "gauge", "Groups.", self.groups.len()),
            ("simulator_media_files", "gauge", "Files on the media server.", self.media.len()),
            ("simulator_media_bytes", "gauge", "Bytes on the media server.", self.media.total()),
            ("simulator_queued_stanzas", "gauge", "Unacknowledged stanzas.", queued),
        ] {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        text
    }
}
