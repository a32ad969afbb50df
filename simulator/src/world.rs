//! The world: accounts, their phones and linked devices, connections, and what waits for whom.
//!
//! Pure. In: something that happened on a connection or on a phone, the time and randomness (a [`Turn`]). Out: what
//! to send and to close, in `Turn::outputs`. No sockets, no clock, no tasks. One file per concern below this one, one
//! file per kind of stanza under `stanza/`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use wacore_binary::Node;

use crate::address::DeviceId;
use crate::faults::Faults;
use crate::metrics::Counters;

pub mod account;
pub mod devices;
pub mod disturb;
pub mod groups;
pub mod keys;
pub mod link_code;
pub mod media;
pub mod pairing;
pub mod phones;
mod qr;
pub mod queue;
pub mod routing;
pub mod sent;
pub mod session;
mod showing;
pub mod stored;
pub mod unknown;

use account::Account;
use groups::Group;
use media::MediaStore;
use pairing::Pairing;
use unknown::Unknown;

/// A connection's number, never used twice while the program runs.
pub type ConnectionId = u64;

/// How many stanzas phones may exchange because of one input; beyond it they have run into a loop.
const MAX_PHONE_STANZAS: usize = 10_000;

/// How long each QR reference is shown. The defaults are WhatsApp's own: 60 s, then five times 20 s.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Milliseconds that the first reference is valid.
    pub qr_first_ms: u64,
    /// Milliseconds of each of the other five.
    pub qr_next_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { qr_first_ms: 60_000, qr_next_ms: 20_000 }
    }
}

/// What the world wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a stanza after everything that was sent before it.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// What.
        stanza: Node,
        /// Milliseconds to hold it (and all that follows) back.
        latency_ms: u64,
    },
    /// Send a stanza later; others may overtake it.
    SendLater {
        /// To whom.
        connection: ConnectionId,
        /// What.
        stanza: Node,
        /// Milliseconds from now.
        delay_ms: u64,
    },
    /// Close a connection once everything before is sent.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Give the client a moment to hang up first, because it was told why.
        linger: bool,
    },
}

/// One input's surroundings, and the outputs it leads to.
pub struct Turn<'a> {
    /// Unix time in milliseconds.
    pub now_ms: u64,
    /// Randomness.
    pub rng: &'a mut StdRng,
    /// What is to be done, in order.
    pub outputs: Vec<Output>,
    /// Stanzas that wait to be handled by phones.
    pub(crate) for_phones: VecDeque<(String, Node)>,
}

impl<'a> Turn<'a> {
    /// A turn at `now_ms`.
    pub fn new(now_ms: u64, rng: &'a mut StdRng) -> Self {
        Self { now_ms, rng, outputs: Vec::new(), for_phones: VecDeque::new() }
    }

    /// Unix time in seconds.
    pub fn now_secs(&self) -> u64 {
        self.now_ms / 1000
    }
}

/// Who is at the other end of a connection.
#[derive(Debug)]
pub enum Peer {
    /// A device that shows a QR code or a link code.
    Pairing(Box<Pairing>),
    /// A linked device.
    Device(Link),
}

/// A linked device's connection.
#[derive(Debug)]
pub struct Link {
    /// Which device.
    pub id: DeviceId,
    /// It asked for its stanzas (`<active/>`): from then on they are sent as they come.
    pub active: bool,
    /// It announced that a person is there.
    pub available: bool,
    /// Unix milliseconds of the server's last ping, or of the login.
    pub pinged_ms: u64,
    /// Whose presence it follows.
    pub follows: BTreeSet<String>,
}

