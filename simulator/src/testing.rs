//! A bench for pure tests: a world, companions that really sign what they are given, and what was sent to them.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::KeyPair;

use crate::address::{DeviceId, server};
use crate::world::{ConnectionId, Output, Timing, Turn, World};
use crate::xml;

pub(crate) mod client;
mod companion;
pub(crate) mod initiator;

/// When every bench starts.
pub(crate) const START_MS: u64 = 1_800_000_000_000;

/// A world with its surroundings.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) now_ms: u64,
    pub(crate) rng: StdRng,
    next_connection: ConnectionId,
    /// What was sent and not yet looked at.
    sent: BTreeMap<ConnectionId, Vec<Node>>,
    /// Connections that were closed.
    pub(crate) closed: Vec<ConnectionId>,
    /// Delayed stanzas.
    pub(crate) later: Vec<(ConnectionId, Node, u64)>,
}

/// A client's keys.
pub(crate) struct Companion {
    pub(crate) noise: KeyPair,
    pub(crate) identity: KeyPair,
    adv_secret: [u8; 32],
    /// Known once paired.
    pub(crate) id: DeviceId,
    pub(crate) connection: ConnectionId,
    refs: Vec<String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            world: World::new(Timing::default()),
            now_ms: START_MS,
            rng: StdRng::seed_from_u64(1),
            next_connection: 0,
            sent: BTreeMap::new(),
            closed: Vec::new(),
            later: Vec::new(),
        }
    }

    /// Runs one turn and sorts its outputs.
    pub(crate) fn turn<T>(&mut self, act: impl FnOnce(&mut World, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn::new(self.now_ms, &mut self.rng);
        let result = act(&mut self.world, &mut turn);
        for output in turn.outputs {
            match output {
                Output::Send { connection, stanza, .. } => {
                    self.sent.entry(connection).or_default().push(stanza);
                }
                Output::SendLater { connection, stanza, delay_ms } => {
                    self.later.push((connection, stanza, delay_ms));
                }
                Output::Close { connection, .. } => self.closed.push(connection),
            }
        }
        result
    }

    /// Takes what was sent to a connection.
    pub(crate) fn take(&mut self, connection: ConnectionId) -> Vec<Node> {
        self.sent.remove(&connection).unwrap_or_default()
    }

    /// Sends a stanza as a client and takes what comes back to it.
    pub(crate) fn send(&mut self, from: &Companion, stanza: &Node) -> Vec<Node> {
        self.turn(|world, turn| world.receive(turn, from.connection, stanza));
        self.take(from.connection)
    }

    /// A phone with this number.
    pub(crate) fn phone(&mut self, number: &str) {
        self.turn(|world, turn| world.create_phone(Some(number), None, turn.rng)).unwrap();
    }

    /// A client that shows a QR code.
    pub(crate) fn stranger(&mut self) -> Companion {
        let mut companion = Companion::new(&mut self.rng);
        companion.connection = self.next_connection();
        let (connection, key) = (companion.connection, public(&companion.noise));
        let payload = companion.registration();
        self.turn(|world, turn| world.connected(turn, connection, key, &payload));
        companion.read_references(&self.take(connection)[0]);
        companion
    }

    /// A linked, connected and active client of a new phone with this number.
    pub(crate) fn linked(&mut self, number: &str) -> Companion {
        if self.world.account(number).is_err() {
            self.phone(number);
        }
        let mut companion = self.stranger();
        let qr = companion.qr(0);
        let offered = self.turn(|world, turn| world.scan(turn, number, &qr)).unwrap();
        let success = self.take(companion.connection).remove(0);
        companion.id = offered.id;
        let answer = companion.sign(&success);
        let after = self.send(&companion, &answer);
        assert!(xml::is(&after[0], "code", "515"), "{after:?}");
        self.log_in(&mut companion);
        self.upload_keys(&companion, 20);
        for stanza in self.activate(&companion) {
            if matches!(stanza.tag.as_ref(), "message" | "notification") {
                self.send(&companion, &acknowledgement(&stanza));
            }
        }
        companion
    }

    /// Logs a linked client in on a new connection; returns what it is told first.
    pub(crate) fn log_in(&mut self, companion: &mut Companion) -> Node {
        companion.connection = self.next_connection();
        let payload = companion.login();
        let (connection, key) = (companion.connection, public(&companion.noise));
        self.turn(|world, turn| world.connected(turn, connection, key, &payload));
        self.take(connection).remove(0)
    }

    /// Asks for stanzas; returns what came.
    pub(crate) fn activate(&mut self, companion: &Companion) -> Vec<Node> {
        let active = iq("set", "passive").children([NodeBuilder::new("active").build()]).build();
        self.send(companion, &active)
    }

    /// The connection breaks.
    pub(crate) fn drop_connection(&mut self, companion: &Companion) {
        self.turn(|world, turn| world.disconnected(turn, companion.connection));
    }

    /// Uploads one-time prekeys 1 to `count`.
    pub(crate) fn upload_keys(&mut self, companion: &Companion, count: u32) -> Vec<Node> {
        let upload = companion.upload(count, &mut self.rng);
        self.send(companion, &upload)
    }

    /// Lets the world hear what time it is.
    pub(crate) fn tick(&mut self) {
        self.turn(World::tick);
    }

    fn next_connection(&mut self) -> ConnectionId {
        self.next_connection += 1;
        self.next_connection
    }
}

/// A message with one sealed text per device named.
pub(crate) fn sealed(id: &str, to: Jid, devices: &[Jid]) -> Node {
    let copies = devices.iter().map(|jid| {
        NodeBuilder::new("to")
            .attr("jid", jid)
            .children([NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").bytes([1]).build()])
            .build()
    });
    NodeBuilder::new("message")
        .attr("id", id)
        .attr("to", to)
        .attr("type", "text")
        .children([NodeBuilder::new("participants").children(copies.collect::<Vec<_>>()).build()])
        .build()
}

/// A client's acknowledgement.
pub(crate) fn acknowledgement(stanza: &Node) -> Node {
    NodeBuilder::new("ack")
        .attr("class", stanza.tag.as_ref())
        .attr("id", stanza.attrs.get("id").unwrap().clone())
        .attr("to", stanza.attrs.get("from").unwrap().clone())
        .build()
}

/// An iq to the server.
pub(crate) fn iq(kind: &'static str, namespace: &'static str) -> NodeBuilder {
    NodeBuilder::new("iq").attr("id", "q1").attr("to", server()).attr("type", kind).attr("xmlns", namespace)
}

/// A raw public key.
pub(crate) fn public(pair: &KeyPair) -> [u8; 32] {
    pair.public_key.public_key_bytes().try_into().unwrap()
}

/// The tags of stanzas, in order.
pub(crate) fn tags(stanzas: &[Node]) -> Vec<&str> {
    stanzas.iter().map(|stanza| stanza.tag.as_ref()).collect()
}

/// The only stanza with this tag.
pub(crate) fn only(stanzas: &[Node], tag: &str) -> Node {
    let mut found = stanzas.iter().filter(|stanza| stanza.tag == tag);
    let first = found.next().unwrap_or_else(|| panic!("no <{tag}> in {stanzas:?}"));
    assert!(found.next().is_none(), "more than one <{tag}> in {stanzas:?}");
    first.clone()
}
