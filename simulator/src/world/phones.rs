//! What people do with their phones: write, read, and give new devices the account's app-state key. A command in,
//! the phone's stanzas into the world as if they had come from a socket.

use rand::Rng;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp as wa;

use super::account::{AccountError, valid_number};
use super::groups::GroupError;
use super::{Turn, World};
use crate::address::{DeviceId, Namespace, group_jid};
use crate::phone::{DeviceAddress, GroupOutgoing, Outgoing, PhoneError, PreKeyBundle};

/// Why a phone could not write or read.
#[derive(Debug, thiserror::Error)]
pub enum PhoneActionError {
    /// No such phone.
    #[error(transparent)]
    FindPhone(#[from] AccountError),
    /// The recipient is no number, no JID, or nobody's.
    #[error("`{0}` is nobody's number or JID here; make a phone with POST /phones")]
    FindRecipient(String),
    /// The group is not there, or the phone is not in it.
    #[error(transparent)]
    FindGroup(#[from] GroupError),
    /// The phone refused.
    #[error("let the phone write: {0}")]
    Compose(#[from] PhoneError),
}

impl World {
    /// A phone writes a message to a person or a group. Returns the message's id.
    pub fn phone_writes(
        &mut self,
        turn: &mut Turn<'_>,
        number: &str,
        to: &str,
        message: wa::Message,
    ) -> Result<String, PhoneActionError> {
        self.account(number)?;
        let id = message_id(turn);
        let stanza = if to.ends_with("@g.us") {
            self.write_to_group(turn, (number, to), &id, message)?
        } else {
            self.write_to_person(turn, (number, to), &id, message)?
        };
        self.phone_downloads(number);
        self.phone_sends(turn, number, &[stanza]);
        Ok(id)
    }

    /// Whether a phone can write there: both are known, and of a group it is a member.
    pub fn may_write(&self, number: &str, to: &str) -> Result<(), PhoneActionError> {
        self.account(number)?;
        if to.ends_with("@g.us") {
            self.group_of(to, number)?;
        } else {
            self.find_recipient(to)?;
        }
        Ok(())
    }

    fn write_to_person(
        &mut self,
        turn: &mut Turn<'_>,
        (number, to): (&str, &str),
        id: &str,
        message: wa::Message,
    ) -> Result<Node, PhoneActionError> {
        let recipient = self.find_recipient(to)?;
        self.introduce(turn, number, &recipient)?;
        let devices = self.devices_to_address(turn, number, &recipient);
        let outgoing = Outgoing {
            id: id.to_owned(),
            to: self.user_jid(&recipient, Namespace::Lid),
            message,
            devices,
            now_secs: turn.now_secs(),
        };
        Ok(self.account_mut(number)?.phone.compose(outgoing, turn.rng)?)
    }

    fn write_to_group(
        &mut self,
        turn: &mut Turn<'_>,
        (number, to): (&str, &str),
        id: &str,
        message: wa::Message,
    ) -> Result<Node, PhoneActionError> {
        let group = self.group(to)?;
        let jid = group_jid(&self.group_of(&group.id, number)?.id);
        let own = DeviceId::new(number, 0);
        let ids: Vec<DeviceId> = self.group_devices(group).into_iter().filter(|id| *id != own).collect();
        let accounts: Vec<String> = group.members.keys().filter(|other| *other != number).cloned().collect();
        for other in &accounts {
            self.introduce(turn, number, other)?;
        }
        let members: Vec<Jid> = ids.iter().map(|id| self.jid(id, Namespace::Lid)).collect();
        let keyless = self.account(number)?.phone.without_sender_key(&jid, &members);
        let mut devices = Vec::new();
        for (id, jid) in ids.iter().zip(&members).filter(|(_, jid)| keyless.contains(jid)) {
            devices.extend(self.bundle_if_needed(turn, number, id, jid).map(|bundle| (jid.clone(), bundle)));
        }
        let outgoing = GroupOutgoing {
            id: id.to_owned(),
            group: jid,
            message,
            members,
            devices,
            now_secs: turn.now_secs(),
        };
        Ok(self.account_mut(number)?.phone.compose_for_group(outgoing, turn.rng)?)
    }

    /// The phone looks the other person up: both names of an account belong together.
    fn introduce(&mut self, turn: &mut Turn<'_>, number: &str, other: &str) -> Result<(), AccountError> {
        let contact = NodeBuilder::new("presence")
            .attr("from", self.user_jid(other, Namespace::Pn))
            .attr("sender_lid", self.user_jid(other, Namespace::Lid))
            .build();
        let now = turn.now_secs();
        self.account_mut(number)?.phone.handle(&contact, now, turn.rng);
        Ok(())
    }

    /// A person by number or JID.
    fn find_recipient(&self, to: &str) -> Result<String, PhoneActionError> {
        let unknown = || PhoneActionError::FindRecipient(to.chars().take(64).collect());
        let jid = match valid_number(to) {
            Ok(number) => Jid::pn(number),
            Err(_) => to.parse().map_err(|_| unknown())?,
        };
        self.resolve(&jid).map(|(id, _)| id.number).ok_or_else(unknown)
    }

    /// Every device of the recipient and every linked device of the writer, each with a bundle if the phone has no
    /// session with it. Devices that have not uploaded keys yet cannot be written to and are left out.
    fn devices_to_address(
        &mut self,
        turn: &mut Turn<'_>,
        number: &str,
        recipient: &str,
    ) -> Vec<(Jid, Option<PreKeyBundle>)> {
        let mut ids = self.devices_of(recipient);
        if recipient != number {
            ids.extend(self.devices_of(number));
        }
        ids.retain(|id| *id != DeviceId::new(number, 0));
        ids.into_iter()
            .filter_map(|id| {
                let jid = self.jid(&id, Namespace::Lid);
                let bundle = self.bundle_if_needed(turn, number, &id, &jid)?;
                Some((jid, bundle))
            })
            .collect()
    }

    /// A bundle for a device that the phone has no session with; nothing at all when it has none to give.
    #[expect(
        clippy::option_option,
        reason = "no session needed, a bundle, and no way to write are three outcomes"
    )]
    fn bundle_if_needed(
        &mut self,
        turn: &mut Turn<'_>,
        number: &str,
        id: &DeviceId,
        jid: &Jid,
    ) -> Option<Option<PreKeyBundle>> {
        let address = DeviceAddress::of(jid)?;
        if self.accounts.get(number)?.phone.has_session(&address) {
            return Some(None);
        }
        self.take_bundle(turn, id).map(Some)
    }

    /// A person reads messages on the phone.
    pub fn phone_reads(
        &mut self,
        turn: &mut Turn<'_>,
        number: &str,
        ids: &[String],
    ) -> Result<usize, PhoneActionError> {
        let now = turn.now_secs();
        let receipts = self.account_mut(number)?.phone.read(ids, now);
        self.phone_sends(turn, number, &receipts);
        Ok(receipts.len())
    }

    /// Gives a device the account's app-state key, once, as soon as it has uploaded its keys and listens.
    pub(crate) fn share_app_state_key(&mut self, turn: &mut Turn<'_>, id: &DeviceId) {
        let ready = self.device(id).is_some_and(|device| device.keys.is_some() && !device.has_app_state_key);
        if !ready || !self.is_active(id) {
            return;
        }
        let jid = self.jid(id, Namespace::Lid);
        let Some(bundle) = self.bundle_if_needed(turn, &id.number, id, &jid) else {
            return;
        };
        let (message, now) = (message_id(turn), turn.now_secs());
        let Some(account) = self.accounts.get_mut(&id.number) else {
            return;
        };
        match account.phone.share_app_state_key(jid, bundle, message, now, turn.rng) {
            Ok(stanza) => {
                if let Some(device) = self.device_mut(id) {
                    device.has_app_state_key = true;
                }
                self.phone_sends(turn, &id.number, &[stanza]);
            }
            Err(error) => tracing::warn!(%error, "the phone could not share its app-state key"),
        }
    }

    /// What a phone sends enters the world as if it had come from a socket of device 0.
    fn phone_sends(&mut self, turn: &mut Turn<'_>, number: &str, stanzas: &[Node]) {
        let phone = DeviceId::new(number, 0);
        for stanza in stanzas {
            crate::stanza::from_device(self, turn, &phone, stanza);
        }
        self.run_phones(turn);
    }
}

/// An id as Android phones make them.
fn message_id(turn: &mut Turn<'_>) -> String {
    let mut bytes = [0_u8; 15];
    turn.rng.fill_bytes(&mut bytes);
    format!("AC{}", hex::encode_upper(bytes))
}
