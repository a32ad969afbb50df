//! One test per kind of stanza: what a client sends, what it and others get.

use base64::Engine;
use sha2::Digest;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp as wa;

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

#[test]
fn every_unknown_iq_is_refused_and_listed() {
    let (mut bench, rita, _) = two();
    let answer = ask(&mut bench, &rita, "get", "w:nonsense", empty("x"));
    assert!(xml::is(&answer, "type", "error"));
    assert!(xml::is(answer.get_optional_child("error").unwrap(), "code", "501"));
    bench.send(&rita, &NodeBuilder::new("nonsense").build());
    let listed: Vec<_> = bench.world.unknown.items().map(|item| item.stanza.clone()).collect();
    assert!(listed.len() == 2 && listed[0].contains("w:nonsense"), "{listed:?}");
}

#[test]
fn settings_and_pings_are_answered() {
    let (mut bench, rita, _) = two();
    let pong = bench.send(&rita, &iq("get", "w:p").build());
    assert!(xml::is(&pong[0], "type", "result") && pong[0].attrs.get("t").is_some());
    for (kind, namespace, child, expected) in [
        ("get", "abt", empty("props"), "props"),
        ("get", "w", empty("props"), "props"),
        ("get", "blocklist", empty("list"), "list"),
        ("get", "privacy", empty("privacy"), "privacy"),
        ("set", "privacy", empty("tokens"), ""),
        ("set", "urn:xmpp:whatsapp:dirty", empty("clean"), ""),
    ] {
        let answer = ask(&mut bench, &rita, kind, namespace, child);
        assert!(xml::is(&answer, "type", "result"), "{namespace}");
        assert_eq!(xml::first_tag(&answer), expected, "{namespace}");
    }
    assert_eq!(bench.world.unknown.items().count(), 0);
}

#[test]
fn an_upload_counts_digests_and_must_be_signed() {
    let (mut bench, rita, saul) = two();
    let count = ask(&mut bench, &rita, "get", "encrypt", empty("count"));
    // One of the twenty went to the phone, for the app-state key.
    assert!(xml::is(count.get_optional_child("count").unwrap(), "value", "19"));
    let digest = ask(&mut bench, &rita, "get", "encrypt", empty("digest"));
    let keys = bench.world.device(&rita.id).unwrap().keys.clone().unwrap();
    assert_eq!(xml::array_at(&digest, &["digest", "hash"]), Some(keys.digest()));
    assert_eq!(xml::array_at(&digest, &["digest", "identity"]), Some(public(&rita.identity)));
    let forged = saul.upload(5, &mut bench.rng);
    let mut swapped = rita.upload(5, &mut bench.rng);
    if let (Some(wacore_binary::NodeContent::Nodes(ours)), Some(theirs)) =
        (&mut swapped.content, forged.children())
    {
        ours[4] = theirs[4].clone();
    }
    let answer = bench.send(&rita, &swapped);
    assert!(xml::is(&answer[0], "type", "error"));
}

#[test]
fn a_signed_prekey_is_rotated_only_with_a_right_signature() {
    let (mut bench, rita, saul) = two();
    for (signer, outcome) in [(&saul, "error"), (&rita, "result")] {
        let skey = signer.upload(0, &mut bench.rng).get_optional_child("skey").unwrap().clone();
        let rotate = NodeBuilder::new("rotate").children([skey.clone()]).build();
        let answer = ask(&mut bench, &rita, "set", "encrypt", rotate);
        assert!(xml::is(&answer, "type", outcome));
        let stored = bench.world.device(&rita.id).unwrap().keys.as_ref().unwrap().signed.public;
        assert_eq!(xml::array_at(&skey, &["value"]) == Some(stored), outcome == "result");
    }
}

#[test]
fn bundles_are_handed_out_once_and_the_device_hears_when_they_run_low() {
    let (mut bench, rita, saul) = two();
    let target = rita.jid(&bench, Namespace::Lid);
    let mut ids = Vec::new();
    for _ in 0..21 {
        let user = NodeBuilder::new("user").attr("jid", &target).build();
        let key = NodeBuilder::new("key").children([user]).build();
        let answer = ask(&mut bench, &saul, "get", "encrypt", key);
        let user = answer.get_optional_child_by_tag(&["list", "user"]).unwrap();
        assert!(user.get_optional_child("device-identity").is_some());
        ids.extend(xml::number_at(user, &["key", "id"]));
    }
    ids.sort_unstable();
    let handed = ids.len();
    ids.dedup();
    assert_eq!((handed, ids.len()), (19, 19));
    let notices: Vec<_> = bench.take(rita.connection);
    assert!(xml::is(&only(&notices, "notification"), "type", "encrypt"));
}

