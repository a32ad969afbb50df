//! Messages that cannot be read are asked for again, and come again.

use super::companion::Companion;
use super::*;
use crate::phone::DeviceAddress;

/// Bob loses his memory; Alice's next message needs a retry.
fn broken(rng: &mut StdRng) -> (Phone, Phone, Node) {
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let (a, b) = (Jid::pn("628111"), Jid::pn("628222"));
    say(&mut alice, &mut bob, "A1", "one", rng);
    let answer = write_to(&mut bob, vec![(a.clone(), None)], a.clone(), ("B1", "two"), rng);
    alice.handle(&relay(&answer, &b, &a), NOW, rng);
    for user in bob.people.both(&DeviceAddress::of(&a).unwrap()) {
        bob.signal.forget(&user);
    }
    let lost = write_to(&mut alice, vec![(b.clone(), None)], b.clone(), ("A2", "three"), rng);
    assert_eq!(enc_type(&lost), "msg");
    (alice, bob, relay(&lost, &a, &b))
}

#[test]
fn a_lost_session_is_repaired_by_one_retry() {
    let rng = &mut rng(40);
    let (mut alice, mut bob, lost) = broken(rng);
    let (a, b) = (Jid::pn("628111"), Jid::pn("628222"));
    let retry = bob.handle(&lost, NOW, rng).remove(0);
    assert_eq!(
        (attr(&retry, "type"), attr(&retry, "id"), attr(&retry, "to")),
        ("retry".into(), "A2".into(), a.to_string())
    );
    let asked = retry.get_optional_child("retry").unwrap();
    assert_eq!(
        (attr(asked, "count"), attr(asked, "error"), attr(asked, "v")),
        ("1".into(), "1".into(), "1".into())
    );
    let keys = retry.get_optional_child("keys").unwrap();
    assert!(keys.get_optional_child("key").is_some() && keys.get_optional_child("skey").is_some());
    assert_eq!(
        retry.get_optional_child("registration").and_then(crate::phone::stanza::bytes),
        Some(bob.registration_id().to_be_bytes().as_slice())
    );

    let answers = alice.handle(&relay_receipt(&retry, &b), NOW, rng);
    assert_eq!(answers.len(), 2, "an ack and the message again");
    let again = &answers[1];
    assert_eq!(
        (enc_type(again), attr(again, "id"), attr(again, "to")),
        ("pkmsg".into(), "A2".into(), b.to_string())
    );
    assert_eq!(attr(again.get_optional_child("enc").unwrap(), "count"), "1");
    let receipt = bob.handle(&relay(again, &a, &b), NOW, rng).remove(0);
    assert_eq!(attr(&receipt, "type"), "");
    assert_eq!(texts(&bob), ["one", "two", "three"]);
    assert_eq!(bob.inbox(2)[0].deliveries, 1);
}

#[test]
fn neither_side_retries_for_ever() {
    let rng = &mut rng(41);
    let (mut alice, mut bob, lost) = broken(rng);
    let b = Jid::pn("628222");
    let mut counts = Vec::new();
    let mut resent = 0;
    for _ in 0..8 {
        let answer = bob.handle(&lost, NOW, rng).remove(0);
        let Some(retry) = answer.get_optional_child("retry") else {
            assert_eq!((answer.tag.as_ref(), attr(&answer, "class")), ("ack", "message".into()));
            continue;
        };
        counts.push(attr(retry, "count"));
        for _ in 0..3 {
            resent += alice.handle(&relay_receipt(&answer, &b), NOW, rng).len() - 1;
        }
    }
    assert_eq!(counts, ["1", "2", "3", "4", "5"]);
    assert_eq!(resent, 5);
}

#[test]
fn a_message_is_sent_again_to_those_only_who_it_was_for() {
    let rng = &mut rng(42);
    let (mut alice, mut bob, lost) = broken(rng);
    let retry = bob.handle(&lost, NOW, rng).remove(0);
    let stranger = Jid::pn("628666");
    assert_eq!(alice.handle(&relay_receipt(&retry, &stranger), NOW, rng).len(), 1, "an ack only");
    let mut unknown = relay_receipt(&retry, &Jid::pn("628222"));
    unknown.attrs.insert("id", "A9");
    if let Some(wacore_binary::NodeContent::Nodes(children)) = unknown.content.as_mut() {
        children[0].attrs.insert("id", "A9");
    }
    assert_eq!(alice.handle(&unknown, NOW, rng).len(), 1, "an ack only");
}

#[test]
fn without_keys_the_existing_session_is_used() {
    let rng = &mut rng(43);
    let (mut alice, mut bob, lost) = broken(rng);
    let mut retry = relay_receipt(&bob.handle(&lost, NOW, rng)[0], &Jid::pn("628222"));
    if let Some(wacore_binary::NodeContent::Nodes(children)) = retry.content.as_mut() {
        children.retain(|child| child.tag != "keys");
    }
    let answers = alice.handle(&retry, NOW, rng);
    assert_eq!(enc_type(&answers[1]), "msg");
}

#[test]
fn garbage_is_answered_and_never_shown() {
    let rng = &mut rng(44);
    let mut bob = bob(rng);
    for (kind, body) in
        [("msg", vec![]), ("pkmsg", vec![0x33; 64]), ("skmsg", vec![1]), ("?", vec![2; 2_000_000])]
    {
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", kind).bytes(body).build();
        let stanza =
            NodeBuilder::new("message").attr("from", Jid::pn("628111")).attr("id", kind).children([enc]);
        let answers = bob.handle(&stanza.build(), NOW, rng);
        assert_eq!((answers.len(), attr(&answers[0], "type")), (1, "retry".into()), "{kind}");
    }
    let nameless = NodeBuilder::new("message").attr("from", Jid::pn("628111")).build();
    assert_eq!(bob.handle(&nameless, NOW, rng)[0].tag, "ack");
    assert!(bob.handle(&NodeBuilder::new("presence").build(), NOW, rng).is_empty());
    assert!(bob.inbox(0).is_empty());
}

#[test]
fn an_own_companion_that_could_not_read_its_copy_gets_it_again() {
    let rng = &mut rng(45);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let mut desk = Companion::linked(&mut alice, 5, rng);
    let to = Jid::pn("628222");
    let devices = vec![(to.clone(), Some(bob.next_bundle(rng))), (desk.jid.clone(), Some(desk.bundle(rng)))];
    write_to(&mut alice, devices, to.clone(), ("A1", "hello"), rng);

    let bundle = desk.bundle(rng);
    let retry = NodeBuilder::new("retry").attr("id", "A1").attr("count", "1").build();
    let registration = NodeBuilder::new("registration").bytes(bundle.registration_id.to_be_bytes()).build();
    let keys = crate::phone::retry::keys_node(&bundle);
    let receipt = NodeBuilder::new("receipt")
        .attr("from", desk.jid.clone())
        .attr("id", "A1")
        .attr("type", "retry")
        .attr("recipient", to.clone())
        .children([retry, registration, keys])
        .build();
    let answers = alice.handle(&receipt, NOW, rng);
    assert_eq!(attr(&answers[1], "recipient"), to.to_string());
    let copy = desk.open(&alice, &answers[1], rng).device_sent_message.into_option().unwrap();
    assert_eq!(copy.message.into_option().unwrap().conversation.as_deref(), Some("hello"));
}
