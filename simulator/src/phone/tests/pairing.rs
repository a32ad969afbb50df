//! A phone links companions, and refuses those with wrong papers.

use wacore_libsignal::protocol::PublicKey;
use waproto::codec;

use super::companion::{Companion, LinkCode};
use super::*;
use crate::phone::{AdvError, LinkCodeError, PhoneError, content};

#[test]
fn a_companion_accepts_the_papers_and_the_phone_its_signature() {
    let rng = &mut rng(20);
    let mut alice = alice(rng);
    let companion = Companion::new(rng);
    let grant = alice.link(3, &companion.identity(), &companion.adv_secret, NOW).unwrap();
    assert_eq!(grant.key_index, 1);
    let papers = companion.countersign(&grant.device_identity, rng).unwrap();
    assert_eq!(alice.device_identity(3), None, "not linked before it has signed");
    alice.confirm_link(3, &papers).unwrap();
    let complete = codec::adv_signed_device_identity_decode(alice.device_identity(3).unwrap()).unwrap();
    assert_eq!(complete.account_signature_key.as_deref(), Some(alice.identity_public().as_slice()));
    assert!(matches!(alice.link(3, &companion.identity(), &[0; 32], NOW), Err(PhoneError::DeviceTaken(3))));
}

#[test]
fn another_secret_or_another_identity_does_not_fit_the_papers() {
    let rng = &mut rng(21);
    let mut alice = alice(rng);
    let (companion, mut other) = (Companion::new(rng), Companion::new(rng));
    let grant = alice.link(1, &companion.identity(), &companion.adv_secret, NOW).unwrap();
    assert_eq!(other.countersign(&grant.device_identity, rng), Err("hmac-mismatch"));
    other.adv_secret = companion.adv_secret;
    assert_eq!(other.countersign(&grant.device_identity, rng), Err("signature-mismatch"));
}

#[test]
fn a_wrong_device_signature_is_refused() {
    let rng = &mut rng(22);
    let mut alice = alice(rng);
    let companion = Companion::new(rng);
    let grant = alice.link(1, &companion.identity(), &companion.adv_secret, NOW).unwrap();
    let papers = companion.countersign(&grant.device_identity, rng).unwrap();
    let mut signed = codec::adv_signed_device_identity_decode(&papers).unwrap();
    if let Some(byte) = signed.device_signature.as_mut().and_then(|s| s.first_mut()) {
        *byte ^= 1;
    }
    let error = alice.confirm_link(1, &codec::adv_signed_device_identity_to_vec(&signed)).unwrap_err();
    assert!(matches!(error, PhoneError::DeviceIdentity(AdvError::DeviceSignature)), "{error}");
    assert!(matches!(alice.confirm_link(1, b"?"), Err(PhoneError::DeviceIdentity(AdvError::Unreadable))));
    assert!(matches!(alice.confirm_link(2, &papers), Err(PhoneError::NotLinked(2))));
    assert_eq!(alice.device_identity(1), None);
}

#[test]
fn the_key_index_list_is_signed_and_names_the_linked_devices() {
    let rng = &mut rng(23);
    let mut alice = alice(rng);
    for id in 1..=3 {
        Companion::linked(&mut alice, id, rng);
    }
    alice.unlink(2);
    let list = codec::adv_signed_key_index_list_decode(&alice.key_index_list(NOW)).unwrap();
    let details = list.details.unwrap();
    let key = PublicKey::from_djb_public_key_bytes(&alice.identity_public()).unwrap();
    assert!(key.verify_signature(&[&[6, 2][..], &details].concat(), &list.account_signature.unwrap()));
    let details = codec::adv_key_index_list_decode(&details).unwrap();
    assert_eq!((details.valid_indexes, details.current_index), (vec![1, 3], Some(3)));
    assert_eq!(details.timestamp, Some(NOW));
}

#[test]
fn a_link_code_gives_both_sides_the_same_secret() {
    let rng = &mut rng(24);
    let mut alice = alice(rng);
    let companion = Companion::new(rng);
    let code = LinkCode::new("ABCD1234", rng);
    let hello = alice.link_code_hello("abcd-1234", &code.hello(rng), rng).unwrap();
    assert_eq!(hello.primary_identity, alice.identity_public());
    let wrapped = &hello.wrapped_primary_ephemeral;
    let (bundle, secret) = code.finish(&companion, wrapped, &hello.primary_identity, rng);
    assert_eq!(alice.link_code_finish(&companion.identity(), &bundle).unwrap(), secret);
    let spent = alice.link_code_finish(&companion.identity(), &bundle).unwrap_err();
    assert!(matches!(spent, PhoneError::LinkCode(LinkCodeError::NotStarted)), "{spent}");
}

#[test]
fn a_wrong_link_code_is_noticed() {
    let rng = &mut rng(25);
    let mut alice = alice(rng);
    let companion = Companion::new(rng);
    let code = LinkCode::new("ABCD1234", rng);
    let hello = alice.link_code_hello("ABCD1235", &code.hello(rng), rng).unwrap();
    let (bundle, _) = code.finish(&companion, &hello.wrapped_primary_ephemeral, &hello.primary_identity, rng);
    let error = alice.link_code_finish(&companion.identity(), &bundle).unwrap_err();
    assert!(matches!(error, PhoneError::LinkCode(LinkCodeError::WrongCode)), "{error}");
    for bad in ["ABCD123", "ABCD12345", "ABCD123O", ""] {
        let error = alice.link_code_hello(bad, &[0; 80], rng).unwrap_err();
        assert!(matches!(error, PhoneError::LinkCode(LinkCodeError::Malformed)), "{bad}: {error}");
    }
    let error = alice.link_code_hello("ABCD1234", &[0; 79], rng).unwrap_err();
    assert!(matches!(error, PhoneError::LinkCode(LinkCodeError::WrappedKeyLength(79))), "{error}");
}