/// Everything the server knows.
#[derive(Default, Serialize, Deserialize)]
pub struct World {
    pub(crate) accounts: BTreeMap<String, Account>,
    /// LID user → number.
    pub(crate) lids: BTreeMap<String, String>,
    /// By id.
    #[serde(default)]
    pub(crate) groups: BTreeMap<String, Group>,
    /// What each device has sent, phones too.
    pub(crate) sent: sent::SentLogs,
    #[serde(skip)]
    pub(crate) connections: HashMap<ConnectionId, Peer>,
    #[serde(skip)]
    pub(crate) online: HashMap<DeviceId, ConnectionId>,
    #[serde(skip)]
    pub(crate) timing: Timing,
    /// The media server's files. They are files on disk, too, not part of the snapshot.
    #[serde(skip)]
    pub(crate) media: MediaStore,
    /// Faults to inject.
    #[serde(skip)]
    pub faults: Faults,
    /// What nobody here understood.
    #[serde(skip)]
    pub unknown: Unknown,
    /// Figures for `/metrics`.
    #[serde(skip)]
    pub counters: Counters,
    /// Ids of the server's own stanzas.
    next_id: u64,
}

impl World {
    /// An empty world.
    pub fn new(timing: Timing) -> Self {
        Self { timing, ..Self::default() }
    }

    /// Sets what a snapshot does not hold.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets the media server's files and where clients find it.
    #[must_use]
    pub fn with_media(mut self, media: MediaStore) -> Self {
        self.media = media;
        self
    }

    /// A stanza arrived on a connection.
    pub fn receive(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, stanza: &Node) {
        self.counters.received(stanza);
        match self.connections.get(&connection) {
            Some(Peer::Pairing(_)) => crate::stanza::from_pairing(self, turn, connection, stanza),
            Some(Peer::Device(link)) => {
                let from = link.id.clone();
                crate::stanza::from_device(self, turn, &from, stanza);
            }
            None => {}
        }
        self.run_phones(turn);
    }

    /// A connection is gone.
    pub fn disconnected(&mut self, turn: &mut Turn<'_>, connection: ConnectionId) {
        let Some(Peer::Device(link)) = self.connections.remove(&connection) else {
            return;
        };
        if self.online.get(&link.id) == Some(&connection) {
            self.online.remove(&link.id);
            crate::stanza::presence::announce(self, turn, &link.id.number);
        }
    }

    /// Time passed: QR codes run out, devices are pinged.
    pub fn tick(&mut self, turn: &mut Turn<'_>) {
        self.expire_pairings(turn);
        self.ping(turn);
    }

    /// Lets the phones handle what was routed to them, and routes what they answer.
    pub(crate) fn run_phones(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..MAX_PHONE_STANZAS {
            let Some((number, stanza)) = turn.for_phones.pop_front() else {
                return;
            };
            let now = turn.now_secs();
            let Some(account) = self.accounts.get_mut(&number) else {
                continue;
            };
            let answers = account.phone.handle(&stanza, now, turn.rng);
            self.phone_downloads(&number);
            let phone = DeviceId::new(number, 0);
            for answer in &answers {
                crate::stanza::from_device(self, turn, &phone, answer);
            }
        }
        tracing::warn!("phones exchanged too many stanzas in one turn; the rest is dropped");
        turn.for_phones.clear();
    }

    /// A fresh id for a stanza of the server.
    pub(crate) fn next_id(&mut self) -> String {
        self.next_id += 1;
        format!("srv-{}", self.next_id)
    }

    /// Sends to a connection, through the faults.
    pub(crate) fn send(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, stanza: Node) {
        let latency_ms = match self.connections.get(&connection) {
            Some(Peer::Device(link)) => self.faults.latency(&link.id),
            Some(Peer::Pairing(_)) | None => 0,
        };
        self.counters.sent(&stanza);
        turn.outputs.push(Output::Send { connection, stanza, latency_ms });
    }

    /// Sends to a device if it is connected. Phones and absent devices get nothing.
    pub(crate) fn send_to(&mut self, turn: &mut Turn<'_>, device: &DeviceId, stanza: Node) {
        if let Some(&connection) = self.online.get(device) {
            self.send(turn, connection, stanza);
        }
    }

    /// Ends a connection after what was sent so far, and forgets who was there.
    pub(crate) fn hang_up(&mut self, turn: &mut Turn<'_>, connection: ConnectionId) {
        self.disconnected(turn, connection);
        turn.outputs.push(Output::Close { connection, linger: true });
    }
}

#[cfg(test)]
mod tests;
