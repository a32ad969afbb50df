//! Messages between two people, and their receipts.

use base64::Engine;
use sha2::Digest;
use waproto::whatsapp as wa;

use super::*;

#[test]
fn a_message_reaches_exactly_the_devices_it_names_under_the_name_they_use() {
    let (mut bench, rita, saul) = two();
    let third = bench.linked(BEN);
    bench.take(saul.connection);
    let to = saul.jid(&bench, Namespace::Pn);
    let answers = bench.send(&rita, &sealed("M1", to.to_non_ad(), std::slice::from_ref(&to)));
    let ack = only(&answers, "ack");
    assert!(xml::is(&ack, "class", "message") && xml::is(&ack, "id", "M1"));
    assert_eq!(xml::jid(&ack, "from"), Some(Jid::pn(BEN)));
    let got = only(&bench.take(saul.connection), "message");
    assert_eq!(xml::jid(&got, "from"), Some(rita.jid(&bench, Namespace::Lid)));
    assert_eq!(xml::jid(&got, "sender_pn"), Some(Jid::pn(ANN)));
    assert!(got.attrs.get("recipient").is_none());
    assert!(bench.take(third.connection).is_empty());
    // Saul answers by number: from then on Rita is a number to him.
    bench.send(&saul, &sealed("M2", Jid::pn(ANN), &[rita.jid(&bench, Namespace::Pn)]));
    bench.take(saul.connection);
    bench.send(&rita, &sealed("M3", to.to_non_ad(), std::slice::from_ref(&to)));
    let got = only(&bench.take(saul.connection), "message");
    assert_eq!(xml::jid(&got, "from"), Some(rita.jid(&bench, Namespace::Pn)));
    assert_eq!(xml::jid(&got, "sender_lid").map(|jid| jid.is_lid()), Some(true));
}

#[test]
fn own_devices_learn_the_conversation() {
    let (mut bench, rita, _) = two();
    let desk = bench.linked(ANN);
    let copy = desk.jid(&bench, Namespace::Lid);
    let chat = bench.world.user_jid(BEN, Namespace::Lid);
    bench.send(&rita, &sealed("M1", chat.clone(), &[copy]));
    let got = only(&bench.take(desk.connection), "message");
    assert_eq!(xml::jid(&got, "recipient"), Some(chat));
    assert_eq!(xml::jid(&got, "peer_recipient_pn"), Some(Jid::pn(BEN)));
    assert!(got.attrs.get("sender_pn").is_none());
}

#[test]
fn a_message_that_is_sent_again_is_acknowledged_again_and_delivered_once() {
    let (mut bench, rita, saul) = two();
    let to = saul.jid(&bench, Namespace::Lid);
    let message = sealed("M1", to.to_non_ad(), std::slice::from_ref(&to));
    for deliveries in [1, 0] {
        assert_eq!(tags(&bench.send(&rita, &message)), ["ack"]);
        assert_eq!(bench.take(saul.connection).len(), deliveries);
    }
    // A retry receipt allows one more.
    let retry = NodeBuilder::new("receipt")
        .attr("id", "M1")
        .attr("type", "retry")
        .attr("to", rita.jid(&bench, Namespace::Lid))
        .children([NodeBuilder::new("retry").attr("count", "1").build()]);
    assert!(xml::is(&only(&bench.send(&saul, &retry.build()), "ack"), "class", "receipt"));
    let asked = only(&bench.take(rita.connection), "receipt");
    assert_eq!(xml::jid(&asked, "from"), Some(saul.jid(&bench, Namespace::Lid)));
    assert_eq!(xml::first_tag(&asked), "retry");
    let again = NodeBuilder::new("message")
        .attr("id", "M1")
        .attr("to", to)
        .children([NodeBuilder::new("enc").attr("count", "1").bytes([2]).build()])
        .build();
    for deliveries in [1, 0] {
        bench.send(&rita, &again);
        assert_eq!(bench.take(saul.connection).len(), deliveries);
    }
}

