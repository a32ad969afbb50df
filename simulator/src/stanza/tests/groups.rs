//! Groups on the wire: making and changing them, messages, receipts, and who may not.

use super::*;
use crate::testing::acknowledgement;
use crate::world::devices::participant_hash;
use crate::world::groups::MemberChange;

const CAT: &str = "6281000003";

/// Rita (Ann's device) has made a group with Ben (Saul is his device).
fn grouped() -> (Bench, Companion, Companion, Jid) {
    let (mut bench, rita, saul) = two();
    bench.phone(CAT);
    let members = [Jid::lid("1"), Jid::pn(BEN)];
    let server = crate::address::group_server();
    let answer = ask_group(&mut bench, &rita, "set", &server, creation("Crew", &members));
    let group = answer.get_optional_child("group").unwrap();
    let jid = Jid::group(xml::text(group, "id").unwrap().as_ref());
    for companion in [&rita, &saul] {
        for stanza in bench.take(companion.connection) {
            bench.send(companion, &acknowledgement(&stanza));
        }
    }
    (bench, rita, saul, jid)
}

fn creation(subject: &str, members: &[Jid]) -> Node {
    let members = members.iter().map(|jid| NodeBuilder::new("participant").attr("jid", jid).build());
    NodeBuilder::new("create").attr("subject", subject).children(members.collect::<Vec<_>>()).build()
}

fn change(tag: &'static str, member: Jid) -> Node {
    NodeBuilder::new(tag).children([NodeBuilder::new("participant").attr("jid", member).build()]).build()
}

fn ask_group(bench: &mut Bench, from: &Companion, kind: &'static str, to: &Jid, child: Node) -> Node {
    let iq = iq(kind, "w:g2").attr("to", to).children([child]).build();
    let answer = bench.send(from, &iq).into_iter().find(|stanza| stanza.tag == "iq").unwrap();
    assert_eq!(xml::jid(&answer, "from").as_ref(), Some(to));
    answer
}

fn error_code(answer: &Node) -> String {
    xml::text(answer.get_optional_child("error").unwrap(), "code").unwrap().into_owned()
}

fn to_group(id: &str, group: &Jid) -> NodeBuilder {
    NodeBuilder::new("message").attr("id", id).attr("to", group).attr("type", "text")
}

fn skmsg() -> Node {
    NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg").bytes([9]).build()
}

#[test]
fn whoever_makes_a_group_owns_it_and_everybody_hears_of_it() {
    let (mut bench, rita, saul) = two();
    let server = crate::address::group_server();
    let create = creation("Crew", &[Jid::pn(BEN)]);
    let answer = ask_group(&mut bench, &rita, "set", &server, create);
    let group = answer.get_optional_child("group").unwrap();
    assert!(xml::is(group, "subject", "Crew") && xml::is(group, "addressing_mode", "lid"));
    let members = xml::children(group);
    assert_eq!(members.len(), 2);
    assert!(xml::is(&members[0], "type", "superadmin") && members[1].attrs.get("type").is_none());
    assert_eq!(xml::jid(&members[0], "jid"), Some(bench.world.user_jid(ANN, Namespace::Lid)));
    assert_eq!(xml::jid(&members[1], "phone_number"), Some(Jid::pn(BEN)));
    let told = only(&bench.take(saul.connection), "notification");
    assert!(xml::is(&told, "type", "w:gp2"));
    assert_eq!(xml::jid(&told, "participant_pn"), Some(Jid::pn(ANN)));
    assert!(told.get_optional_child_by_tag(&["create", "group"]).is_some());
    let id = Jid::group(xml::text(group, "id").unwrap().as_ref());
    let query = NodeBuilder::new("query").attr("request", "interactive").build();
    let answer = ask_group(&mut bench, &saul, "get", &id, query);
    assert_eq!(answer.get_optional_child("group"), Some(group));
    let asked = NodeBuilder::new("participating").children([empty("participants")]).build();
    let answer = ask_group(&mut bench, &saul, "get", &server, asked);
    assert_eq!(answer.get_optional_child_by_tag(&["groups", "group"]), Some(group));
    for subject in ["", "  ", &"x".repeat(101)] {
        let refused = ask_group(&mut bench, &rita, "set", &server, creation(subject, &[]));
        assert_eq!(error_code(&refused), "406");
    }
}

