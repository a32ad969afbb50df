//! The world's own rules: linking, logging in, queues, and what a snapshot keeps.

use wacore_binary::builder::NodeBuilder;

use crate::address::Namespace;
use crate::faults::{Aim, Fault, FaultKind};
use crate::testing::{Bench, START_MS, iq, only, sealed, tags};
use crate::world::pairing::ScanError;
use crate::xml;

const ANN: &str = "6281000001";
const BEN: &str = "6281000002";

#[test]
fn a_scan_links_a_device_that_can_then_log_in() {
    let mut bench = Bench::new();
    let mut rita = bench.linked(ANN);
    let device = bench.world.device(&rita.id).unwrap();
    assert_eq!((device.name.as_str(), device.push_name.as_deref()), ("Bench", Some("Rita")));
    bench.drop_connection(&rita);
    let success = bench.log_in(&mut rita);
    assert_eq!(success.tag, "success");
    assert_eq!(xml::jid(&success, "lid"), Some(rita.jid(&bench, Namespace::Lid)));
}

#[test]
fn a_code_is_refused_when_it_ran_out_or_names_other_keys() {
    let mut bench = Bench::new();
    bench.phone(ANN);
    let rita = bench.stranger();
    let mut scan = |qr: &str, now_ms| {
        bench.now_ms = now_ms;
        bench.turn(|world, turn| world.scan(turn, ANN, qr))
    };
    assert!(matches!(scan("hello", START_MS), Err(ScanError::ReadCode)));
    let foreign = rita.qr(0).replace("2@", "2@x");
    assert!(matches!(scan(&foreign, START_MS), Err(ScanError::FindReference)));
    let code = rita.qr(0);
    let fields: Vec<&str> = code.split(',').collect();
    let swapped = [fields[0], fields[1], fields[1], fields[3]].join(",");
    assert!(matches!(scan(&swapped, START_MS), Err(ScanError::CompareKeys)));
    assert!(matches!(scan(&rita.qr(0), START_MS + 75_000), Err(ScanError::FindReference)));
    assert!(scan(&rita.qr(5), START_MS + 165_000).is_ok());
}

#[test]
fn a_forged_device_signature_links_nothing() {
    let mut bench = Bench::new();
    bench.phone(ANN);
    let (rita, mallory) = (bench.stranger(), bench.stranger());
    let offered = bench.turn(|world, turn| world.scan(turn, ANN, &rita.qr(0))).unwrap();
    let success = bench.take(rita.connection).remove(0);
    bench.send(&rita, &mallory.sign(&success));
    assert!(!bench.world.exists(&offered.id));
    assert!(bench.world.offer_failure(&offered).unwrap().contains("verify"));
}

#[test]
fn papers_that_are_not_signed_are_taken_back() {
    let mut bench = Bench::new();
    bench.phone(ANN);
    let rita = bench.stranger();
    let scan = |bench: &mut Bench| bench.turn(|world, turn| world.scan(turn, ANN, &rita.qr(0)));
    let offered = scan(&mut bench).unwrap();
    assert!(matches!(scan(&mut bench), Err(ScanError::Busy)));
    assert_eq!(bench.world.offer_failure(&offered), None);
    bench.now_ms += 21_000;
    bench.tick();
    assert!(bench.world.offer_failure(&offered).unwrap().contains("did not sign"));
    assert!(scan(&mut bench).is_ok());
}

#[test]
fn who_looks_only_after_the_device_was_linked_is_told_so() {
    let mut bench = Bench::new();
    bench.phone(ANN);
    let (rita, saul) = (bench.stranger(), bench.stranger());
    let offered = bench.turn(|world, turn| world.scan(turn, ANN, &rita.qr(0))).unwrap();
    let success = bench.take(rita.connection).remove(0);
    bench.send(&rita, &rita.sign(&success));
    assert!(bench.closed.contains(&rita.connection));
    assert_eq!(bench.world.link_code_outcome(ANN, rita.connection), Ok(Some(offered)));
    bench.drop_connection(&saul);
    assert!(bench.world.link_code_outcome(ANN, saul.connection).unwrap_err().contains("hung up"));
}