#[test]
fn bundles_of_phones_and_of_nobody() {
    let (mut bench, rita, _) = two();
    let users = [Jid::pn(BEN), Jid::pn_device(BEN, 9), Jid::pn("6289999999")]
        .map(|jid| NodeBuilder::new("user").attr("jid", jid).build());
    let key = NodeBuilder::new("key").children(users).build();
    let answer = ask(&mut bench, &rita, "get", "encrypt", key);
    let list = xml::children(answer.get_optional_child("list").unwrap());
    assert!(list[0].get_optional_child("key").is_some());
    for refused in &list[1..] {
        assert!(xml::is(refused.get_optional_child("error").unwrap(), "code", "406"));
    }
}

#[test]
fn usync_tells_devices_lids_and_who_is_on_whatsapp() {
    let (mut bench, rita, saul) = two();
    let query = NodeBuilder::new("query").children(["devices", "contact", "lid"].map(empty)).build();
    let users = [
        NodeBuilder::new("user").attr("jid", Jid::pn(BEN)).build(),
        NodeBuilder::new("user").children([xml::leaf("contact", b"+6289999999".to_vec())]).build(),
    ];
    let usync = NodeBuilder::new("usync")
        .attr("sid", "s")
        .children([query, NodeBuilder::new("list").children(users).build()])
        .build();
    let answer = ask(&mut bench, &rita, "get", "usync", usync);
    let list = xml::children(answer.get_optional_child_by_tag(&["usync", "list"]).unwrap());
    let devices = list[0].get_optional_child_by_tag(&["devices", "device-list"]).unwrap();
    let ids: Vec<_> = xml::children(devices).iter().filter_map(|device| xml::text(device, "id")).collect();
    assert_eq!(ids, ["0", "1"]);
    assert!(xml::bytes_at(&list[0], &["devices", "key-index-list"]).is_some());
    let lid = list[0].get_optional_child("lid").unwrap();
    assert_eq!(xml::jid(lid, "val"), Some(saul.jid(&bench, Namespace::Lid).to_non_ad()));
    assert!(xml::is(list[0].get_optional_child("contact").unwrap(), "type", "in"));
    assert!(xml::is(list[1].get_optional_child("contact").unwrap(), "type", "out"));
}

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

#[test]
fn presence_is_told_to_those_who_follow() {
    let (mut bench, rita, saul) = two();
    let subscribe = NodeBuilder::new("presence").attr("type", "subscribe").attr("to", Jid::pn(BEN)).build();
    assert!(xml::is(&only(&bench.send(&rita, &subscribe), "presence"), "type", "unavailable"));
    let available = NodeBuilder::new("presence").attr("type", "available").attr("name", "Saul").build();
    bench.send(&saul, &available);
    assert!(only(&bench.take(rita.connection), "presence").attrs.get("type").is_none());
    assert_eq!(bench.world.device(&saul.id).unwrap().push_name.as_deref(), Some("Saul"));
    bench.drop_connection(&saul);
    assert!(xml::is(&only(&bench.take(rita.connection), "presence"), "type", "unavailable"));
    let unsubscribe =
        NodeBuilder::new("presence").attr("type", "unsubscribe").attr("to", Jid::pn(BEN)).build();
    bench.send(&rita, &unsubscribe);
    let mut saul = saul;
    bench.log_in(&mut saul);
    bench.send(&saul, &available);
    assert!(bench.take(rita.connection).is_empty());
}

#[test]
fn typing_is_relayed_and_not_kept() {
    let (mut bench, rita, mut saul) = two();
    let typing =
        NodeBuilder::new("chatstate").attr("to", Jid::pn(BEN)).children([empty("composing")]).build();
    bench.send(&rita, &typing);
    assert_eq!(xml::first_tag(&only(&bench.take(saul.connection), "chatstate")), "composing");
    bench.drop_connection(&saul);
    bench.send(&rita, &typing);
    bench.log_in(&mut saul);
    assert!(!tags(&bench.activate(&saul)).contains(&"chatstate"));
}

#[test]
fn app_state_is_empty_at_first_and_patches_reach_the_other_devices() {
    let (mut bench, rita, _) = two();
    let desk = bench.linked(ANN);
    bench.take(rita.connection);
    let sync = |version: &str, patch: Option<Node>| {
        let collection = NodeBuilder::new("collection").attr("name", "regular").attr("version", version);
        let collection = collection.children(patch);
        NodeBuilder::new("sync").children([collection.build()]).build()
    };
    let answer = ask(&mut bench, &rita, "set", "w:sync:app:state", sync("0", None));
    let collection = answer.get_optional_child_by_tag(&["sync", "collection"]).unwrap().clone();
    assert!(xml::is(&collection, "version", "0") && collection.content.is_none());
    let patch = xml::leaf("patch", buffa::Message::encode_to_vec(&waproto::whatsapp::SyncdPatch::default()));
    ask(&mut bench, &rita, "set", "w:sync:app:state", sync("0", Some(patch.clone())));
    assert!(xml::is(&only(&bench.take(desk.connection), "notification"), "type", "server_sync"));
    let answer = ask(&mut bench, &desk, "set", "w:sync:app:state", sync("0", None));
    assert!(answer.get_optional_child_by_tag(&["sync", "collection", "patches", "patch"]).is_some());
    let stale = ask(&mut bench, &desk, "set", "w:sync:app:state", sync("0", Some(patch)));
    let stale = stale.get_optional_child_by_tag(&["sync", "collection"]).unwrap().clone();
    assert!(xml::is(&stale, "type", "error"));
}