#[test]
fn members_come_and_go_and_the_others_hear_of_it() {
    let (mut bench, rita, saul, group) = grouped();
    let kate = bench.linked(CAT);
    bench.take(kate.connection);
    let answer = ask_group(&mut bench, &rita, "set", &group, change("add", Jid::pn(CAT)));
    assert!(answer.get_optional_child_by_tag(&["add", "participant"]).unwrap().attrs.get("error").is_none());
    let whole = only(&bench.take(kate.connection), "notification");
    assert_eq!(xml::children(whole.get_optional_child_by_tag(&["create", "group"]).unwrap()).len(), 3);
    let told = only(&bench.take(saul.connection), "notification");
    let participant = told.get_optional_child_by_tag(&["add", "participant"]).unwrap();
    assert_eq!(xml::jid(participant, "phone_number"), Some(Jid::pn(CAT)));
    for (tag, child) in [("promote", "promote"), ("demote", "demote"), ("remove", "remove")] {
        ask_group(&mut bench, &rita, "set", &group, change(tag, Jid::pn(CAT)));
        for companion in [&kate, &saul] {
            let told = only(&bench.take(companion.connection), "notification");
            assert_eq!(xml::first_tag(&told), child);
        }
    }
    let subject = xml::leaf("subject", b"Another crew".to_vec());
    ask_group(&mut bench, &saul, "set", &group, subject);
    let told = only(&bench.take(rita.connection), "notification");
    assert!(xml::is(told.get_optional_child("subject").unwrap(), "subject", "Another crew"));
    assert!(bench.take(kate.connection).is_empty(), "she is no member any more");
}

#[test]
fn strangers_and_plain_members_may_not_change_a_group() {
    let (mut bench, rita, saul, group) = grouped();
    let kate = bench.linked(CAT);
    let code = |bench: &mut Bench, from: &Companion, kind, to: &Jid, child| {
        error_code(&ask_group(bench, from, kind, to, child))
    };
    let nowhere = Jid::group("120363000000000000");
    assert_eq!(code(&mut bench, &rita, "get", &nowhere, empty("query")), "404");
    assert_eq!(code(&mut bench, &kate, "get", &group, empty("query")), "403");
    assert_eq!(code(&mut bench, &kate, "set", &group, xml::leaf("subject", b"x".to_vec())), "403");
    assert_eq!(code(&mut bench, &saul, "set", &group, change("add", Jid::pn(CAT))), "403");
    for (tag, member, expected) in [
        ("add", Jid::pn(BEN), "409"),
        ("add", Jid::pn("6289999999"), "404"),
        ("remove", Jid::pn(CAT), "404"),
        ("remove", Jid::pn(ANN), "405"),
    ] {
        let answer = ask_group(&mut bench, &rita, "set", &group, change(tag, member));
        let participant = answer.get_optional_child_by_tag(&[tag, "participant"]).unwrap();
        assert!(xml::is(participant, "error", expected), "{tag} {participant:?}");
    }
    let server = crate::address::group_server();
    let leaving = |jid: &Jid| {
        let group = NodeBuilder::new("group").attr("id", jid).build();
        NodeBuilder::new("leave").children([group]).build()
    };
    let answer = ask_group(&mut bench, &kate, "set", &server, leaving(&group));
    assert!(xml::is(answer.get_optional_child_by_tag(&["leave", "group"]).unwrap(), "error", "403"));
    bench.take(saul.connection);
    ask_group(&mut bench, &rita, "set", &server, leaving(&group));
    let told: Vec<_> = bench.take(saul.connection).iter().map(|n| xml::first_tag(n).to_owned()).collect();
    assert_eq!(told, ["remove", "promote"], "somebody must be admin");
}

#[test]
fn a_message_reaches_every_device_with_what_is_for_it_alone_first() {
    let (mut bench, rita, saul, group) = grouped();
    let desk = bench.linked(ANN);
    bench.take(saul.connection);
    let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "pkmsg").bytes([1]).build();
    let to = NodeBuilder::new("to").attr("jid", saul.jid(&bench, Namespace::Lid)).children([enc]).build();
    let participants = NodeBuilder::new("participants").children([to]).build();
    let message = to_group("M1", &group).children([participants, skmsg()]).build();
    let ack = only(&bench.send(&rita, &message), "ack");
    assert_eq!((xml::jid(&ack, "from"), ack.attrs.get("error")), (Some(group.clone()), None));
    let got = only(&bench.take(saul.connection), "message");
    assert_eq!(xml::jid(&got, "from"), Some(group.clone()));
    assert_eq!(xml::jid(&got, "participant"), Some(rita.jid(&bench, Namespace::Lid)));
    assert_eq!(xml::jid(&got, "participant_pn"), Some(Jid::pn(ANN)));
    let kinds = |node: &Node| -> Vec<String> {
        xml::children(node)
            .iter()
            .filter_map(|enc| xml::text(enc, "type").map(std::borrow::Cow::into_owned))
            .collect()
    };
    assert_eq!(kinds(&got), ["pkmsg", "skmsg"]);
    assert_eq!(kinds(&only(&bench.take(desk.connection), "message")), ["skmsg"]);
    bench.send(&rita, &message);
    assert!(bench.take(saul.connection).is_empty(), "once");
    let kate = bench.linked(CAT);
    let refused = only(&bench.send(&kate, &to_group("M2", &group).children([skmsg()]).build()), "ack");
    assert!(xml::is(&refused, "error", "403"));
    let refused = only(&bench.send(&rita, &to_group("M3", &group).build()), "ack");
    assert!(xml::is(&refused, "error", "400"));
}

