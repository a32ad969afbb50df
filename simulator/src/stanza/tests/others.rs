//! Settings, presence, typing, app state, and what nobody understands.

use super::*;

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
