//! Messages in both directions, as values.

use session_api::SendRequest;
use whatsapp_rust::wacore::chrono::DateTime;
use whatsapp_rust::wacore::types::message::MessageSource;

use super::*;

const NUMBER: &str = "628123456789@s.whatsapp.net";

fn request(json: serde_json::Value) -> SendRequest {
    serde_json::from_value(json).unwrap()
}

fn text_request(more: &serde_json::Value) -> SendRequest {
    let mut body = serde_json::json!({"to": "628123456789", "content": {"type": "text", "text": "hi"}});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    request(body)
}

fn composed(request: &SendRequest, quote: &Quote) -> wa::Message {
    message_decode(&compose(request, quote).unwrap()).unwrap()
}

fn nothing() -> Quote {
    Quote { remembered: None, me: None }
}

fn context(message: &wa::Message) -> &wa::ContextInfo {
    message.extended_text_message.as_option().unwrap().context_info.as_option().unwrap()
}

fn info(chat: &str, sender: &str, alt: Option<&str>) -> MessageInfo {
    MessageInfo {
        source: MessageSource {
            chat: chat.parse().unwrap(),
            sender: sender.parse().unwrap(),
            is_group: chat.ends_with("@g.us"),
            sender_alt: alt.map(|alt| alt.parse().unwrap()),
            ..Default::default()
        },
        id: "ID1".into(),
        push_name: "Bob".into(),
        timestamp: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        ..Default::default()
    }
}

fn received(info: &MessageInfo, message: &wa::Message, auto_reply: bool) -> (Inbound, InboundMessage) {
    let from = public_sender(info, None);
    let inbound = inbound(info, message, from, auto_reply).unwrap();
    let EventData::MessageReceived(event) = inbound.event.clone() else { panic!("no message") };
    (inbound, event)
}

#[test]
fn a_plain_text_is_a_conversation() {
    let message = composed(&text_request(&serde_json::json!({})), &nothing());
    assert_eq!(message.conversation.as_deref(), Some("hi"));
}

#[test]
fn mentions_and_an_unknown_quote_go_into_the_context() {
    let request = text_request(&serde_json::json!({
        "content": {"type": "text", "text": "hi @628111111111", "mentions": ["628111111111"]},
        "quoted": "3EB0",
    }));
    let message = composed(&request, &nothing());
    let context = context(&message);
    assert_eq!(context.mentioned_jid, ["628111111111@s.whatsapp.net"]);
    assert_eq!(context.stanza_id.as_deref(), Some("3EB0"));
    assert_eq!(context.participant.as_deref(), Some(NUMBER), "in a one-to-one chat the other one wrote it");
    assert!(context.quoted_message.is_set() && context.remote_jid.is_none());
}

#[test]
fn a_remembered_quote_carries_the_original_and_its_author() {
    let message = message_to_vec(&wa::Message::text("original"));
    let request = text_request(&serde_json::json!({"quoted": "3EB0"}));
    let theirs = Remembered { sender: Some("9@lid".into()), chat: "9@lid".into(), message: message.clone() };
    let quoting = composed(&request, &Quote { remembered: Some(theirs), me: None });
    let found = context(&quoting);
    assert_eq!(found.participant.as_deref(), Some("9@lid"));
    assert_eq!(found.quoted_message.as_option().unwrap().conversation.as_deref(), Some("original"));
    let ours = Remembered { sender: None, chat: NUMBER.into(), message };
    let quoting = composed(&request, &Quote { remembered: Some(ours), me: Some("1@s.whatsapp.net".into()) });
    assert_eq!(context(&quoting).participant.as_deref(), Some("1@s.whatsapp.net"));
}

#[test]
fn in_a_group_an_unknown_quote_needs_its_author() {
    let group = "120363025246125486@g.us";
    let bare = text_request(&serde_json::json!({"to": group, "quoted": "3EB0"}));
    assert_eq!(compose(&bare, &nothing()), Err(ComposeError::UnknownQuote));
    let full = text_request(
        &serde_json::json!({"to": group, "quoted": {"id": "3EB0", "participant": "628111111111"}}),
    );
    assert_eq!(
        context(&composed(&full, &nothing())).participant.as_deref(),
        Some("628111111111@s.whatsapp.net")
    );
}

#[test]
fn the_sender_is_a_number_whenever_it_is_known() {
    let cases = [
        (info(NUMBER, "628123456789:3@s.whatsapp.net", None), None, NUMBER),
        (info("9@lid", "9:3@lid", Some(NUMBER)), None, NUMBER),
        (info("9@lid", "9@lid", None), Some("628123456789"), NUMBER),
        (info("9@lid", "9:1@lid", None), None, "9@lid"),
    ];
    for (info, looked_up, expected) in cases {
        assert_eq!(public_sender(&info, looked_up), expected);
    }
}

#[test]
fn a_text_becomes_an_event_and_is_kept_for_quoting() {
    let (row, event) = received(&info("9@lid", "9:1@lid", Some(NUMBER)), &wa::Message::text("hello"), false);
    assert_eq!((row.chat.as_str(), row.sender.as_str(), row.id.as_str()), ("9@lid", "9@lid", "ID1"));
    assert_eq!(message_decode(&row.message).unwrap(), wa::Message::text("hello"));
    assert_eq!(
        serde_json::to_value(event).unwrap(),
        serde_json::json!({
            "id": "ID1", "from": NUMBER, "chat": NUMBER, "fromLid": "9@lid", "pushName": "Bob", "text": "hello",
            "isGroup": false, "timestamp": 1_700_000_000_000_u64, "message": {"conversation": "hello"},
        })
    );
}

