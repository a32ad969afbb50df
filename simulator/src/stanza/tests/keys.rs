//! Keys and devices: uploads, bundles, who has which devices and who hears of it.

use base64::Engine;
use sha2::Digest;

use super::*;

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
