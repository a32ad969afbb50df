//! Two phones write to each other.

use buffa::MessageField;
use serde_json::json;

use super::*;
use crate::phone::{AddressServer, DeviceAddress, EntryStatus};

#[test]
fn texts_go_both_ways_first_with_prekeys_and_then_without() {
    let rng = &mut rng(1);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let (a, b) = (Jid::pn("628111"), Jid::pn("628222"));

    let first = write(&mut alice, &mut bob, "A1", "hello", rng);
    assert_eq!(enc_type(&first), "pkmsg");
    let receipts = bob.handle(&relay(&first, &a, &b), NOW, rng);
    assert_eq!(receipts.len(), 1);
    assert_eq!((receipts[0].tag.as_ref(), attr(&receipts[0], "id")), ("receipt", "A1".into()));
    assert_eq!(attr(&receipts[0], "to"), a.to_string());

    let answer = write_to(&mut bob, vec![(a.clone(), None)], a.clone(), ("B1", "hi"), rng);
    assert_eq!(enc_type(&answer), "msg");
    alice.handle(&relay(&answer, &b, &a), NOW, rng);
    let third = write_to(&mut alice, vec![(b.clone(), None)], b.clone(), ("A2", "fine"), rng);
    assert_eq!(enc_type(&third), "msg");
    bob.handle(&relay(&third, &a, &b), NOW, rng);

    assert_eq!(texts(&bob), ["hello", "hi", "fine"]);
    assert_eq!(texts(&alice), ["hello", "hi", "fine"]);
    assert_eq!(bob.inbox(2).len(), 1);
    assert!(bob.inbox(0)[1].from_me && !bob.inbox(0)[0].from_me);
}

#[test]
fn no_session_and_no_bundle_is_said() {
    let rng = &mut rng(2);
    let mut alice = alice(rng);
    let to = Jid::pn("628222");
    let outgoing = Outgoing {
        id: "A1".into(),
        to: to.clone(),
        message: text("hello"),
        devices: vec![(to, None)],
        now_secs: NOW,
    };
    let error = alice.compose(outgoing, rng).unwrap_err();
    assert!(error.to_string().contains("no session with 628222@s.whatsapp.net"), "{error}");
    assert!(alice.inbox(0).is_empty());
}

#[test]
fn a_repeated_message_is_shown_once_and_counted() {
    let rng = &mut rng(3);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let (a, b) = (Jid::pn("628111"), Jid::pn("628222"));
    let once = relay(&write(&mut alice, &mut bob, "A1", "hello", rng), &a, &b);
    for _ in 0..3 {
        let answers = bob.handle(&once, NOW, rng);
        assert_eq!(attr(&answers[0], "type"), "", "a plain delivery receipt, not a retry");
    }
    let again = write_to(&mut alice, vec![(b.clone(), None)], b.clone(), ("A1", "hello"), rng);
    bob.handle(&relay(&again, &a, &b), NOW, rng);
    assert_eq!(texts(&bob), ["hello"]);
    assert_eq!(bob.inbox(0)[0].deliveries, 4);
}

#[test]
fn a_session_under_the_number_serves_the_lid_and_the_inbox_shows_the_number() {
    let rng = &mut rng(4);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let (a, b, a_lid) = (Jid::pn("628111"), Jid::pn("628222"), Jid::lid("9001"));
    say(&mut alice, &mut bob, "A1", "one", rng);
    let next = write_to(&mut alice, vec![(b.clone(), None)], b.clone(), ("A2", "two"), rng);
    let mut next = relay(&next, &a_lid, &b);
    next.attrs.insert("sender_pn", NodeValue::from(a.clone()));
    bob.handle(&next, NOW, rng);

    let entry = &bob.inbox(1)[0];
    assert_eq!((entry.text.as_str(), entry.from.as_str()), ("two", "628111@s.whatsapp.net"));
    assert_eq!((entry.lid.as_deref(), entry.sender.as_str()), (Some("9001@lid"), "9001@lid"));
    assert_eq!(entry.chat, "628111@s.whatsapp.net");
    let lid = DeviceAddress { user: "9001".into(), server: AddressServer::Lid, device: 0 };
    assert!(bob.has_session(&lid));
}