#[test]
fn messages_to_nobody_are_refused() {
    let (mut bench, rita, _) = two();
    for (to, code) in [(Jid::pn("6289999999"), "404"), (Jid::group("123-456"), "404")] {
        let ack = only(&bench.send(&rita, &sealed("M1", to, &[])), "ack");
        assert!(xml::is(&ack, "error", code));
    }
    let bare = NodeBuilder::new("message").attr("id", "M2").attr("to", Jid::pn(BEN)).build();
    assert!(xml::is(&only(&bench.send(&rita, &bare), "ack"), "error", "400"));
}

#[test]
fn the_ack_tells_a_sender_that_it_addressed_the_wrong_devices() {
    let (mut bench, rita, saul) = two();
    let all = [Jid::pn(ANN), Jid::pn(BEN), saul.jid(&bench, Namespace::Pn)];
    // The phones cannot open these; what matters here is the set of devices.
    let ack = only(&bench.send(&rita, &sealed("M1", Jid::pn(BEN), &all)), "ack");
    assert!(ack.attrs.get("phash").is_none());
    let answers = bench.send(&rita, &sealed("M2", Jid::pn(BEN), &all[1..2]));
    let ack = answers.into_iter().find(|stanza| stanza.tag == "ack" && xml::is(stanza, "id", "M2")).unwrap();
    let mut names: Vec<String> = all.iter().map(Jid::to_phash_form_string).collect();
    names.sort_unstable();
    let hash = sha2::Sha256::digest(names.concat());
    let expected = format!("2:{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(&hash[..6]));
    assert!(xml::is(&ack, "phash", &expected));
}

#[test]
fn receipts_go_to_all_devices_of_the_sender_and_reads_to_ones_own() {
    let (mut bench, rita, saul) = two();
    let (rita2, saul2) = (bench.linked(ANN), bench.linked(BEN));
    for companion in [&rita, &saul] {
        bench.take(companion.connection);
    }
    let receipt = |kind: Option<&'static str>| {
        let list = NodeBuilder::new("list").children([NodeBuilder::new("item").attr("id", "M2").build()]);
        let mut receipt = NodeBuilder::new("receipt").attr("id", "M1").attr("to", Jid::pn(ANN));
        if let Some(kind) = kind {
            receipt = receipt.attr("type", kind);
        }
        receipt.children([list.build()]).build()
    };
    bench.send(&saul, &receipt(None));
    for companion in [&rita, &rita2] {
        let got = only(&bench.take(companion.connection), "receipt");
        assert_eq!(xml::jid(&got, "from"), Some(saul.jid(&bench, Namespace::Lid)));
        assert!(got.attrs.get("type").is_none() && got.attrs.get("recipient").is_none());
        assert_eq!(xml::first_tag(&got), "list");
    }
    assert!(bench.take(saul2.connection).is_empty());
    bench.send(&saul, &receipt(Some("read")));
    assert!(xml::is(&only(&bench.take(rita.connection), "receipt"), "type", "read"));
    let own = only(&bench.take(saul2.connection), "receipt");
    assert_eq!(xml::jid(&own, "recipient").map(|jid| jid.is_lid()), Some(true));
    bench.take(rita2.connection);
    bench.send(&saul, &receipt(Some("read-self")));
    assert!(bench.take(rita.connection).is_empty());
    assert_eq!(bench.take(saul2.connection).len(), 1);
}

#[test]
fn a_phone_that_is_asked_again_without_keys_starts_a_new_session_at_once() {
    let (mut bench, rita, _) = two();
    let text = wa::Message { conversation: Some("hello".to_owned()), ..Default::default() };
    let id = bench.turn(|world, turn| world.phone_writes(turn, BEN, ANN, text)).unwrap();
    let first = only(&bench.take(rita.connection), "message");
    let retry = NodeBuilder::new("retry").attr("id", id.as_str()).attr("count", "1").build();
    let receipt = NodeBuilder::new("receipt")
        .attr("to", xml::jid(&first, "from").unwrap())
        .attr("id", id.as_str())
        .attr("type", "retry")
        .children([retry])
        .build();
    let again = only(&bench.send(&rita, &receipt), "message");
    assert!(xml::is(&again, "id", &id));
    let ephemeral = |stanza: &Node| xml::bytes_at(stanza, &["enc"]).unwrap()[..40].to_vec();
    assert!(xml::is(again.get_optional_child("enc").unwrap(), "type", "pkmsg"));
    assert_ne!(ephemeral(&first), ephemeral(&again), "another prekey, another session");
}
