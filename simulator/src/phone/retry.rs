//! Messages that could not be read: asking for them again, and sending again when asked.
//!
//! In: an unreadable message, or a retry receipt. Out: a retry receipt with this phone's keys, or the same
//! message under a fresh session. Both are bounded, so that two broken sides fall silent.

use std::collections::VecDeque;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::SignalProtocolError;
use waproto::codec;

use super::outbox::{MAX_RESENDS, Sent};
use super::receipts::acknowledgement;
use super::receive::Envelope;
use super::stanza::{bytes, jid, text};
use super::{DeviceAddress, Phone, PhoneError, PreKeyBundle, content};

/// A message is asked for again at most this often.
const MAX_RETRIES: u8 = 5;
/// So many unreadable messages are remembered.
const MAX_FAILURES: usize = 1_000;

/// Why a message could not be read: attribute `error` of `<retry>`.
///
/// Source: the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Unknown = 0,
    NoSession = 1,
    InvalidKey = 2,
    InvalidKeyId = 3,
    InvalidMessage = 4,
    InvalidSignature = 5,
    BadMac = 7,
    InvalidSession = 8,
    DeviceIdentity = 12,
}

impl Reason {
    pub(super) fn of(error: &PhoneError) -> Self {
        use SignalProtocolError as Signal;
        let signal = match error {
            PhoneError::DeviceIdentity(_) | PhoneError::NotLinked(_) => return Self::DeviceIdentity,
            PhoneError::Signal(signal) => signal,
            PhoneError::DeviceTaken(_)
            | PhoneError::OtherDetails(_)
            | PhoneError::LinkCode(_)
            | PhoneError::Recipient(_)
            | PhoneError::NoSession(_)
            | PhoneError::Waiting => return Self::Unknown,
        };
        let table = [
            (matches!(signal, Signal::SessionNotFound(_) | Signal::NoSenderKeyState(_)), Self::NoSession),
            (matches!(signal, Signal::BadKeyType(_) | Signal::BadKeyLength(..)), Self::InvalidKey),
            (matches!(signal, Signal::InvalidPreKeyId | Signal::InvalidSignedPreKeyId), Self::InvalidKeyId),
            (matches!(signal, Signal::SignatureValidationFailed), Self::InvalidSignature),
            (matches!(signal, Signal::BadMac(_)), Self::BadMac),
            (matches!(signal, Signal::InvalidSessionStructure(_)), Self::InvalidSession),
        ];
        table.into_iter().find(|(is, _)| *is).map_or(Self::InvalidMessage, |(_, reason)| reason)
    }
}

/// How often each unreadable message was asked for, oldest first.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Failures(VecDeque<(DeviceAddress, String, u8)>);

impl Failures {
    /// Counts one more failure: the count to send, or `None` when it was asked for often enough.
    fn count(&mut self, sender: &DeviceAddress, id: &str) -> Option<u8> {
        let at = self.0.iter().position(|(from, of, _)| from == sender && of == id);
        let count = at.and_then(|at| self.0.remove(at)).map_or(1, |(.., count)| count.saturating_add(1));
        if self.0.len() >= MAX_FAILURES {
            self.0.pop_front();
        }
        self.0.push_back((sender.clone(), id.to_owned(), count));
        (count <= MAX_RETRIES).then_some(count)
    }

    fn clear(&mut self, sender: &DeviceAddress, id: &str) {
        self.0.retain(|(from, of, _)| !(from == sender && of == id));
    }
}

impl Phone {
    /// A message was read: whatever went wrong with it before is over.
    pub(super) fn readable(&mut self, envelope: &Envelope) {
        self.failures.clear(&envelope.sender, &envelope.id);
    }

    /// A retry receipt, or a plain ack when the message was asked for often enough.
    pub(super) fn ask_again(
        &mut self,
        envelope: &Envelope,
        stanza: &Node,
        reason: Reason,
        rng: &mut impl CryptoRng,
    ) -> Node {
        let Some(count) = self.failures.count(&envelope.sender, &envelope.id) else {
            return acknowledgement(stanza);
        };
        let mut retry = NodeBuilder::new("retry")
            .attr("v", "1")
            .attr("id", envelope.id.as_str())
            .attr("t", envelope.timestamp)
            .attr("count", count);
        if reason != Reason::Unknown {
            retry = retry.attr("error", reason as u8);
        }
        let registration = self.registration_id().to_be_bytes();
        let registration = NodeBuilder::new("registration").bytes(registration).build();
        let keys = keys_node(&self.next_bundle(rng));
        retry_receipt(envelope).children([retry.build(), registration, keys]).build()
    }