#[test]
fn receipts_and_acks_move_own_messages_forward_only() {
    let rng = &mut rng(5);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let (a, b) = (Jid::pn("628111"), Jid::pn("628222"));
    let sent = write(&mut alice, &mut bob, "A1", "hello", rng);
    assert_eq!(alice.inbox(0)[0].status, EntryStatus::Pending);
    let ack = NodeBuilder::new("ack").attr("class", "message").attr("id", "A1").build();
    assert!(alice.handle(&ack, NOW, rng).is_empty());
    assert_eq!(alice.inbox(0)[0].status, EntryStatus::Sent);

    let delivered = bob.handle(&relay(&sent, &a, &b), NOW, rng).remove(0);
    let acks = alice.handle(&relay_receipt(&delivered, &b), NOW, rng);
    assert_eq!((acks[0].tag.as_ref(), attr(&acks[0], "class")), ("ack", "receipt".into()));
    assert_eq!(alice.inbox(0)[0].status, EntryStatus::Delivered);

    let read = bob.read(&["A1".into(), "unknown".into()], NOW);
    assert_eq!(read.len(), 1);
    assert_eq!((attr(&read[0], "type"), attr(&read[0], "to")), ("read".into(), a.to_string()));
    assert!(bob.read(&["A1".into()], NOW).is_empty(), "read once");
    alice.handle(&relay_receipt(&read[0], &b), NOW, rng);
    alice.handle(&relay_receipt(&delivered, &b), NOW, rng);
    assert_eq!(alice.inbox(0)[0].status, EntryStatus::Read);
}

#[test]
fn an_entry_tells_the_whole_message_in_the_control_apis_shape() {
    let rng = &mut rng(6);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let (a, b) = (Jid::pn("628111"), Jid::pn("628222"));
    let context = wa::ContextInfo {
        stanza_id: Some("Q1".into()),
        mentioned_jid: vec!["628222@s.whatsapp.net".into()],
        quoted_message: MessageField::some(text("before")),
        ..Default::default()
    };
    let message = wa::Message {
        extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
            text: Some("hey @628222".into()),
            context_info: MessageField::some(context),
            ..Default::default()
        }),
        ..Default::default()
    };
    let devices = vec![(b.clone(), Some(bob.next_bundle(rng)))];
    let outgoing = Outgoing { id: "A1".into(), to: b.clone(), message, devices, now_secs: NOW };
    let stanza = alice.compose(outgoing, rng).unwrap();
    bob.handle(&relay(&stanza, &a, &b), NOW, rng);
    let entry = serde_json::to_value(&bob.inbox(0)[0]).unwrap();
    let expected = json!({
        "seq": 1, "id": "A1", "from": "628111@s.whatsapp.net", "lid": null,
        "chat": "628111@s.whatsapp.net", "sender": "628111@s.whatsapp.net", "type": "text",
        "text": "hey @628222", "fromMe": false, "timestamp": NOW, "status": "delivered", "deliveries": 1,
        "message": {"extendedTextMessage": {"text": "hey @628222", "contextInfo": {
            "stanzaId": "Q1", "mentionedJid": ["628222@s.whatsapp.net"],
            "quotedMessage": {"conversation": "before"}}}},
    });
    assert_eq!(entry, expected);
}

