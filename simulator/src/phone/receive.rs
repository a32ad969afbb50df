//! Receiving as device 0: stanzas from the server, and what a phone answers to them.
//!
//! In: `message`, `receipt`, `ack` and `notification` as delivered. Out: receipts, retry receipts, acks,
//! resends. What cannot be read is asked for again (bounded), never shown half.

use rand::CryptoRng;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::{
    CiphertextMessage, PreKeySignalMessage, SignalMessage, SignalProtocolError,
};
use waproto::codec;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;

use super::inbox::{Arrival, EntryStatus};
use super::receipts::{acknowledgement, delivery_receipt};
use super::retry::Reason;
use super::stanza::{bytes, jid, text};
use super::{DeviceAddress, Phone, PhoneError, content, signal};

/// Larger ciphertexts are refused; WhatsApp keeps media outside of messages.
const MAX_CIPHERTEXT: usize = 1024 * 1024;
/// More `<enc>` in one message are ignored.
const MAX_ENC: usize = 4;
/// Longer ids are not message ids.
const MAX_ID: usize = 128;

/// The attributes of a `<message>` that matter.
pub(super) struct Envelope {
    pub(super) id: String,
    pub(super) from: Jid,
    pub(super) participant: Option<Jid>,
    pub(super) recipient: Option<Jid>,
    pub(super) peer: bool,
    pub(super) timestamp: u64,
    /// The device that encrypted it.
    pub(super) sender: DeviceAddress,
    /// That device belongs to this account.
    pub(super) own: bool,
}

/// What became of one `<enc>`.
enum Opened {
    Message(Box<wa::Message>),
    /// The ciphertext was read before.
    Again,
    Unreadable(Reason),
}

impl Phone {
    /// Handles a stanza that was delivered to device 0; returns what the phone sends back, in order.
    /// Stanzas that a phone does not know are ignored.
    pub fn handle(&mut self, stanza: &Node, now_secs: u64, rng: &mut impl CryptoRng) -> Vec<Node> {
        self.people.learn_from(stanza);
        match stanza.tag.as_ref() {
            "message" => self.receive(stanza, now_secs, rng),
            "receipt" => self.receipt(stanza, rng),
            "ack" => {
                self.acknowledged(stanza);
                Vec::new()
            }
            "notification" => {
                self.notified(stanza);
                vec![acknowledgement(stanza)]
            }
            _ => Vec::new(),
        }
    }

    fn receive(&mut self, stanza: &Node, now_secs: u64, rng: &mut impl CryptoRng) -> Vec<Node> {
        let Some(envelope) = self.envelope(stanza, now_secs) else { return vec![acknowledgement(stanza)] };
        let papers = stanza.get_optional_child("device-identity").and_then(bytes).map(<[u8]>::to_vec);
        let mut answers = Vec::new();
        let mut failure = None;
        for enc in self.enc_nodes(stanza) {
            match self.open(&envelope, enc, papers.as_deref(), rng) {
                Opened::Message(message) => answers.extend(self.take(&envelope, *message, now_secs, rng)),
                Opened::Again => {
                    self.inbox.count_again(
                        &self.chat_of(&envelope),
                        &self.writer_of(&envelope),
                        &envelope.id,
                    );
                }
                Opened::Unreadable(reason) => failure = failure.or(Some(reason)),
            }
        }
        match failure {
            Some(reason) => answers.push(self.ask_again(&envelope, stanza, reason, rng)),
            None => answers.push(delivery_receipt(&envelope)),
        }
        answers
    }

    fn envelope(&self, stanza: &Node, now_secs: u64) -> Option<Envelope> {
        let from = jid(stanza, "from")?;
        let participant = jid(stanza, "participant");
        let sender = DeviceAddress::of(participant.as_ref().unwrap_or(&from))?;
        let id = text(stanza, "id").filter(|id| !id.is_empty() && id.len() <= MAX_ID)?;
        Some(Envelope {
            id,
            participant,
            recipient: jid(stanza, "recipient"),
            peer: text(stanza, "category").as_deref() == Some("peer"),
            timestamp: text(stanza, "t").and_then(|t| t.parse().ok()).unwrap_or(now_secs),
            own: self.is_own(&sender),
            sender,
            from,
        })
    }

