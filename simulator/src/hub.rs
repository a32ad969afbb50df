//! The edge around the world: it holds the lock, the clock and the randomness, and hands outputs to connections.
//!
//! In: closures over the world. Out: stanzas into the connections' channels. The lock is never held across an await.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use wacore_binary::Node;

use crate::noise::ServerKeys;
use crate::world::{ConnectionId, Output, Turn, World};

/// What a connection is told to do.
pub(crate) enum Outbound {
    /// Send a stanza, not before this moment.
    Stanza(Node, Option<Instant>),
    /// Flush and hang up, perhaps after giving the client a moment to do so.
    Close {
        /// Whether to wait for the client.
        linger: bool,
    },
}

/// The world, shared by all connections and the control API.
pub(crate) struct Hub {
    state: Mutex<State>,
    /// The server's Noise keys.
    pub(crate) keys: ServerKeys,
    /// Counts turns, so that others can wait for a change.
    changes: watch::Sender<u64>,
    next_connection: AtomicU64,
}

struct State {
    world: World,
    rng: StdRng,
    connections: HashMap<ConnectionId, mpsc::UnboundedSender<Outbound>>,
}

impl Hub {
    /// A hub around a world.
    pub(crate) fn new(world: World, keys: ServerKeys) -> Self {
        let state = State { world, rng: rand::make_rng(), connections: HashMap::new() };
        Self {
            state: Mutex::new(state),
            keys,
            changes: watch::Sender::new(0),
            next_connection: AtomicU64::new(1),
        }
    }

    /// Runs one turn of the world and performs its outputs.
    pub(crate) fn turn<T>(&self, act: impl FnOnce(&mut World, &mut Turn<'_>) -> T) -> T {
        let mut state = self.lock();
        let State { world, rng, connections } = &mut *state;
        let mut turn = Turn::new(now_ms(), rng);
        let result = act(world, &mut turn);
        for output in turn.outputs {
            perform(connections, output);
        }
        drop(state);
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// Lets the world hear that time passed. Nobody is woken unless something came of it.
    pub(crate) fn tick(&self) {
        let mut state = self.lock();
        let State { world, rng, connections } = &mut *state;
        let mut turn = Turn::new(now_ms(), rng);
        world.tick(&mut turn);
        let outputs = turn.outputs;
        let changed = !outputs.is_empty();
        for output in outputs {
            perform(connections, output);
        }
        drop(state);
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Looks at the world.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock().world)
    }

    /// Wakes on every change of the world.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until `look` finds something, at most until the deadline.
    pub(crate) async fn wait_for<T>(
        &self,
        within: Duration,
        mut look: impl FnMut(&World) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.changes();
        let deadline = Instant::now() + within;
        loop {
            changes.mark_unchanged();
            if let Some(found) = self.look(&mut look) {
                return Some(found);
            }
            tokio::time::timeout_at(deadline, changes.changed()).await.ok()?.ok()?;
        }
    }

    /// Opens a connection's channel.
    pub(crate) fn open(&self) -> (ConnectionId, mpsc::UnboundedReceiver<Outbound>) {
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().connections.insert(id, sender);
        (id, receiver)
    }

    /// Forgets a connection that is gone.
    pub(crate) fn closed(&self, id: ConnectionId) {
        self.lock().connections.remove(&id);
        self.turn(|world, turn| world.disconnected(turn, id));
    }

    /// How many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// A panic while the lock was held leaves a world that is worth looking at, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel is unbounded because what it can hold is bounded by the device's queue; a closed one is fine: the
/// stanza stays in that queue.
fn perform(connections: &HashMap<ConnectionId, mpsc::UnboundedSender<Outbound>>, output: Output) {
    let (connection, outbound, delay_ms) = match output {
        Output::Send { connection, stanza, latency_ms } => {
            let not_before = (latency_ms > 0).then(|| Instant::now() + Duration::from_millis(latency_ms));
            (connection, Outbound::Stanza(stanza, not_before), 0)
        }
        Output::SendLater { connection, stanza, delay_ms } => {
            (connection, Outbound::Stanza(stanza, None), delay_ms)
        }
        Output::Close { connection, linger } => (connection, Outbound::Close { linger }, 0),
    };
    let Some(sender) = connections.get(&connection).cloned() else {
        return;
    };
    if delay_ms == 0 {
        let _ = sender.send(outbound);
        return;
    }
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let _ = sender.send(outbound);
    });
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
