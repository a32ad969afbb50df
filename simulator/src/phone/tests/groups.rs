//! Phones in a group: who gets the key, who may ask for a message again, and keys that are not what they seem.

use super::*;
use crate::phone::GroupOutgoing;

const GROUP: &str = "120363111111111111";

fn lid(phone: &Phone) -> Jid {
    Jid::lid(phone.lid())
}

/// Device 0 of `from` writes to the group, in which `to` is besides.
fn write_to_group(from: &mut Phone, to: &mut Phone, (id, words): (&str, &str), rng: &mut StdRng) -> Node {
    let members = vec![lid(to)];
    let keyless = from.without_sender_key(&Jid::group(GROUP), &members);
    let devices = keyless.into_iter().map(|jid| (jid, Some(to.next_bundle(rng)))).collect();
    let outgoing = GroupOutgoing {
        id: id.into(),
        group: Jid::group(GROUP),
        message: text(words),
        members,
        devices,
        now_secs: NOW,
    };
    from.compose_for_group(outgoing, rng).unwrap()
}

/// The server's part; `with_key` or as if the key had been lost on the way.
fn relay_to_group(stanza: &Node, from: &Phone, with_key: bool) -> Node {
    let own = stanza.get_optional_child("participants").filter(|_| with_key);
    let own = own.into_iter().flat_map(|p| p.children().unwrap()[0].children().unwrap().to_vec());
    let whole = stanza.get_children_by_tag("enc").cloned();
    NodeBuilder::new("message")
        .attr("from", Jid::group(GROUP))
        .attr("participant", lid(from))
        .attr("participant_pn", Jid::pn(from.number()))
        .attr("id", attr(stanza, "id"))
        .attr("t", NOW)
        .children(own.chain(whole).collect::<Vec<_>>())
        .build()
}

fn as_receipt(receipt: &Node, from: &Phone) -> Node {
    let mut relayed = relay_receipt(receipt, &Jid::group(GROUP));
    relayed.attrs.insert("participant", lid(from));
    relayed
}

#[test]
fn the_key_goes_out_once_and_a_lost_one_is_asked_for() {
    let rng = &mut rng(31);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let first = write_to_group(&mut alice, &mut bob, ("A1", "one"), rng);
    assert!(first.get_optional_child("participants").is_some());
    let retry = bob.handle(&relay_to_group(&first, &alice, false), NOW, rng).remove(0);
    assert_eq!(
        (attr(&retry, "type"), attr(&retry, "participant")),
        ("retry".into(), lid(&alice).to_string())
    );
    assert!(texts(&bob).is_empty());

    let answers = alice.handle(&as_receipt(&retry, &bob), NOW, rng);
    let again = answers.iter().find(|stanza| stanza.tag == "message").unwrap();
    assert_eq!((attr(again, "participant"), attr(again, "id")), (lid(&bob).to_string(), "A1".into()));
    let delivered = bob.handle(&relay_to_group(again, &alice, true), NOW, rng).remove(0);
    assert_eq!((attr(&delivered, "type"), attr(&delivered, "to")), (String::new(), format!("{GROUP}@g.us")));

    let second = write_to_group(&mut alice, &mut bob, ("A2", "two"), rng);
    assert!(second.get_optional_child("participants").is_none(), "he has the key");
    bob.handle(&relay_to_group(&second, &alice, true), NOW, rng);
    assert_eq!(texts(&bob), ["one", "two"]);
    let entry = &bob.inbox(0)[0];
    assert_eq!((entry.chat.clone(), entry.from.as_str()), (format!("{GROUP}@g.us"), "628111@s.whatsapp.net"));
}

#[test]
fn whoever_never_had_the_key_gets_nothing_again() {
    let rng = &mut rng(32);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let mallory = Phone::new("628333", "9003", "Mallory", rng);
    write_to_group(&mut alice, &mut bob, ("A1", "one"), rng);
    let retry = NodeBuilder::new("retry").attr("id", "A1").attr("count", "1").build();
    let receipt =
        NodeBuilder::new("receipt").attr("id", "A1").attr("type", "retry").children([retry]).build();
    let answers = alice.handle(&as_receipt(&receipt, &mallory), NOW, rng);
    assert!(answers.iter().all(|stanza| stanza.tag != "message"), "{answers:?}");
}

#[test]
fn a_key_is_taken_only_for_the_group_in_which_it_came() {
    let rng = &mut rng(33);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let stanza = write_to_group(&mut alice, &mut bob, ("A1", "one"), rng);
    let mut elsewhere = relay_to_group(&stanza, &alice, true);
    elsewhere.attrs.insert("from", Jid::group("120363222222222222"));
    let answers = bob.handle(&elsewhere, NOW, rng);
    assert_eq!(attr(&answers[0], "type"), "retry", "the text is not for that group");
    assert!(texts(&bob).is_empty());
}