#[test]
fn a_group_message_names_group_sender_caption_and_quote() {
    let message = wa::Message {
        image_message: MessageField::some(wa::message::ImageMessage {
            caption: Some("look".into()),
            media_key: Some(vec![1, 2, 3]),
            file_length: Some(1 << 60),
            context_info: MessageField::some(wa::ContextInfo {
                stanza_id: Some("Q".into()),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let (_, event) = received(&info("120363025246125486@g.us", NUMBER, None), &message, false);
    assert_eq!((event.chat.as_str(), event.from.as_str()), ("120363025246125486@g.us", NUMBER));
    assert!(event.is_group);
    assert_eq!((event.text.as_deref(), event.quoted.as_deref()), (Some("look"), Some("Q")));
    let image = &event.message["imageMessage"];
    assert_eq!(image["mediaKey"], "AQID");
    assert_eq!(image["fileLength"], "1152921504606846976");
    assert!(image.get("url").is_none(), "unset fields are left out");
}

#[test]
fn only_what_somebody_else_says_is_an_event() {
    let text = wa::Message::text("x");
    let from = |chat: &str| info(chat, NUMBER, None);
    assert!(is_event(&from(NUMBER), &text));
    assert!(is_event(&from("120363025246125486@g.us"), &text));
    for chat in ["120363025246125486@newsletter", "status@broadcast", "1234@broadcast"] {
        assert!(!is_event(&from(chat), &text), "{chat}");
    }
    let mut own = from(NUMBER);
    own.source.is_from_me = true;
    assert!(!is_event(&own, &text));
    let mut peer = from(NUMBER);
    peer.category = MessageCategory::Peer;
    assert!(!is_event(&peer, &text));
    let keys = wa::Message {
        sender_key_distribution_message: MessageField::some(wa::message::SenderKeyDistributionMessage {
            group_id: Some("g".into()),
            ..Default::default()
        }),
        message_context_info: MessageField::some(wa::MessageContextInfo::default()),
        ..Default::default()
    };
    assert!(!is_event(&from(NUMBER), &keys));
    let with_text = wa::Message { conversation: Some("x".into()), ..keys };
    assert!(is_event(&from(NUMBER), &with_text));
    let revoke = wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage::default()),
        ..Default::default()
    };
    assert!(!is_event(&from(NUMBER), &revoke));
    assert!(!is_event(&from(NUMBER), &wa::Message::default()));
}

#[test]
fn a_ping_is_answered_once_and_only_when_wanted() {
    let ping = wa::Message::text("  PiNg\n");
    let from = info("9@lid", "9:1@lid", Some(NUMBER));
    let (one, _) = received(&from, &ping, true);
    let (two, _) = received(&from, &ping, true);
    let reply = one.reply.unwrap();
    assert_eq!(Some(&reply), two.reply.as_ref(), "the same id, whenever it is asked");
    assert_eq!((reply.to.as_str(), reply.id.len(), &reply.id[..4]), (NUMBER, 22, "3EB0"));
    assert_eq!(message_decode(&reply.message).unwrap().conversation.as_deref(), Some("pong"));
    let other = MessageInfo { id: "ID2".into(), ..info("9@lid", "9:1@lid", Some(NUMBER)) };
    assert_ne!(received(&other, &ping, true).0.reply.unwrap().id, reply.id);
    assert_eq!(received(&from, &ping, false).0.reply, None);
    assert_eq!(received(&from, &wa::Message::text("ping pong"), true).0.reply, None);
}

#[test]
fn huge_messages_are_cut_and_strange_ids_dropped() {
    let huge = wa::Message::text("ä".repeat(300_000));
    let (_, event) = received(&info(NUMBER, NUMBER, None), &huge, false);
    assert_eq!(event.message["truncated"], true);
    assert_eq!(event.text.unwrap().len(), MAX_TEXT_BYTES);
}

#[test]
fn a_message_with_a_strange_id_is_no_lost_message() {
    let named = |id: &str| {
        let info = MessageInfo { id: id.into(), ..info(NUMBER, NUMBER, None) };
        received(&info, &wa::Message::text("hi"), false)
    };
    let long = "A".repeat(65);
    for id in ["a b", "", "ä=/", &long] {
        let (stored, event) = named(id);
        assert!(event.id.as_str().starts_with("sha256-"), "{id:?}: {:?}", event.id);
        assert_eq!((&stored.id, event.text.as_deref()), (&event.id.to_string(), Some("hi")));
    }
    assert_ne!(named("a b").1.id, named("a c").1.id);
    assert_eq!(named("a b").1.id, named("a b").1.id, "a repetition is told as one");
    assert_eq!(named("3EB0AA").1.id.as_str(), "3EB0AA");
}

#[test]
fn receipts_say_how_far() {
    assert_eq!(progress(&ReceiptType::Delivered), Some(Progress::Delivered));
    assert_eq!(progress(&ReceiptType::Read), Some(Progress::Read));
    assert_eq!(progress(&ReceiptType::Played), Some(Progress::Played));
    for other in [ReceiptType::Sender, ReceiptType::Retry, ReceiptType::ReadSelf, ReceiptType::ServerError] {
        assert_eq!(progress(&other), None, "{other:?}");
    }
}
