//! Faults that strike at once: closed sockets and stream errors. A fault in, outputs out.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::session::conflict;
use super::{ConnectionId, Output, Peer, Turn, World};
use crate::faults::{Fault, FaultError, FaultKind};

impl World {
    /// Sets a fault, or lets it strike now. Returns how many connections were struck.
    pub fn set_fault(&mut self, turn: &mut Turn<'_>, fault: Fault) -> Result<usize, FaultError> {
        let error = match fault.kind {
            FaultKind::Close => None,
            FaultKind::StreamError { code, conflict } => Some(stream_error(code, conflict)),
            FaultKind::DropAck
            | FaultKind::DelayAck { .. }
            | FaultKind::Nack { .. }
            | FaultKind::Latency { .. }
            | FaultKind::RefuseLogin(_)
            | FaultKind::RefuseMedia { .. }
            | FaultKind::Passkey => {
                self.faults.add(fault)?;
                return Ok(0);
            }
        };
        let most = fault.aim.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let struck: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter_map(|(connection, peer)| match peer {
                Peer::Device(link) if fault.aim.includes(&link.id) => Some(*connection),
                Peer::Device(_) | Peer::Pairing(_) => None,
            })
            .take(most)
            .collect();
        for connection in &struck {
            if let Some(error) = &error {
                self.send(turn, *connection, error.clone());
                self.hang_up(turn, *connection);
            } else {
                self.disconnected(turn, *connection);
                turn.outputs.push(Output::Close { connection: *connection, linger: false });
            }
        }
        Ok(struck.len())
    }
}

fn stream_error(code: Option<u16>, kind: Option<crate::faults::Conflict>) -> Node {
    if let Some(kind) = kind {
        return conflict(kind.as_str(), code);
    }
    let error = NodeBuilder::new("stream:error");
    match code {
        Some(code) => error.attr("code", code).build(),
        None => error.build(),
    }
}