#[test]
fn acks_are_dropped_delayed_and_refused_on_demand() {
    let (mut bench, rita, saul) = two();
    let to = saul.jid(&bench, Namespace::Lid);
    let message = |id: &str| sealed(id, to.to_non_ad(), std::slice::from_ref(&to));
    let delivered = NodeBuilder::new("receipt").attr("id", "M1").attr("to", Jid::pn(ANN)).build();
    bench.turn(|world, turn| world.set_fault(turn, fault(FaultKind::DropAck, ANN))).unwrap();
    assert!(bench.send(&rita, &message("M1")).is_empty());
    assert_eq!(bench.take(saul.connection).len(), 1);
    // A receipt would tell what the ack did not.
    bench.send(&saul, &delivered);
    assert!(bench.take(rita.connection).is_empty());
    assert_eq!(bench.world.device(&rita.id).unwrap().queue.preview().receipts, 1);
    assert_eq!(tags(&bench.send(&rita, &message("M1"))), ["ack"]);
    bench.turn(|world, turn| world.set_fault(turn, fault(FaultKind::DelayAck { ms: 50 }, ANN))).unwrap();
    assert!(bench.send(&rita, &message("M2")).is_empty());
    assert!(matches!(&bench.later[..], [(_, ack, 50)] if ack.tag == "ack"));
    bench.take(saul.connection);
    bench.turn(|world, turn| world.set_fault(turn, fault(FaultKind::Nack { code: 405 }, ANN))).unwrap();
    assert!(xml::is(&only(&bench.send(&rita, &message("M3")), "ack"), "error", "405"));
    assert!(bench.take(saul.connection).is_empty());
}

#[test]
fn faults_close_connections_and_refuse_logins() {
    let (mut bench, mut rita, saul) = two();
    let struck = bench.turn(|world, turn| world.set_fault(turn, fault(FaultKind::Close, ANN))).unwrap();
    assert_eq!((struck, &bench.closed[2..]), (1, &[rita.connection][..]));
    assert!(bench.take(rita.connection).is_empty());
    let unavailable = FaultKind::StreamError { code: Some(503), conflict: None };
    bench.turn(|world, turn| world.set_fault(turn, fault(unavailable, BEN))).unwrap();
    assert!(xml::is(&only(&bench.take(saul.connection), "stream:error"), "code", "503"));
    let refuse = fault(FaultKind::RefuseLogin(405.into()), ANN);
    bench.turn(|world, turn| world.set_fault(turn, refuse)).unwrap();
    assert!(xml::is(&bench.log_in(&mut rita), "reason", "405"));
    assert_eq!(bench.log_in(&mut rita).tag, "success");
}

#[test]
fn those_who_write_with_an_account_hear_of_its_new_and_removed_devices() {
    let (mut bench, rita, saul) = two();
    let to = rita.jid(&bench, Namespace::Pn);
    bench.send(&saul, &sealed("M1", to.to_non_ad(), std::slice::from_ref(&to)));
    let desk = bench.linked(ANN);
    let jid = desk.jid(&bench, Namespace::Pn);
    let told = only(&bench.take(saul.connection), "notification");
    let added = told.get_optional_child("add").unwrap();
    assert_eq!(xml::jid(added.get_optional_child("device").unwrap(), "jid"), Some(jid.clone()));
    assert!(xml::bytes_at(added, &["key-index-list"]).is_some());
    let own = bench.take(rita.connection);
    let own = own.iter().find(|stanza| stanza.tag == "notification").unwrap();
    assert!(xml::is(own, "type", "account_sync"));
    bench.turn(|world, turn| world.unlink(turn, &desk.id)).unwrap();
    let told = only(&bench.take(saul.connection), "notification");
    let removed = told.get_optional_child("remove").unwrap();
    assert_eq!(xml::jid(removed.get_optional_child("device").unwrap(), "jid"), Some(jid));
    let mut list = [Jid::pn(ANN), to].iter().map(Jid::to_phash_form_string).collect::<Vec<_>>();
    list.sort_unstable();
    let hash = sha2::Sha256::digest(list.concat());
    let hash = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&hash[..6]);
    assert!(xml::is(removed, "device_hash", &format!("2:{hash}")));
}
