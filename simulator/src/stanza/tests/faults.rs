//! Faults that a test asks for.

use super::*;

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
