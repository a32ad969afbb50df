//! WhatsApp's messages ↔ ours. Pure: values in, values out.

use session_api::{Content, EventData, InboundMessage, MessageId, Recipient, SendRequest};
use sha2::{Digest, Sha256};
use whatsapp_rust::prelude::MessageField;
use whatsapp_rust::proto_helpers::{MessageBuilderExt as _, MessageExt as _, build_quote_context};
use whatsapp_rust::types::message::{MessageCategory, MessageInfo};
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::wacore_binary::{Jid, JidExt as _};
use whatsapp_rust::waproto::codec::{message_decode, message_to_vec};
use whatsapp_rust::waproto::whatsapp as wa;

use super::json;
use crate::store::{Draft, Inbound, Progress, Remembered};

/// Largest message whose whole content goes into an event, bytes as protobuf.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Longest text that goes into an event, bytes.
const MAX_TEXT_BYTES: usize = 128 * 1024;

/// The message that is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quote {
    /// The original, if it is remembered.
    pub remembered: Option<Remembered>,
    /// The session's own JID: who wrote a remembered message of ours.
    pub me: Option<String>,
}

/// Why a message cannot be composed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ComposeError {
    /// A quoted message that nobody knows the author of.
    #[error("the quoted message is not remembered: give its author as quoted.participant")]
    UnknownQuote,
    /// Content of a kind that this version cannot send.
    #[error("this version cannot send this kind of content")]
    Unsupported,
}

/// The encoded message that a request asks for.
///
/// # Errors
/// It cannot be composed.
pub(crate) fn compose(request: &SendRequest, quote: &Quote) -> Result<Vec<u8>, ComposeError> {
    let Content::Text { text, mentions } = &request.content else { return Err(ComposeError::Unsupported) };
    let mut context = quoted_context(request, quote)?;
    if !mentions.is_empty() {
        context.get_or_insert_default().mentioned_jid = mentions.iter().map(Recipient::to_string).collect();
    }
    let message = match context {
        None => wa::Message::text(text),
        Some(context) => wa::Message {
            extended_text_message: MessageField::some(wa::message::ExtendedTextMessage {
                text: Some(text.clone()),
                context_info: MessageField::some(context),
                ..Default::default()
            }),
            ..Default::default()
        },
    };
    Ok(message_to_vec(&message))
}

fn quoted_context(request: &SendRequest, quote: &Quote) -> Result<Option<wa::ContextInfo>, ComposeError> {
    let Some(quoted) = &request.quoted else { return Ok(None) };
    let id = quoted.id.as_str();
    let to = request.to.to_string();
    let remembered = quote.remembered.as_ref();
    let author = remembered
        .and_then(|known| known.sender.clone().or_else(|| quote.me.clone()))
        .or_else(|| quoted.participant.as_ref().map(Recipient::to_string))
        .or_else(|| (!request.to.is_group()).then(|| to.clone()))
        .ok_or(ComposeError::UnknownQuote)?;
    let original = remembered.and_then(|known| message_decode(&known.message).ok()).unwrap_or_default();
    let mut context = build_quote_context(id, author, &original);
    // Only a quote from another chat names its chat. A one-to-one chat may be addressed by number or by LID.
    let from_group = remembered.filter(|known| known.chat.ends_with("@g.us") && known.chat != to);
    context.remote_jid = from_group.map(|known| known.chat.clone());
    Ok(Some(context))
}

/// Whether an inbound message is an event: somebody else wrote it, to this account or a group, and it says something.
pub(super) fn is_event(info: &MessageInfo, message: &wa::Message) -> bool {
    let source = &info.source;
    let chat = &source.chat;
    !source.is_from_me
        && !chat.is_newsletter()
        && !chat.is_broadcast_list()
        && !chat.is_status_broadcast()
        && !matches!(info.category, MessageCategory::Peer)
        && says_something(message)
}

/// Messages that only carry keys or instructions to the client say nothing to people.
fn says_something(message: &wa::Message) -> bool {
    let base = message.get_base_message();
    if base.protocol_message.is_set() {
        return false;
    }
    let mut rest = base.clone();
    rest.sender_key_distribution_message = MessageField::none();
    rest.fast_ratchet_key_sender_key_distribution_message = MessageField::none();
    rest.message_context_info = MessageField::none();
    rest != wa::Message::default()
}

/// The sender as people know them: the number if it is known, else the LID.
pub(super) fn public_sender(info: &MessageInfo, looked_up: Option<&str>) -> String {
    let sender = &info.source.sender;
    let number = if sender.is_pn() {
        Some(sender.user.to_string())
    } else {
        let alt = info.source.sender_alt.as_ref().filter(|alt| alt.is_pn());
        alt.map(|alt| alt.user.to_string()).or_else(|| looked_up.map(str::to_owned))
    };
    number.map_or_else(|| sender.to_non_ad_string(), |number| format!("{number}@s.whatsapp.net"))
}

