//! Faults strike whom they are aimed at, as often as they should.

use super::*;

fn fault(kind: FaultKind, count: Option<u32>) -> Fault {
    let aim = Aim { number: Some("1".to_owned()), device: None, count };
    Fault { kind, aim }
}

#[test]
fn a_counted_fault_strikes_that_often_and_only_its_target() {
    let mut faults = Faults::default();
    faults.add(fault(FaultKind::Nack { code: 405 }, Some(2))).unwrap();
    assert_eq!(faults.ack_fate(&DeviceId::new("2", 1)), AckFate::Send);
    let id = DeviceId::new("1", 1);
    let fates: Vec<_> = (0..3).map(|_| faults.ack_fate(&id)).collect();
    assert_eq!(fates, [AckFate::Refuse(405), AckFate::Refuse(405), AckFate::Send]);
    assert!(faults.all().is_empty());
}

#[test]
fn a_fault_without_count_lasts_until_it_is_cleared() {
    let (mut faults, id) = (Faults::default(), DeviceId::new("1", 1));
    faults.add(fault(FaultKind::Latency { ms: 5 }, None)).unwrap();
    assert_eq!((faults.latency(&id), faults.latency(&id)), (5, 5));
    assert_eq!(faults.ack_fate(&id), AckFate::Send);
    faults.clear();
    assert_eq!(faults.latency(&id), 0);
}

#[test]
fn impossible_figures_are_refused() {
    let kinds = [
        (FaultKind::DelayAck { ms: kind::MAX_DELAY_MS + 1 }, None, FaultError::TooLong),
        (FaultKind::DropAck, Some(0), FaultError::NoCount),
        (FaultKind::StreamError { code: None, conflict: None }, None, FaultError::NoStreamError),
        (FaultKind::RefuseMedia { code: 200, transfer: None }, None, FaultError::NoRefusal),
    ];
    for (kind, count, error) in kinds {
        assert_eq!(Faults::default().add(fault(kind, count)), Err(error));
    }
}

#[test]
fn media_is_refused_to_whom_it_should_in_the_direction_it_should() {
    let (mut faults, id) = (Faults::default(), DeviceId::new("1", 1));
    let kind = FaultKind::RefuseMedia { code: 503, transfer: Some(Transfer::Upload) };
    faults.add(fault(kind, Some(1))).unwrap();
    assert_eq!(faults.refuse_media(Some(&id), Transfer::Download), None);
    assert_eq!(faults.refuse_media(Some(&DeviceId::new("2", 1)), Transfer::Upload), None);
    assert_eq!(faults.refuse_media(None, Transfer::Upload), None, "it is aimed at somebody");
    assert_eq!(faults.refuse_media(Some(&id), Transfer::Upload), Some(503));
    assert_eq!(faults.refuse_media(Some(&id), Transfer::Upload), None, "once");
    let kind = FaultKind::RefuseMedia { code: 404, transfer: None };
    faults.add(Fault { kind, aim: Aim::default() }).unwrap();
    assert_eq!(faults.refuse_media(None, Transfer::Download), Some(404));
}