    /// Answers a retry receipt: the same message again for that device, under a fresh session if its keys
    /// are in the receipt. `None` if the message or the device has no claim to it.
    pub(super) fn resend(&mut self, receipt: &Node, rng: &mut impl CryptoRng) -> Option<Node> {
        let requester = jid(receipt, "participant").or_else(|| jid(receipt, "from"))?;
        let device = DeviceAddress::of(&requester)?;
        let retry = receipt.get_optional_child("retry")?;
        let id = text(retry, "id").or_else(|| text(receipt, "id"))?;
        let count: u8 = text(retry, "count").and_then(|count| count.parse().ok()).unwrap_or(1);
        if count > MAX_RESENDS || !self.was_for(self.outbox.get(&id)?, &device) {
            return None;
        }
        if let Some(bundle) = bundle_of(receipt) {
            self.renew_session(&device, &bundle, rng).ok()?;
        }
        let sent = self.outbox.again(&id, &device)?;
        self.resend_stanza(&sent, &device, count, rng).ok()
    }

    fn resend_stanza(
        &mut self,
        sent: &Sent,
        device: &DeviceAddress,
        count: u8,
        rng: &mut impl CryptoRng,
    ) -> Result<Node, PhoneError> {
        if sent.is_for_group() {
            return self.resend_to_group(sent, device, count, rng);
        }
        let message = codec::message_decode(&sent.message).unwrap_or_default();
        let kind = content::kind(&message);
        let copy = self.is_own(device) && !sent.peer;
        let wrapped = copy.then(|| content::for_own_devices(&message, sent.to.clone()));
        let encoded = wrapped.as_deref().unwrap_or(&sent.message);
        let enc = self.seal(device, encoded, kind, rng)?.attr("count", count).build();
        let mut stanza = NodeBuilder::new("message")
            .attr("to", device.jid())
            .attr("id", sent.id.as_str())
            .attr("type", kind.stanza);
        if sent.peer {
            stanza = stanza.attr("category", "peer");
        } else if copy {
            stanza = stanza.attr("recipient", sent.to.as_str());
        }
        Ok(stanza.children([enc]).build())
    }

    /// Whether a sent message was meant for this device.
    fn was_for(&self, sent: &Sent, device: &DeviceAddress) -> bool {
        if sent.is_for_group() {
            return self.was_for_group_device(sent, device);
        }
        if self.is_own(device) {
            return self.companions.identity(device.device).is_some();
        }
        let to = sent.to.parse().ok().and_then(|to| DeviceAddress::of(&to));
        to.is_some_and(|to| self.people.both(&device.primary()).contains(&to))
    }
}

fn retry_receipt(envelope: &Envelope) -> NodeBuilder {
    let receipt = NodeBuilder::new("receipt").attr("id", envelope.id.as_str()).attr("type", "retry");
    if let Some(participant) = &envelope.participant {
        return receipt.attr("to", &envelope.from).attr("participant", participant);
    }
    let receipt = receipt.attr("to", envelope.sender.jid());
    match (&envelope.recipient, envelope.own) {
        (_, true) if envelope.peer => receipt.attr("category", "peer"),
        (Some(recipient), true) => receipt.attr("recipient", recipient.to_non_ad()),
        (None, true) => receipt.attr("recipient", envelope.from.to_non_ad()),
        (_, false) => receipt,
    }
}

/// The keys of a bundle as a retry receipt carries them. Device 0 has no `<device-identity>`.
pub(super) fn keys_node(bundle: &PreKeyBundle) -> Node {
    let leaf = |tag: &'static str, bytes: &[u8]| NodeBuilder::new(tag).bytes(bytes).build();
    let id = |id: u32| leaf("id", &id.to_be_bytes()[1..]);
    let (signed_id, signed, signature) = &bundle.signed_prekey;
    let one_time = bundle
        .prekey
        .map(|(number, key)| NodeBuilder::new("key").children([id(number), leaf("value", &key)]).build());
    let signed = [id(*signed_id), leaf("value", signed), leaf("signature", signature)];
    let children = [leaf("type", &[5]), leaf("identity", &bundle.identity)]
        .into_iter()
        .chain(one_time)
        .chain([NodeBuilder::new("skey").children(signed).build()]);
    NodeBuilder::new("keys").children(children).build()
}

/// The keys out of a retry receipt.
fn bundle_of(receipt: &Node) -> Option<PreKeyBundle> {
    let keys = receipt.get_optional_child("keys")?;
    let child = |node: &Node, tag: &str| node.get_optional_child(tag).and_then(bytes).map(<[u8]>::to_vec);
    let number = |bytes: Vec<u8>| match bytes.len() {
        1..=4 => Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))),
        _ => None,
    };
    let skey = keys.get_optional_child("skey")?;
    let signed_prekey = (
        number(child(skey, "id")?)?,
        child(skey, "value")?.try_into().ok()?,
        child(skey, "signature")?.try_into().ok()?,
    );
    let prekey = match keys.get_optional_child("key") {
        Some(key) => Some((number(child(key, "id")?)?, child(key, "value")?.try_into().ok()?)),
        None => None,
    };
    Some(PreKeyBundle {
        registration_id: number(child(receipt, "registration")?)?,
        identity: child(keys, "identity")?.try_into().ok()?,
        signed_prekey,
        prekey,
        device_identity: child(keys, "device-identity"),
    })
}