#[test]
fn codes_run_out_and_the_connection_closes() {
    let mut bench = Bench::new();
    let rita = bench.stranger();
    bench.now_ms += 160_000;
    bench.tick();
    assert!(bench.closed.is_empty());
    bench.now_ms += 15_000;
    bench.tick();
    assert_eq!(bench.closed, [rita.connection]);
}

#[test]
fn whoever_must_show_a_passkey_gets_no_papers() {
    let mut bench = Bench::new();
    bench.phone(ANN);
    let rita = bench.stranger();
    let aim = Aim { number: Some(ANN.to_owned()), device: None, count: Some(1) };
    bench.turn(|world, turn| world.set_fault(turn, Fault { kind: FaultKind::Passkey, aim })).unwrap();
    let refused = bench.turn(|world, turn| world.scan(turn, ANN, &rita.qr(0)));
    assert!(matches!(refused, Err(ScanError::Passkey)));
    let told = only(&bench.take(rita.connection), "notification");
    assert!(xml::is(&told, "type", "passkey_prologue_request"));
    assert!(xml::bytes_at(&told, &["passkey_request_options"]).is_some());
    assert!(bench.turn(|world, turn| world.scan(turn, ANN, &rita.qr(0))).is_ok(), "once");
}

#[test]
fn only_the_devices_own_static_key_logs_in() {
    let mut bench = Bench::new();
    let mut rita = bench.linked(ANN);
    bench.drop_connection(&rita);
    rita.noise = wacore_libsignal::protocol::KeyPair::generate(&mut bench.rng);
    let failure = bench.log_in(&mut rita);
    assert!(failure.tag == "failure" && xml::is(&failure, "reason", "401"));
    assert!(bench.closed.contains(&rita.connection));
}

#[test]
fn a_second_login_replaces_the_first() {
    let mut bench = Bench::new();
    let mut rita = bench.linked(ANN);
    let first = rita.connection;
    bench.log_in(&mut rita);
    let told = only(&bench.take(first), "stream:error");
    assert!(xml::is(&told.children().unwrap()[0], "type", "replaced"));
    assert!(bench.closed.contains(&first));
    // The first connection's end must not take the second one's place away.
    bench.turn(|world, turn| world.disconnected(turn, first));
    assert!(bench.world.is_online(&rita.id));
}

#[test]
fn an_unlinked_device_is_told_and_may_not_return() {
    let mut bench = Bench::new();
    let mut rita = bench.linked(ANN);
    let connection = rita.connection;
    bench.turn(|world, turn| world.unlink(turn, &rita.id)).unwrap();
    let told = only(&bench.take(connection), "stream:error");
    assert!(xml::is(&told, "code", "401"));
    assert!(xml::is(&told.children().unwrap()[0], "type", "device_removed"));
    assert!(xml::is(&bench.log_in(&mut rita), "reason", "401"));
    assert!(bench.turn(|world, turn| world.unlink(turn, &rita.id)).is_err());
}

