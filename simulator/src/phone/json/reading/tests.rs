//! What is written is read again, and nothing that is not understood gets through.

use buffa::MessageField;
use serde_json::json;

use super::*;
use crate::phone::json::of;

#[test]
fn a_message_comes_back_as_it_was() {
    let context = wa::ContextInfo {
        mentioned_jid: vec!["628222@s.whatsapp.net".into()],
        quoted_message: MessageField::some(wa::Message {
            conversation: Some("before".into()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let message = wa::Message {
        image_message: MessageField::some(wa::message::ImageMessage {
            media_key: Some(vec![1, 2, 3]),
            file_length: Some(1 << 40),
            scan_lengths: vec![1, 2],
            context_info: MessageField::some(context),
            ..Default::default()
        }),
        location_message: MessageField::some(wa::message::LocationMessage {
            degrees_latitude: Some(-6.2),
            is_live: Some(true),
            ..Default::default()
        }),
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            r#type: Some(wa::message::protocol_message::Type::REVOKE),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(read_message(&of(&message).unwrap()).unwrap(), message);
}

#[test]
fn a_native_flow_is_read() {
    use wa::message::interactive_message::InteractiveMessage as Kind;
    let json = json!({ "interactiveMessage": {
        "body": { "text": "choose" },
        "interactiveMessage": { "nativeFlowMessage": { "buttons": [
            { "name": "quick_reply", "buttonParamsJson": "{}" },
        ] } },
    } });
    let message = read_message(&json).unwrap();
    let interactive = message.interactive_message.as_option().unwrap();
    assert!(matches!(interactive.interactive_message, Some(Kind::NativeFlowMessage(_))));
    assert_eq!(of(&message).unwrap(), json);
}

#[test]
fn numbers_may_be_texts_and_nulls_are_nothing() {
    let json = json!({ "imageMessage": { "fileLength": "5", "caption": null } });
    let message = read_message(&json).unwrap();
    assert_eq!(message.image_message.as_option().unwrap().file_length, Some(5));
}

#[test]
fn what_is_not_understood_is_said_with_its_place() {
    for (json, expected) in [
        (json!({}), "is empty"),
        (json!({ "conversation": null }), "is empty"),
        (json!("hello"), "expected an object"),
        (json!({ "extended_text_message": {} }), "`extended_text_message` is not known"),
        (json!({ "imageMessage": { "captoin": "x" } }), "imageMessage: `captoin` is not known"),
        (json!({ "imageMessage": { "mediaKey": "%" } }), "imageMessage: mediaKey: expected base64"),
        (json!({ "imageMessage": { "fileLength": "many" } }), "fileLength: expected a number (u64)"),
        (json!({ "conversation": 5 }), "conversation: expected a text"),
        (json!({ "protocolMessage": { "type": "NONSENSE" } }), "`NONSENSE` is not known"),
    ] {
        let error = read_message(&json).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}
