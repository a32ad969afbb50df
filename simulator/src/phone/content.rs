//! What is inside a message: padding, the wrapper for own devices, and how a person would call it.
//!
//! In: `wa::Message` and plaintext bytes. Out: the same, or short descriptions. Pure.
//!
//! Source: the wire format. A plaintext of `v` 2 ends in 1 to 16 bytes that each say how many they are.

use buffa::MessageField;
use rand::{CryptoRng, RngExt};
use waproto::codec;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;

/// From this version of `<enc>` on a plaintext is not padded.
const FIRST_UNPADDED_VERSION: u64 = 3;
/// How many wrappers (view once, ephemeral, …) are looked through.
const MAX_WRAPPERS: usize = 4;

/// Appends the padding to an encoded message.
pub(super) fn pad(mut encoded: Vec<u8>, rng: &mut impl CryptoRng) -> Vec<u8> {
    let count: u8 = rng.random_range(1..=16);
    encoded.resize(encoded.len() + usize::from(count), count);
    encoded
}

/// Removes the padding; `None` if it is wrong.
pub(super) fn unpad(plaintext: &[u8], version: u64) -> Option<&[u8]> {
    if version >= FIRST_UNPADDED_VERSION {
        return Some(plaintext);
    }
    let count = usize::from(*plaintext.last()?);
    let (content, padding) = plaintext.split_at_checked(plaintext.len().checked_sub(count)?)?;
    (count != 0 && padding.iter().all(|byte| usize::from(*byte) == count)).then_some(content)
}

/// Wraps an encoded message for the sender's other devices, which then know what was sent to whom.
pub(super) fn for_own_devices(message: &wa::Message, destination: String) -> Vec<u8> {
    let wrapper = wa::message::DeviceSentMessage {
        destination_jid: Some(destination),
        message: MessageField::some(message.clone()),
        phash: None,
    };
    codec::message_to_vec(&wa::Message {
        message_context_info: message.message_context_info.clone(),
        device_sent_message: MessageField::some(wrapper),
        ..wa::Message::default()
    })
}

/// Takes the wrapper for own devices off: the destination and the message inside.
pub(super) fn from_own_device(mut message: wa::Message) -> (Option<String>, wa::Message) {
    let Some(wrapper) = message.device_sent_message.take() else { return (None, message) };
    let mut inner = wrapper.message.into_option().unwrap_or_default();
    if inner.message_context_info.is_unset() {
        inner.message_context_info = message.message_context_info;
    }
    (wrapper.destination_jid, inner)
}

/// The message inside its wrappers (ephemeral, view once, with caption, edited).
pub(super) fn unwrapped(message: &wa::Message) -> &wa::Message {
    let mut current = message;
    for _ in 0..MAX_WRAPPERS {
        let wrappers = [
            &current.ephemeral_message,
            &current.view_once_message,
            &current.view_once_message_v2,
            &current.document_with_caption_message,
            &current.edited_message,
        ];
        let Some(inner) = wrappers.into_iter().find_map(|w| w.as_option()?.message.as_option()) else {
            return current;
        };
        current = inner;
    }
    current
}

/// How a person would call this message, and how the stanza does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// The inbox's word for it.
    pub(super) name: &'static str,
    /// Attribute `type` of `<message>`.
    pub(super) stanza: &'static str,
    /// Attribute `mediatype` of `<enc>`.
    pub(super) media: Option<&'static str>,
}

/// Keys and other things between devices.
pub(super) const HOUSEKEEPING: Kind = plain("protocol", "text");

/// Classifies a message; wrappers are looked through.
pub(super) fn kind(message: &wa::Message) -> Kind {
    let m = unwrapped(message);
    let gif = m.video_message.as_option().is_some_and(|v| v.gif_playback == Some(true));
    let voice = m.audio_message.as_option().is_some_and(|a| a.ptt == Some(true));
    let poll = [&m.poll_creation_message, &m.poll_creation_message_v2, &m.poll_creation_message_v3];
    let known = [
        (m.image_message.is_set(), media("image", "image")),
        (gif, media("gif", "gif")),
        (m.video_message.is_set(), media("video", "video")),
        (voice, media("ptt", "ptt")),
        (m.audio_message.is_set(), media("audio", "audio")),
        (m.document_message.is_set(), media("document", "document")),
        (m.sticker_message.is_set(), media("sticker", "sticker")),
        (m.location_message.is_set(), media("location", "location")),
        (m.live_location_message.is_set(), media("liveLocation", "livelocation")),
        (m.contact_message.is_set(), media("contact", "vcard")),
        (m.contacts_array_message.is_set(), media("contacts", "contact_array")),
        (m.list_message.is_set(), media("list", "list")),
        (m.reaction_message.is_set(), plain("reaction", "reaction")),
        (poll.iter().any(|p| p.is_set()), plain("poll", "poll")),
        (m.poll_update_message.is_set(), plain("pollVote", "poll")),
        (m.buttons_message.is_set(), plain("buttons", "text")),
        (m.interactive_message.is_set(), plain("interactive", "text")),
        (m.protocol_message.is_set(), plain(protocol_name(m), "text")),
        (m.conversation.is_some() || m.extended_text_message.is_set(), plain("text", "text")),
    ];
    known.into_iter().find(|(is, _)| *is).map_or(plain("unknown", "text"), |(_, kind)| kind)
}

const fn media(name: &'static str, media: &'static str) -> Kind {
    Kind { name, stanza: "media", media: Some(media) }
}

const fn plain(name: &'static str, stanza: &'static str) -> Kind {
    Kind { name, stanza, media: None }
}

fn protocol_name(message: &wa::Message) -> &'static str {
    let kind = message.protocol_message.as_option().and_then(|p| p.r#type);
    if kind == Some(ProtocolType::REVOKE) {
        "revoke"
    } else if kind == Some(ProtocolType::MESSAGE_EDIT) {
        "edit"
    } else {
        "protocol"
    }
}

/// Whether a person would see this message in a chat (keys and other housekeeping are not shown).
pub(super) fn is_visible(message: &wa::Message) -> bool {
    match kind(message).name {
        "protocol" => false,
        "unknown" => {
            let mut rest = message.clone();
            rest.sender_key_distribution_message = MessageField::none();
            rest.message_context_info = MessageField::none();
            codec::message_encoded_len(&rest) > 0
        }
        _ => true,
    }
}

/// The words that a person would read: text, caption, question, or empty.
pub(super) fn text(message: &wa::Message) -> String {
    let m = unwrapped(message);
    let poll = [&m.poll_creation_message, &m.poll_creation_message_v2, &m.poll_creation_message_v3];
    let edited = m.protocol_message.as_option().and_then(|p| p.edited_message.as_option());
    let found = m
        .conversation
        .clone()
        .or_else(|| m.extended_text_message.as_option()?.text.clone())
        .or_else(|| m.image_message.as_option()?.caption.clone())
        .or_else(|| m.video_message.as_option()?.caption.clone())
        .or_else(|| m.document_message.as_option()?.caption.clone())
        .or_else(|| m.reaction_message.as_option()?.text.clone())
        .or_else(|| m.buttons_message.as_option()?.content_text.clone())
        .or_else(|| m.list_message.as_option()?.description.clone())
        .or_else(|| m.interactive_message.as_option()?.body.as_option()?.text.clone())
        .or_else(|| poll.into_iter().find_map(|p| p.as_option()?.name.clone()));
    found.or_else(|| edited.map(|m| m.conversation.clone().unwrap_or_default())).unwrap_or_default()
}