#[test]
fn what_waits_comes_between_preview_and_end_marker_and_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    let mut rita = bench.linked(ANN);
    let saul = bench.linked(BEN);
    bench.drop_connection(&rita);
    let to = rita.jid(&bench, Namespace::Lid);
    for id in ["M1", "M2"] {
        bench.send(&saul, &sealed(id, to.to_non_ad(), std::slice::from_ref(&to)));
    }
    for _ in 0..2 {
        bench.log_in(&mut rita);
        let drained = bench.activate(&rita);
        let messages: Vec<_> = drained.iter().filter(|stanza| stanza.tag == "message").collect();
        assert_eq!(messages.len(), 2);
        assert!(messages.iter().all(|message| xml::is(message, "offline", "1")));
        let preview = &drained[tags(&drained).iter().position(|tag| *tag == "ib").unwrap()];
        assert!(xml::is(&preview.children().unwrap()[0], "message", "2"), "{preview:?}");
        assert_eq!(xml::first_tag(drained.last().unwrap()), "offline");
        bench.drop_connection(&rita);
    }
    bench.log_in(&mut rita);
    bench.activate(&rita);
    let receipt = NodeBuilder::new("receipt").attr("id", "M1").attr("to", saul.jid(&bench, Namespace::Lid));
    let ack = NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", "M2")
        .attr("to", saul.jid(&bench, Namespace::Lid));
    bench.send(&rita, &receipt.build());
    bench.send(&rita, &ack.build());
    let device = bench.world.device(&rita.id).unwrap();
    assert_eq!(device.queue.preview().messages, 0);
}

#[test]
fn a_snapshot_keeps_devices_keys_queues_and_what_was_sent() {
    let mut bench = Bench::new();
    let mut rita = bench.linked(ANN);
    let saul = bench.linked(BEN);
    bench.drop_connection(&rita);
    let to = rita.jid(&bench, Namespace::Lid);
    let message = sealed("M1", to.to_non_ad(), std::slice::from_ref(&to));
    bench.send(&saul, &message);
    let encoded = serde_json::to_vec(&bench.world).unwrap();
    let before = bench.world.device(&rita.id).unwrap().keys.clone();
    bench.world = serde_json::from_slice(&encoded).unwrap();
    let device = bench.world.device(&rita.id).unwrap();
    assert_eq!(device.keys, before);
    assert_eq!(device.queue.preview().messages, 1);
    let mut again = saul;
    bench.log_in(&mut again);
    bench.send(&again, &message);
    bench.log_in(&mut rita);
    let drained = bench.activate(&rita);
    assert_eq!(tags(&drained).iter().filter(|tag| **tag == "message").count(), 1);
}

#[test]
fn devices_are_pinged_and_phones_are_not_lost_to_time() {
    let mut bench = Bench::new();
    let rita = bench.linked(ANN);
    bench.now_ms += 61_000;
    bench.tick();
    let ping = only(&bench.take(rita.connection), "iq");
    assert!(xml::is(&ping, "xmlns", "urn:xmpp:ping"));
    bench.tick();
    assert!(bench.take(rita.connection).is_empty());
}

#[test]
fn a_new_device_gets_the_app_state_key_once_from_its_phone() {
    let mut bench = Bench::new();
    bench.phone(ANN);
    let mut rita = bench.stranger();
    let qr = rita.qr(0);
    rita.id = bench.turn(|world, turn| world.scan(turn, ANN, &qr)).unwrap().id;
    let success = bench.take(rita.connection).remove(0);
    bench.send(&rita, &rita.sign(&success));
    bench.log_in(&mut rita);
    assert!(!tags(&bench.activate(&rita)).contains(&"message"));
    let share = only(&bench.upload_keys(&rita, 20), "message");
    assert!(xml::is(&share, "category", "peer"));
    assert_eq!(xml::jid(&share, "from").map(|jid| jid.device), Some(0));
    assert!(share.attrs.get("recipient").is_none());
    assert!(!tags(&bench.upload_keys(&rita, 20)).contains(&"message"));
}

#[test]
fn a_device_logs_itself_out() {
    let mut bench = Bench::new();
    let rita = bench.linked(ANN);
    let remove = NodeBuilder::new("remove-companion-device")
        .attr("jid", rita.jid(&bench, Namespace::Pn))
        .attr("reason", "user_initiated");
    let answer = bench.send(&rita, &iq("set", "md").children([remove.build()]).build());
    assert!(xml::is(&answer[0], "type", "result"));
    assert!(!bench.world.exists(&rita.id));
    assert!(bench.closed.contains(&rita.connection));
}
