//! `<iq xmlns="w:m"><media_conn/>`: where files go to and come from, and what to show there.
//!
//! Clients build `https://{hostname}{path}`, so the host name carries the port. whatsmeow insists on `auth`, `ttl`,
//! `auth_ttl` and `max_buckets`. Source: whatsapp-rust `iq/mediaconn.rs`, whatsmeow `mediaconn.go`.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::address::DeviceId;
use crate::world::media::MAX_FILE;
use crate::world::{Turn, World};
use crate::xml;

/// Seconds after which clients ask again.
const TTL: u32 = 300;
/// Seconds for which they trust `auth`.
const AUTH_TTL: u32 = 21_600;

/// Answers with the one host.
pub(crate) fn apply(world: &mut World, turn: &mut Turn<'_>, from: &DeviceId, iq: &Node) -> Node {
    let auth = world.media.auth_for(turn, from);
    let everything = [NodeBuilder::new("upload").build(), NodeBuilder::new("download").build()];
    let host = NodeBuilder::new("host")
        .attr("hostname", world.media.host.as_str())
        .attr("type", "primary")
        .attr("maxContentLengthBytes", MAX_FILE)
        .children(everything)
        .build();
    let conn = NodeBuilder::new("media_conn")
        .attr("auth", auth)
        .attr("ttl", TTL)
        .attr("auth_ttl", AUTH_TTL)
        .attr("max_buckets", "12")
        .children([host])
        .build();
    xml::result(iq, vec![conn])
}
