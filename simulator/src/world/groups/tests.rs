//! Groups of phones: what members read, and what those who left do not.

use waproto::whatsapp as wa;

use super::*;
use crate::testing::Bench;
use crate::world::phones::PhoneActionError;

const ANN: &str = "6281000001";
const BEN: &str = "6281000002";
const CAT: &str = "6281000003";

fn crew() -> (Bench, String) {
    let mut bench = Bench::new();
    for number in [ANN, BEN, CAT] {
        bench.phone(number);
    }
    let members = [BEN, CAT].map(str::to_owned);
    let id = bench.turn(|world, turn| world.create_group(turn, ANN, "Crew", &members)).unwrap();
    (bench, id)
}

fn writes(bench: &mut Bench, from: &str, id: &str, words: &str) -> Result<String, PhoneActionError> {
    let message = wa::Message { conversation: Some(words.to_owned()), ..Default::default() };
    bench.turn(|world, turn| world.phone_writes(turn, from, &format!("{id}@g.us"), message))
}

fn change(
    bench: &mut Bench,
    id: &str,
    by: &str,
    change: MemberChange,
    number: &str,
) -> Result<(), GroupError> {
    bench.turn(|world, turn| world.change_all_members(turn, (id, by), change, &[number.to_owned()]))
}

fn reads(bench: &Bench, number: &str) -> Vec<String> {
    let phone = &bench.world.account(number).unwrap().phone;
    phone.inbox(0).iter().map(|entry| entry.text.clone()).collect()
}

#[test]
fn everybody_reads_what_somebody_writes() {
    let (mut bench, id) = crew();
    for (from, words) in [(ANN, "one"), (BEN, "two"), (ANN, "three"), (CAT, "four")] {
        writes(&mut bench, from, &id, words).unwrap();
    }
    for number in [ANN, BEN, CAT] {
        assert_eq!(reads(&bench, number), ["one", "two", "three", "four"]);
    }
    let entry = bench.world.account(BEN).unwrap().phone.inbox(0)[0].clone();
    assert_eq!((entry.chat, entry.from), (format!("{id}@g.us"), format!("{ANN}@s.whatsapp.net")));
    let own = &bench.world.account(ANN).unwrap().phone.inbox(0)[0];
    assert!(own.from_me && own.status == crate::phone::EntryStatus::Delivered);
}

#[test]
fn a_persons_read_receipt_reaches_the_writer() {
    let (mut bench, id) = crew();
    let message = writes(&mut bench, ANN, &id, "one").unwrap();
    bench.turn(|world, turn| world.phone_reads(turn, BEN, &[message])).unwrap();
    let status = bench.world.account(ANN).unwrap().phone.inbox(0)[0].status;
    assert_eq!(status, crate::phone::EntryStatus::Read);
}

#[test]
fn whoever_is_out_reads_nothing_more_and_may_not_write() {
    let (mut bench, id) = crew();
    writes(&mut bench, ANN, &id, "one").unwrap();
    change(&mut bench, &id, ANN, MemberChange::Remove, CAT).unwrap();
    writes(&mut bench, ANN, &id, "two").unwrap();
    assert_eq!(reads(&bench, BEN), ["one", "two"]);
    assert_eq!(reads(&bench, CAT), ["one"]);
    let refused = writes(&mut bench, CAT, &id, "let me in").unwrap_err();
    assert!(refused.to_string().contains("no member"), "{refused}");
    change(&mut bench, &id, ANN, MemberChange::Add, CAT).unwrap();
    writes(&mut bench, ANN, &id, "three").unwrap();
    assert_eq!(reads(&bench, CAT), ["one", "three"]);
}

#[test]
fn a_phone_takes_another_key_when_somebody_left() {
    let (mut bench, id) = crew();
    writes(&mut bench, ANN, &id, "one").unwrap();
    let group = crate::address::group_jid(&id);
    let members = |bench: &Bench, numbers: &[&str]| -> Vec<wacore_binary::Jid> {
        numbers.iter().map(|n| bench.world.user_jid(n, crate::address::Namespace::Lid)).collect()
    };
    let (two, one) = (members(&bench, &[BEN, CAT]), members(&bench, &[BEN]));
    let phone = &bench.world.account(ANN).unwrap().phone;
    assert!(phone.without_sender_key(&group, &two).is_empty());
    assert_eq!(phone.without_sender_key(&group, &one), one, "all of them get the new key");
}

#[test]
fn refusals_say_who_and_change_nothing() {
    let (mut bench, id) = crew();
    let wrong = |error: GroupError, expected: &str| assert!(error.to_string().contains(expected), "{error}");
    let members = [BEN.to_owned(), "629".to_owned()];
    wrong(
        bench.turn(|world, turn| world.create_group(turn, ANN, "x", &members)).unwrap_err(),
        "no phone with the number 629",
    );
    assert_eq!(bench.world.groups().count(), 1);
    wrong(change(&mut bench, "1", ANN, MemberChange::Add, BEN).unwrap_err(), "no group `1`");
    wrong(change(&mut bench, &id, BEN, MemberChange::Remove, CAT).unwrap_err(), "no admin");
    wrong(change(&mut bench, &id, ANN, MemberChange::Add, CAT).unwrap_err(), "in the group already");
    wrong(change(&mut bench, &id, ANN, MemberChange::Demote, ANN).unwrap_err(), "made the group");
    let both = [BEN.to_owned(), "629".to_owned()];
    let partly =
        bench.turn(|world, turn| world.change_all_members(turn, (&id, ANN), MemberChange::Remove, &both));
    assert!(partly.is_err() && bench.world.group(&id).unwrap().has(BEN), "all or none");
}

#[test]
fn a_group_without_members_is_gone() {
    let (mut bench, id) = crew();
    for number in [ANN, BEN, CAT] {
        change(&mut bench, &id, number, MemberChange::Remove, number).unwrap();
    }
    assert_eq!(bench.world.groups().count(), 0);
}

#[test]
fn a_snapshot_keeps_groups_and_their_keys() {
    let (mut bench, id) = crew();
    writes(&mut bench, ANN, &id, "one").unwrap();
    let encoded = serde_json::to_vec(&bench.world).unwrap();
    bench.world = serde_json::from_slice(&encoded).unwrap();
    writes(&mut bench, ANN, &id, "two").unwrap();
    writes(&mut bench, BEN, &id, "three").unwrap();
    assert_eq!(reads(&bench, CAT), ["one", "two", "three"]);
}