fn sender_lid(info: &MessageInfo) -> Option<String> {
    let known = [Some(&info.source.sender), info.source.sender_alt.as_ref()];
    known.into_iter().flatten().find(|jid| jid.is_lid()).map(Jid::to_non_ad_string)
}

/// A message's id as an event names it. Senders choose ids, and a message with a strange one is not lost: a digest stands for it.
fn event_id(id: &str) -> Option<MessageId> {
    let digest = || format!("sha256-{}", hex::encode(Sha256::digest(id).get(..16).unwrap_or_default()));
    MessageId::try_from(id.to_owned()).or_else(|_| MessageId::try_from(digest())).ok()
}

/// An inbound message as it is stored. `from` is [`public_sender`].
pub(super) fn inbound(
    info: &MessageInfo,
    message: &wa::Message,
    from: String,
    auto_reply: bool,
) -> Option<Inbound> {
    let id = event_id(&info.id)?;
    let is_group = info.source.chat.is_group();
    let chat = if is_group { info.source.chat.to_non_ad_string() } else { from.clone() };
    let encoded = message_to_vec(message);
    let event = InboundMessage {
        id: id.clone(),
        chat: chat.clone(),
        from_lid: sender_lid(info),
        push_name: Some(bounded(&info.push_name, 256)).filter(|name| !name.is_empty()),
        text: text(message).map(|text| bounded(text, MAX_TEXT_BYTES)),
        is_group,
        timestamp: u64::try_from(info.timestamp.timestamp_millis()).unwrap_or(0),
        quoted: quoted_id(message),
        message: content(message, encoded.len()),
        from,
    };
    let key = (info.source.chat.to_non_ad_string(), info.source.sender.to_non_ad_string());
    let reply = auto_reply.then(|| pong(&event, &key.0, &key.1)).flatten();
    Some(Inbound {
        chat: key.0,
        sender: key.1,
        id: id.into(),
        message: encoded,
        event: EventData::MessageReceived(event),
        reply,
    })
}

fn content(message: &wa::Message, encoded: usize) -> serde_json::Value {
    if encoded > MAX_MESSAGE_BYTES {
        return serde_json::json!({ "truncated": true, "bytes": encoded });
    }
    json::to_json(message)
}

/// Text or caption.
fn text(message: &wa::Message) -> Option<&str> {
    message.text_content().or_else(|| message.get_caption())
}

fn quoted_id(message: &wa::Message) -> Option<String> {
    let base = message.get_base_message();
    let contexts = [
        base.extended_text_message.as_option().and_then(|m| m.context_info.as_option()),
        base.image_message.as_option().and_then(|m| m.context_info.as_option()),
        base.video_message.as_option().and_then(|m| m.context_info.as_option()),
        base.audio_message.as_option().and_then(|m| m.context_info.as_option()),
        base.document_message.as_option().and_then(|m| m.context_info.as_option()),
        base.sticker_message.as_option().and_then(|m| m.context_info.as_option()),
        base.location_message.as_option().and_then(|m| m.context_info.as_option()),
        base.contact_message.as_option().and_then(|m| m.context_info.as_option()),
    ];
    let id = contexts.into_iter().flatten().find_map(|context| context.stanza_id.as_deref());
    id.map(|id| bounded(id, 128)).filter(|id| !id.is_empty())
}

fn bounded(text: &str, bytes: usize) -> String {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default().to_owned()
}

/// `pong` to a `ping`. Its id follows from the message that it answers, so that no crash can answer twice.
fn pong(event: &InboundMessage, chat: &str, sender: &str) -> Option<Draft> {
    let asked = event.text.as_deref()?.trim();
    if !asked.eq_ignore_ascii_case("ping") {
        return None;
    }
    let digest = Sha256::digest(format!("pong\n{chat}\n{sender}\n{}", event.id));
    let fingerprint = digest.to_vec();
    let id = format!("3EB0{}", hex::encode_upper(fingerprint.get(..9)?));
    let message = message_to_vec(&wa::Message::text("pong"));
    Some(Draft { id, to: event.chat.clone(), fingerprint, message })
}

/// How far a receipt says that messages have come; none for receipts that say nothing of it.
pub(super) fn progress(receipt: &ReceiptType) -> Option<Progress> {
    match receipt {
        ReceiptType::Delivered => Some(Progress::Delivered),
        ReceiptType::Read => Some(Progress::Read),
        ReceiptType::Played => Some(Progress::Played),
        ReceiptType::Sent
        | ReceiptType::Sender
        | ReceiptType::Retry
        | ReceiptType::EncRekeyRetry
        | ReceiptType::ReadSelf
        | ReceiptType::PlayedSelf
        | ReceiptType::ServerError
        | ReceiptType::Inactive
        | ReceiptType::PeerMsg
        | ReceiptType::HistorySync
        | ReceiptType::Other(_)
        | _ => None,
    }
}

#[cfg(test)]
mod tests;
