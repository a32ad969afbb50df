//! Phones among themselves, over a relay that does what WhatsApp's server does to a `<message>`.

mod companion;
mod groups;
mod messaging;
mod pairing;
mod retrying;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeValue};
use waproto::whatsapp as wa;

use super::{Outgoing, Phone, PreKeyBundle};

const NOW: u64 = 1_790_000_000;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn alice(rng: &mut StdRng) -> Phone {
    Phone::new("628111", "9001", "Alice", rng)
}

fn bob(rng: &mut StdRng) -> Phone {
    Phone::new("628222", "9002", "Bob", rng)
}

fn text(words: &str) -> wa::Message {
    wa::Message { conversation: Some(words.into()), ..wa::Message::default() }
}

/// Device 0 of `from` writes to device 0 of `to`, with a bundle as the server would hand it out.
fn write(from: &mut Phone, to: &mut Phone, id: &str, words: &str, rng: &mut StdRng) -> Node {
    let bundle = to.next_bundle(rng);
    write_to(from, vec![(Jid::pn(to.number()), Some(bundle))], Jid::pn(to.number()), (id, words), rng)
}

/// The same, delivered: what `to` answers.
fn say(from: &mut Phone, to: &mut Phone, id: &str, words: &str, rng: &mut StdRng) -> Vec<Node> {
    let stanza = write(from, to, id, words, rng);
    to.handle(&relay(&stanza, &Jid::pn(from.number()), &Jid::pn(to.number())), NOW, rng)
}

fn write_to(
    from: &mut Phone,
    devices: Vec<(Jid, Option<PreKeyBundle>)>,
    to: Jid,
    (id, words): (&str, &str),
    rng: &mut StdRng,
) -> Node {
    let outgoing = Outgoing { id: id.into(), to, message: text(words), devices, now_secs: NOW };
    from.compose(outgoing, rng).unwrap()
}

/// The server's part: takes a device's `<enc>` out of the stanza and says who sent it.
fn relay(stanza: &Node, from: &Jid, device: &Jid) -> Node {
    let mut out = NodeBuilder::new("message").attr("from", from.clone()).attr("t", NOW);
    for name in ["id", "type", "category", "recipient"] {
        if let Some(value) = stanza.attrs.get(name) {
            out = out.attr(name, value.clone());
        }
    }
    if from.user == device.user && !stanza.attrs.contains_key("category") {
        out = out.attr("recipient", stanza.attrs.get("to").unwrap().clone());
    }
    let fanned = stanza.get_optional_child("participants").and_then(|participants| {
        participants.get_children_by_tag("to").find(|to| attr(to, "jid") == device.to_string())
    });
    let source = fanned.unwrap_or(stanza);
    let kept = source.get_children_by_tag("enc").chain(stanza.get_children_by_tag("device-identity"));
    out.children(kept.cloned().collect::<Vec<_>>()).build()
}

/// The server's part for receipts: `to` becomes `from`.
fn relay_receipt(receipt: &Node, from: &Jid) -> Node {
    let mut out = receipt.clone();
    out.attrs.0.retain(|(name, _)| name != "to");
    out.attrs.insert("from", NodeValue::from(from.clone()));
    out
}

fn attr(node: &Node, name: &str) -> String {
    node.attrs.get(name).map(|value| value.as_str().into_owned()).unwrap_or_default()
}

fn enc_type(stanza: &Node) -> String {
    let to = stanza.get_optional_child("participants").map_or(stanza, |p| &p.children().unwrap()[0]);
    attr(to.get_optional_child("enc").unwrap(), "type")
}

fn texts(phone: &Phone) -> Vec<&str> {
    phone.inbox(0).iter().map(|entry| entry.text.as_str()).collect()
}
