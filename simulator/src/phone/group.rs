//! Groups: writing to all with one ciphertext, handing the key for it to every device once, and another key as soon as
//! somebody who had it is gone. Messages in, stanzas out.
//!
//! The phone is told the group's devices each time it writes, and remembers to whom it gave its key. It goes by its LID, as
//! groups do.

use std::collections::{BTreeMap, BTreeSet};

use buffa::MessageField;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::codec;
use waproto::whatsapp as wa;

use super::content;
use super::outbox::Sent;
use super::{AddressServer, DeviceAddress, Phone, PhoneError, PreKeyBundle};

/// A message to a group.
#[derive(Debug, Clone)]
pub struct GroupOutgoing {
    /// The message id.
    pub id: String,
    /// The group's JID.
    pub group: Jid,
    /// What is sent.
    pub message: wa::Message,
    /// Every device of every member but this phone.
    pub members: Vec<Jid>,
    /// Those of [`Phone::without_sender_key`] that can be written to, each with a bundle unless the phone has a session
    /// with it.
    pub devices: Vec<(Jid, Option<PreKeyBundle>)>,
    /// Unix seconds.
    pub now_secs: u64,
}

/// Which devices have this phone's key, by group.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct KeyHolders(BTreeMap<String, BTreeSet<String>>);

impl KeyHolders {
    fn of(&mut self, group: &Jid) -> &mut BTreeSet<String> {
        self.0.entry(group.to_string()).or_default()
    }

    /// Whether somebody has the key who is not among these.
    fn is_outdated(&self, group: &Jid, members: &[Jid]) -> bool {
        let names: BTreeSet<String> = members.iter().map(Jid::to_string).collect();
        self.0.get(&group.to_string()).is_some_and(|holders| !holders.is_subset(&names))
    }

    fn has(&self, group: &str, device: &DeviceAddress) -> bool {
        self.0.get(group).is_some_and(|holders| holders.contains(&device.jid().to_string()))
    }
}

impl Phone {
    /// The devices that must get a key before they can read what is written to the group now: all of them when somebody
    /// who has the current key is no longer there.
    pub fn without_sender_key(&self, group: &Jid, members: &[Jid]) -> Vec<Jid> {
        let anew = self.key_holders.is_outdated(group, members);
        let holders = self.key_holders.0.get(&group.to_string()).filter(|_| !anew);
        let has_key = |jid: &Jid| holders.is_some_and(|holders| holders.contains(&jid.to_string()));
        members.iter().filter(|jid| !has_key(jid)).cloned().collect()
    }

    /// Encrypts a message for a group and shows it in the inbox as `fromMe`. The stanza is complete; the server hands it
    /// to every device of every member.
    pub fn compose_for_group(
        &mut self,
        outgoing: GroupOutgoing,
        rng: &mut impl CryptoRng,
    ) -> Result<Node, PhoneError> {
        let GroupOutgoing { id, group, message, members, devices, now_secs } = outgoing;
        let (own, name) = (self.lid_address(), group.to_string());
        if self.key_holders.is_outdated(&group, &members) {
            self.signal.forget_sender_key(&name, &own);
            self.key_holders.of(&group).clear();
        }
        let key = self.key_message(&name, rng)?;
        let key = codec::message_to_vec(&wa::Message {
            sender_key_distribution_message: MessageField::some(key),
            ..wa::Message::default()
        });
        let mut participants = Vec::with_capacity(devices.len());
        for (jid, bundle) in devices {
            let address = DeviceAddress::of(&jid).ok_or_else(|| PhoneError::Recipient(jid.to_string()))?;
            self.ensure_session(&address, bundle.as_ref(), rng)?;
            let enc = self.seal(&address, &key, content::HOUSEKEEPING, rng)?.build();
            self.key_holders.of(&group).insert(jid.to_string());
            participants.push(NodeBuilder::new("to").attr("jid", jid).children([enc]).build());
        }
        let kind = content::kind(&message);
        let plain = codec::message_to_vec(&message);
        let sealed = self.signal.encrypt_for_group(&name, &own, &content::pad(plain.clone(), rng), rng)?;
        let mut enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "skmsg");
        if let Some(media) = kind.media {
            enc = enc.attr("mediatype", media);
        }
        let enc = enc.bytes(sealed).build();
        self.outbox.keep(&id, name, plain, false);
        self.show_own(&id, &group, &message, now_secs);
        let stanza = NodeBuilder::new("message")
            .attr("to", group)
            .attr("id", id)
            .attr("type", kind.stanza)
            .attr("addressing_mode", "lid");
        let participants = (!participants.is_empty())
            .then(|| NodeBuilder::new("participants").children(participants).build());
        Ok(stanza.children(participants.into_iter().chain([enc])).build())
    }

    /// Takes the key that a message carries, if it is for the group in which it came.
    pub(super) fn take_sender_key(&mut self, chat: &Jid, sender: &DeviceAddress, message: &wa::Message) {
        let Some(key) = message.sender_key_distribution_message.as_option() else { return };
        let chat = chat.to_string();
        if key.group_id.as_deref() != Some(chat.as_str()) {
            return;
        }
        if let Some(bytes) = &key.axolotl_sender_key_distribution_message {
            // A key that cannot be used is not missed before a message needs it, and then asked for.
            let _ = self.signal.learn_sender_key(&chat, &self.people.by_lid(sender), bytes);
        }
    }

    /// Opens what a device wrote to a group.
    pub(super) fn open_from_group(
        &mut self,
        group: &Jid,
        sender: &DeviceAddress,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, PhoneError> {
        self.signal.decrypt_from_group(&group.to_string(), &self.people.by_lid(sender), ciphertext)
    }

    /// Whether a message to a group was meant for this device.
    pub(super) fn was_for_group_device(&self, sent: &Sent, device: &DeviceAddress) -> bool {
        self.key_holders.has(&sent.to, &self.people.by_lid(device))
    }

    /// A message to a group once more, for one device that could not read it: with the key, and not under it.
    pub(super) fn resend_to_group(
        &mut self,
        sent: &Sent,
        device: &DeviceAddress,
        count: u8,
        rng: &mut impl CryptoRng,
    ) -> Result<Node, PhoneError> {
        let mut message = codec::message_decode(&sent.message).unwrap_or_default();
        let kind = content::kind(&message);
        message.sender_key_distribution_message = MessageField::some(self.key_message(&sent.to, rng)?);
        let enc = self.seal(device, &codec::message_to_vec(&message), kind, rng)?.attr("count", count);
        let group: Jid = sent.to.parse().map_err(|_| PhoneError::Recipient(sent.to.clone()))?;
        Ok(NodeBuilder::new("message")
            .attr("to", group)
            .attr("participant", device.jid())
            .attr("id", sent.id.as_str())
            .attr("type", kind.stanza)
            .attr("addressing_mode", "lid")
            .children([enc.build()])
            .build())
    }

    fn key_message(
        &mut self,
        group: &str,
        rng: &mut impl CryptoRng,
    ) -> Result<wa::message::SenderKeyDistributionMessage, PhoneError> {
        let own = self.lid_address();
        Ok(wa::message::SenderKeyDistributionMessage {
            group_id: Some(group.to_owned()),
            axolotl_sender_key_distribution_message: Some(self.signal.sender_key(group, &own, rng)?),
        })
    }

    fn lid_address(&self) -> DeviceAddress {
        DeviceAddress { user: self.lid.clone(), server: AddressServer::Lid, device: 0 }
    }
}
