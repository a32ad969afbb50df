//! What a client sends, what it and others get: one file per kind of stanza, more or less.

mod faults;
mod groups;
mod keys;
mod messages;
mod others;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::address::Namespace;
use crate::faults::{Aim, Fault, FaultKind};
use crate::testing::{Bench, Companion, iq, only, public, sealed, tags};
use crate::xml;

const ANN: &str = "6281000001";
const BEN: &str = "6281000002";

fn two() -> (Bench, Companion, Companion) {
    let mut bench = Bench::new();
    let (rita, saul) = (bench.linked(ANN), bench.linked(BEN));
    bench.take(rita.connection);
    bench.take(saul.connection);
    (bench, rita, saul)
}

fn ask(
    bench: &mut Bench,
    from: &Companion,
    kind: &'static str,
    namespace: &'static str,
    child: Node,
) -> Node {
    let answers = bench.send(from, &iq(kind, namespace).children([child]).build());
    let answer = answers.into_iter().find(|stanza| stanza.tag == "iq").unwrap();
    assert!(xml::is(&answer, "id", "q1"));
    answer
}

fn empty(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

fn fault(kind: FaultKind, number: &str) -> Fault {
    Fault { kind, aim: Aim { number: Some(number.to_owned()), device: None, count: Some(1) } }
}