#[test]
fn a_phone_goes_on_after_being_written_to_disk() {
    let rng = &mut rng(7);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let (a, b) = (Jid::pn("628111"), Jid::pn("628222"));
    say(&mut alice, &mut bob, "A1", "one", rng);
    let answer = write_to(&mut bob, vec![(a.clone(), None)], a.clone(), ("B1", "two"), rng);
    alice.handle(&relay(&answer, &b, &a), NOW, rng);

    let mut alice = reload(&alice);
    let mut bob = reload(&bob);
    let next = write_to(&mut alice, vec![(b.clone(), None)], b.clone(), ("A2", "three"), rng);
    assert_eq!(enc_type(&next), "msg", "the session survived");
    bob.handle(&relay(&next, &a, &b), NOW, rng);
    let answer = write_to(&mut bob, vec![(a.clone(), None)], a.clone(), ("B2", "four"), rng);
    alice.handle(&relay(&answer, &b, &a), NOW, rng);
    assert_eq!(texts(&bob), ["one", "two", "three", "four"]);
    assert_eq!(texts(&alice), ["one", "two", "three", "four"]);
    assert_eq!(alice.inbox(0).last().map(|entry| entry.seq), Some(4));
}

fn reload(phone: &Phone) -> Phone {
    serde_json::from_str(&serde_json::to_string(phone).unwrap()).unwrap()
}

#[test]
fn a_changed_identity_ends_the_sessions_under_both_addresses() {
    let rng = &mut rng(8);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    bob.meet("628111", "9001");
    say(&mut alice, &mut bob, "A1", "one", rng);
    let lid = DeviceAddress { user: "9001".into(), server: AddressServer::Lid, device: 0 };
    assert!(bob.has_session(&lid));
    let changed = NodeBuilder::new("notification")
        .attr("from", Jid::lid("9001"))
        .attr("type", "encrypt")
        .attr("id", "N1")
        .children([NodeBuilder::new("identity").build()])
        .build();
    let acks = bob.handle(&changed, NOW, rng);
    let ack = (acks[0].tag.as_ref(), attr(&acks[0], "class"), attr(&acks[0], "to"), attr(&acks[0], "type"));
    assert_eq!(ack, ("ack", "notification".into(), "9001@lid".into(), "encrypt".into()));
    assert!(!bob.has_session(&lid));
}

#[test]
fn the_inbox_keeps_the_newest_and_never_reuses_a_seq() {
    let mut inbox = crate::phone::inbox::Inbox::default();
    let arrival = |id: u32| crate::phone::inbox::Arrival {
        id: id.to_string(),
        from: "628111@s.whatsapp.net".into(),
        lid: None,
        chat: "628111@s.whatsapp.net".into(),
        sender: "628111@s.whatsapp.net".into(),
        from_me: false,
        timestamp: NOW,
        status: EntryStatus::Delivered,
    };
    for id in 1..=12_500 {
        inbox.show(arrival(id), &text("x"));
    }
    let kept = inbox.since(0);
    assert!((10_000..11_000).contains(&kept.len()), "{}", kept.len());
    assert_eq!(
        (kept.last().unwrap().seq, inbox.since(12_499).len(), inbox.since(12_500).len()),
        (12_500, 1, 0)
    );
    inbox.show(arrival(12_400), &text("x"));
    assert_eq!(inbox.since(12_399)[0].deliveries, 2);
}

#[test]
fn padding_is_one_to_sixteen_bytes_and_checked() {
    let rng = &mut rng(9);
    let lengths: std::collections::BTreeSet<usize> = (0..500)
        .map(|_| {
            let padded = crate::phone::content::pad(vec![9; 3], rng);
            assert_eq!(crate::phone::content::unpad(&padded, 2), Some([9; 3].as_slice()));
            padded.len() - 3
        })
        .collect();
    assert_eq!(lengths, (1..=16).collect());
    for wrong in [&[][..], &[1, 2, 0], &[1, 2, 2, 3, 3], &[5]] {
        assert_eq!(crate::phone::content::unpad(wrong, 2), None, "{wrong:?}");
    }
    assert_eq!(crate::phone::content::unpad(&[1, 2, 0], 3), Some([1, 2, 0].as_slice()));
}