#[test]
fn own_companions_get_what_was_sent_to_whom_and_the_phone_gets_theirs() {
    let rng = &mut rng(26);
    let (mut alice, mut bob) = (alice(rng), bob(rng));
    let mut desk = Companion::linked(&mut alice, 5, rng);
    let to = Jid::pn("628222");
    let devices = vec![
        (to.clone(), Some(bob.next_bundle(rng))),
        (desk.jid.clone(), Some(desk.bundle(rng))),
        (Jid::pn("628111"), None),
    ];
    let stanza = write_to(&mut alice, devices, to.clone(), ("A1", "hello"), rng);
    let copy = desk.open(&alice, &relay(&stanza, &Jid::pn("628111"), &desk.jid), rng);
    let copy = copy.device_sent_message.into_option().unwrap();
    assert_eq!(copy.destination_jid.as_deref(), Some("628222@s.whatsapp.net"));
    assert_eq!(copy.message.into_option().unwrap().conversation.as_deref(), Some("hello"));

    let inner = content::for_own_devices(&text("from the desk"), to.to_string());
    let mut copy = desk.write_raw(&mut alice, "D1", inner, rng);
    copy.attrs.insert("recipient", NodeValue::from(to.clone()));
    let receipts = alice.handle(&copy, NOW, rng);
    assert_eq!(
        (attr(&receipts[0], "type"), attr(&receipts[0], "recipient")),
        ("sender".into(), to.to_string())
    );
    let entry = alice.inbox(1).first().unwrap();
    assert_eq!(
        (entry.text.as_str(), entry.from_me, entry.chat.as_str()),
        ("from the desk", true, "628222@s.whatsapp.net")
    );
    assert_eq!(entry.from, "628111@s.whatsapp.net");
}

#[test]
fn strangers_companions_are_read_with_right_papers_only() {
    let rng = &mut rng(27);
    let (mut alice, mut bob, mut mallory) = (alice(rng), bob(rng), Phone::new("628666", "9666", "M", rng));
    let mut desk = Companion::linked(&mut alice, 5, rng);
    let mut forged = Companion::linked(&mut mallory, 5, rng);
    say(&mut alice, &mut bob, "A1", "it is me", rng);

    forged.jid = desk.jid.clone();
    let lie = forged.write(&mut bob, "X1", "give me money", rng);
    let answers = bob.handle(&lie, NOW, rng);
    assert_eq!(attr(&answers[0], "type"), "retry");
    assert_eq!(attr(answers[0].get_optional_child("retry").unwrap(), "error"), "12");
    assert_eq!(texts(&bob), ["it is me"]);

    let mut bare = desk.write(&mut bob, "D1", "hello", rng);
    bare.content = Some(wacore_binary::NodeContent::Nodes(bare.children().unwrap()[..1].to_vec()));
    assert_eq!(attr(&bob.handle(&bare, NOW, rng)[0], "type"), "retry", "no papers at all");
    let whole = desk.write(&mut bob, "D2", "hello again", rng);
    bob.handle(&whole, NOW, rng);
    assert_eq!(texts(&bob), ["it is me", "hello again"]);
}

#[test]
fn a_companion_gets_the_app_state_key_and_it_stays_the_same() {
    let rng = &mut rng(28);
    let mut alice = alice(rng);
    let mut desk = Companion::linked(&mut alice, 5, rng);
    let stranger = Jid::pn_device("628111", 9);
    let refused = alice.share_app_state_key(stranger, Some(desk.bundle(rng)), "K0".into(), NOW, rng);
    assert!(matches!(refused, Err(PhoneError::NotLinked(9))));

    let mut keys = Vec::new();
    for (id, bundle) in [("K1", Some(desk.bundle(rng))), ("K2", None)] {
        let stanza = alice.share_app_state_key(desk.jid.clone(), bundle, id.into(), NOW, rng).unwrap();
        assert_eq!((attr(&stanza, "category"), attr(&stanza, "to")), ("peer".into(), desk.jid.to_string()));
        let message = desk.open(&alice, &stanza, rng);
        keys.push(message.protocol_message.app_state_sync_key_share.keys[0].clone());
    }
    assert_eq!(keys[0].key_data.key_data.as_ref().map(Vec::len), Some(32));
    assert_eq!(keys[0].key_id.key_id.as_ref().map(Vec::len), Some(6));
    assert_eq!(keys[0], keys[1]);
    assert!(alice.inbox(0).is_empty(), "housekeeping is not shown");
}

#[test]
fn a_companion_that_asks_for_the_app_state_key_gets_it() {
    use waproto::whatsapp::message::{ProtocolMessage, protocol_message::Type};
    let rng = &mut rng(29);
    let mut alice = alice(rng);
    let mut desk = Companion::linked(&mut alice, 5, rng);
    let request = wa::Message {
        protocol_message: buffa::MessageField::some(ProtocolMessage {
            r#type: Some(Type::APP_STATE_SYNC_KEY_REQUEST),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut stanza = desk.write_raw(&mut alice, "R1", codec::message_to_vec(&request), rng);
    stanza.attrs.insert("category", "peer");
    let answers = alice.handle(&stanza, NOW, rng);
    let message = desk.open(&alice, &answers[0], rng);
    assert_eq!(message.protocol_message.app_state_sync_key_share.keys.len(), 1);
    assert_eq!(attr(&answers[1], "type"), "peer_msg");
    assert!(alice.inbox(0).is_empty());
}
