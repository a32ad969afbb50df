//! Who is who: device addresses, and which phone number and LID belong to the same person.
//!
//! In: JIDs and the attributes of stanzas. Out: addresses for sessions, and the number that a person sees.
//! Sessions are kept per address as on the wire; the alias is only a second place to look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Node, Server};

/// People beyond this many are not remembered.
const MAX_PEOPLE: usize = 50_000;

/// The two address spaces of a person: by phone number, or by the number-free id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AddressServer {
    /// `number@s.whatsapp.net`.
    Pn,
    /// `lid@lid`.
    Lid,
}

impl AddressServer {
    /// The part after the `@`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pn => "s.whatsapp.net",
            Self::Lid => "lid",
        }
    }
}

/// One device of one account, as sessions are kept: per address on the wire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceAddress {
    /// Digits.
    pub user: String,
    /// Which address space `user` belongs to.
    pub server: AddressServer,
    /// 0 is the phone itself.
    pub device: u16,
}

impl DeviceAddress {
    /// The address of a person's device; `None` for groups, servers and the like.
    pub fn of(jid: &Jid) -> Option<Self> {
        let server = match () {
            () if jid.server.is_pn_family() => AddressServer::Pn,
            () if jid.server.is_lid_family() => AddressServer::Lid,
            () => return None,
        };
        if jid.user.is_empty() {
            return None;
        }
        Some(Self { user: jid.user.to_string(), server, device: jid.device })
    }

    /// The JID on the wire.
    pub fn jid(&self) -> Jid {
        match self.server {
            AddressServer::Pn => Jid::pn_device(self.user.as_str(), self.device),
            AddressServer::Lid => Jid::lid_device(self.user.as_str(), self.device),
        }
    }

    /// The same account's device 0.
    pub(super) fn primary(&self) -> Self {
        Self { device: 0, ..self.clone() }
    }
}

/// Which LID belongs to which number.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct People {
    lid_of: BTreeMap<String, String>,
    number_of: BTreeMap<String, String>,
}

impl People {
    pub(super) fn learn(&mut self, number: &str, lid: &str) {
        let known = self.lid_of.get(number).is_some_and(|known| known == lid);
        if known || number.is_empty() || lid.is_empty() || self.lid_of.len() >= MAX_PEOPLE {
            return;
        }
        self.lid_of.insert(number.to_owned(), lid.to_owned());
        self.number_of.insert(lid.to_owned(), number.to_owned());
    }

    /// Learns from the pairs that WhatsApp's server puts on stanzas.
    pub(super) fn learn_from(&mut self, stanza: &Node) {
        const PAIRS: [[&str; 3]; 4] = [
            ["from", "sender_pn", "sender_lid"],
            ["participant", "participant_pn", "participant_lid"],
            ["recipient", "recipient_pn", "recipient_lid"],
            ["recipient", "peer_recipient_pn", "peer_recipient_lid"],
        ];
        for names in PAIRS {
            let jids = names.map(|name| stanza.attrs.get(name).and_then(wacore_binary::NodeValue::to_jid));
            let number = jids.iter().flatten().find(|jid| jid.server == Server::Pn);
            let lid = jids.iter().flatten().find(|jid| jid.server == Server::Lid);
            if let (Some(number), Some(lid)) = (number, lid) {
                self.learn(&number.user, &lid.user);
            }
        }
    }

    /// The same device under the person's other address.
    pub(super) fn alias(&self, address: &DeviceAddress) -> Option<DeviceAddress> {
        let (user, server) = match address.server {
            AddressServer::Pn => (self.lid_of.get(&address.user)?, AddressServer::Lid),
            AddressServer::Lid => (self.number_of.get(&address.user)?, AddressServer::Pn),
        };
        Some(DeviceAddress { user: user.clone(), server, device: address.device })
    }

    /// The address by LID where the LID is known: groups know a device by one name only.
    pub(super) fn by_lid(&self, address: &DeviceAddress) -> DeviceAddress {
        let alias = self.alias(address).filter(|alias| alias.server == AddressServer::Lid);
        alias.unwrap_or_else(|| address.clone())
    }

    /// The address and its alias, if it has one.
    pub(super) fn both(&self, address: &DeviceAddress) -> Vec<DeviceAddress> {
        std::iter::once(address.clone()).chain(self.alias(address)).collect()
    }

    /// A JID as a person would write it: by number where the number is known, without a device.
    pub(super) fn shown(&self, jid: &Jid) -> String {
        let number = jid.server.is_lid_family().then(|| self.number_of.get(jid.user.as_str())).flatten();
        number.map_or_else(|| jid.to_non_ad_string(), |number| Jid::pn(number.as_str()).to_string())
    }

    /// The LID behind a JID, as a JID, if it is known.
    pub(super) fn lid(&self, jid: &Jid) -> Option<String> {
        let user = if jid.server.is_lid_family() {
            jid.user.as_str()
        } else {
            self.lid_of.get(jid.user.as_str())?
        };
        Some(Jid::lid(user).to_string())
    }
}