#[test]
fn the_ack_tells_a_sender_that_it_hashed_other_devices() {
    let (mut bench, rita, saul, group) = grouped();
    let devices = [
        bench.world.user_jid(ANN, Namespace::Lid),
        bench.world.user_jid(BEN, Namespace::Lid),
        rita.jid(&bench, Namespace::Lid),
        saul.jid(&bench, Namespace::Lid),
    ];
    let hash = participant_hash(devices.into_iter());
    let message = |id: &str, hash: &str| to_group(id, &group).attr("phash", hash).children([skmsg()]).build();
    let ack = only(&bench.send(&rita, &message("M1", &hash)), "ack");
    assert!(ack.attrs.get("phash").is_none());
    let answers = bench.send(&rita, &message("M2", "2:nonsense"));
    let ack = answers.iter().find(|stanza| stanza.tag == "ack" && xml::is(stanza, "id", "M2")).unwrap();
    assert!(xml::is(ack, "phash", &hash));
}

#[test]
fn receipts_go_to_the_sender_and_retries_to_the_one_device() {
    let (mut bench, rita, saul, group) = grouped();
    let (desk, other) = (bench.linked(ANN), bench.linked(BEN));
    bench.send(&rita, &to_group("M1", &group).children([skmsg()]).build());
    for companion in [&rita, &desk, &saul, &other] {
        bench.take(companion.connection);
    }
    let receipt = |kind: Option<&'static str>| {
        let mut receipt = NodeBuilder::new("receipt")
            .attr("id", "M1")
            .attr("to", &group)
            .attr("participant", rita.jid(&bench, Namespace::Lid));
        if let Some(kind) = kind {
            receipt = receipt.attr("type", kind);
        }
        receipt.build()
    };
    let (delivered, read, retry) = (receipt(None), receipt(Some("read")), receipt(Some("retry")));
    let waiting = |bench: &Bench| bench.world.device(&saul.id).unwrap().queue.preview().messages;
    let before = waiting(&bench);
    bench.send(&saul, &delivered);
    assert_eq!(waiting(&bench), before - 1, "a receipt acknowledges");
    for companion in [&rita, &desk] {
        let got = only(&bench.take(companion.connection), "receipt");
        assert_eq!(xml::jid(&got, "from"), Some(group.clone()));
        assert_eq!(xml::jid(&got, "participant"), Some(saul.jid(&bench, Namespace::Lid)));
    }
    bench.send(&saul, &read);
    let own = only(&bench.take(other.connection), "receipt");
    assert_eq!(xml::jid(&own, "recipient"), Some(bench.world.user_jid(ANN, Namespace::Lid)));
    bench.take(rita.connection);
    bench.take(desk.connection);
    bench.send(&saul, &retry);
    assert!(xml::is(&only(&bench.take(rita.connection), "receipt"), "type", "retry"));
    assert!(bench.take(desk.connection).is_empty());
    // Rita encrypts it for Saul alone; nobody else sees it.
    let enc =
        NodeBuilder::new("enc").attr("v", "2").attr("type", "pkmsg").attr("count", "1").bytes([1]).build();
    let again = to_group("M1", &group).attr("participant", saul.jid(&bench, Namespace::Lid)).children([enc]);
    bench.take(saul.connection);
    bench.send(&rita, &again.build());
    let got = only(&bench.take(saul.connection), "message");
    assert!(xml::is(got.get_optional_child("enc").unwrap(), "count", "1"));
    assert!(bench.take(other.connection).is_empty());
}

#[test]
fn what_was_written_to_a_group_waits_and_typing_does_not() {
    let (mut bench, rita, mut saul, group) = grouped();
    let typing = NodeBuilder::new("chatstate").attr("to", &group).children([empty("composing")]).build();
    bench.send(&rita, &typing);
    let got = only(&bench.take(saul.connection), "chatstate");
    assert_eq!(xml::jid(&got, "participant"), Some(bench.world.user_jid(ANN, Namespace::Lid)));
    bench.drop_connection(&saul);
    bench.send(&rita, &typing);
    bench.send(&rita, &to_group("M1", &group).children([skmsg()]).build());
    bench
        .turn(|world, turn| {
            world.change_all_members(turn, (&group.user, ANN), MemberChange::Promote, &[BEN.to_owned()])
        })
        .unwrap();
    bench.log_in(&mut saul);
    let drained = bench.activate(&saul);
    let waited: Vec<_> = tags(&drained).into_iter().filter(|tag| !matches!(*tag, "ib" | "iq")).collect();
    assert_eq!(waited, ["message", "notification"]);
}

#[test]
fn members_of_a_group_hear_of_each_others_new_devices() {
    let (mut bench, _rita, saul, _) = grouped();
    let desk = bench.linked(ANN);
    let told = only(&bench.take(saul.connection), "notification");
    let device = told.get_optional_child_by_tag(&["add", "device"]).unwrap();
    assert_eq!(xml::jid(device, "jid"), Some(desk.jid(&bench, Namespace::Pn)));
}