    /// The ciphertexts for this device, whether the server took them out of `<participants>` or not.
    fn enc_nodes<'a>(&self, stanza: &'a Node) -> Vec<&'a Node> {
        let for_us = |to: &&Node| {
            jid(to, "jid")
                .and_then(|jid| DeviceAddress::of(&jid))
                .is_some_and(|a| a.device == 0 && self.is_own(&a))
        };
        let participants = stanza.get_optional_child("participants");
        let fanned = participants.into_iter().flat_map(|p| p.get_children_by_tag("to")).filter(for_us);
        let fanned = fanned.flat_map(|to| to.get_children_by_tag("enc"));
        stanza.get_children_by_tag("enc").chain(fanned).take(MAX_ENC).collect()
    }

    fn open(
        &mut self,
        envelope: &Envelope,
        enc: &Node,
        papers: Option<&[u8]>,
        rng: &mut impl CryptoRng,
    ) -> Opened {
        let Some(body) = bytes(enc).filter(|body| body.len() <= MAX_CIPHERTEXT) else {
            return Opened::Unreadable(Reason::InvalidMessage);
        };
        let decrypted = match text(enc, "type").as_deref() {
            Some("pkmsg") => self.open_first(&envelope.sender, body, papers, rng),
            Some("msg") => SignalMessage::try_from(body).map_err(PhoneError::from).and_then(|message| {
                self.decrypt(&envelope.sender, &CiphertextMessage::SignalMessage(message), rng)
            }),
            Some("skmsg") => self.open_from_group(&envelope.from, &envelope.sender, body),
            _ => return Opened::Unreadable(Reason::Unknown),
        };
        let plaintext = match decrypted {
            Ok(plaintext) => plaintext,
            Err(PhoneError::Signal(SignalProtocolError::DuplicatedMessage(..))) => return Opened::Again,
            Err(error) => return Opened::Unreadable(Reason::of(&error)),
        };
        let version = text(enc, "v").and_then(|v| v.parse().ok()).unwrap_or(2);
        let message = content::unpad(&plaintext, version).and_then(|bytes| codec::message_decode(bytes).ok());
        message.map_or(Opened::Unreadable(Reason::InvalidMessage), |m| Opened::Message(Box::new(m)))
    }

    /// Opens a message that carries its sender's identity, whose papers are checked first.
    fn open_first(
        &mut self,
        sender: &DeviceAddress,
        body: &[u8],
        papers: Option<&[u8]>,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, PhoneError> {
        let message = PreKeySignalMessage::try_from(body)?;
        let identity = signal::raw(message.identity_key().public_key());
        let known = papers.is_none() && self.signal.known_identity(sender) == Some(identity);
        if !known {
            self.check_papers(sender, &identity, papers)?;
        }
        self.decrypt(sender, &CiphertextMessage::PreKeySignalMessage(message), rng)
    }

    /// Decrypts with the session under the sender's address, or else with that under its alias.
    fn decrypt(
        &mut self,
        sender: &DeviceAddress,
        message: &CiphertextMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, PhoneError> {
        let first = self.signal.decrypt(sender, message, rng);
        let alias = self.people.alias(sender).filter(|alias| self.signal.has_session(alias));
        match (first, alias) {
            (Err(PhoneError::Signal(SignalProtocolError::DuplicatedMessage(a, b))), _) => {
                Err(SignalProtocolError::DuplicatedMessage(a, b).into())
            }
            (Err(_), Some(alias)) => self.signal.decrypt(&alias, message, rng),
            (result, _) => result,
        }
    }

    /// Shows a message, or does what it asks for. Returns what is sent besides the receipt.
    fn take(
        &mut self,
        envelope: &Envelope,
        message: wa::Message,
        now_secs: u64,
        rng: &mut impl CryptoRng,
    ) -> Vec<Node> {
        self.readable(envelope);
        let (destination, message) =
            if envelope.own { content::from_own_device(message) } else { (None, message) };
        self.take_sender_key(&envelope.from, &envelope.sender, &message);
        let protocol = message.protocol_message.as_option().and_then(|p| p.r#type);
        if envelope.own && protocol == Some(ProtocolType::APP_STATE_SYNC_KEY_REQUEST) {
            let id = format!("3EB0{:016X}", rng.next_u64());
            let share = self.share_app_state_key(envelope.sender.jid(), None, id, now_secs, rng);
            return share.into_iter().collect();
        }
        if !envelope.peer && content::is_visible(&message) {
            let chat = destination.and_then(|jid| jid.parse::<Jid>().ok()).map(|jid| self.people.shown(&jid));
            let arrival = self.arrival(envelope, chat);
            self.inbox.show(arrival, &message);
        }
        Vec::new()
    }

    fn arrival(&self, envelope: &Envelope, chat: Option<String>) -> Arrival {
        Arrival {
            id: envelope.id.clone(),
            from: self.writer_of(envelope),
            lid: self.people.lid(&envelope.sender.jid()),
            chat: chat.unwrap_or_else(|| self.chat_of(envelope)),
            sender: envelope.sender.jid().to_string(),
            from_me: envelope.own,
            timestamp: envelope.timestamp,
            status: if envelope.own { EntryStatus::Sent } else { EntryStatus::Delivered },
        }
    }

    fn writer_of(&self, envelope: &Envelope) -> String {
        self.people.shown(&envelope.sender.jid())
    }

    fn chat_of(&self, envelope: &Envelope) -> String {
        let own_copy = envelope.recipient.as_ref().filter(|_| envelope.own);
        self.people.shown(own_copy.unwrap_or(&envelope.from))
    }
}
