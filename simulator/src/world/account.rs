//! Accounts and their linked devices: what is stored of them, and finding them by JID. No stanzas, no sending.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

use super::keys::KeyStore;
use super::queue::Queue;
use super::{ConnectionId, World, stored};
use crate::address::{DeviceId, Namespace};
use crate::phone::Phone;

/// A person's account.
#[derive(Serialize, Deserialize)]
pub struct Account {
    /// Device 0.
    pub phone: Phone,
    /// Linked devices by id.
    pub devices: BTreeMap<u16, Device>,
    /// The id that was given last; ids are used again only when all have been given.
    pub(super) last_device: u16,
    /// The accounts that it writes with.
    #[serde(default)]
    pub peers: BTreeSet<String>,
    /// App-state patches by collection, in order: patch `n` leads to version `n + 1`.
    #[serde(default)]
    pub collections: BTreeMap<String, Vec<StoredPatch>>,
}

/// An encoded `SyncdPatch`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredPatch(#[serde(with = "stored::bytes")] pub Vec<u8>);

/// A linked device.
#[derive(Debug, Serialize, Deserialize)]
pub struct Device {
    /// How the phone lists it.
    pub name: String,
    /// What it says it is (`CHROME`, `DESKTOP`…).
    pub platform: String,
    /// Its Noise static key: whoever holds it may log in.
    #[serde(with = "stored::bytes")]
    pub noise: [u8; 32],
    /// Its index in the account's signed list of devices.
    pub key_index: u32,
    /// Its public keys, once uploaded.
    pub keys: Option<KeyStore>,
    /// What waits for it.
    pub queue: Queue,
    /// The name that its person chose, if it told one.
    pub push_name: Option<String>,
    /// It was told that its prekeys run low.
    pub told_low: bool,
    /// It has the account's app-state key.
    pub has_app_state_key: bool,
    /// It announced at its login that it understands LIDs; older clients do not.
    pub knows_lids: bool,
    /// The namespace in which it last addressed an account.
    pub speaks: BTreeMap<String, Namespace>,
    /// The connection that it was linked on, while the program runs.
    #[serde(skip)]
    pub(super) linked_on: Option<ConnectionId>,
}

/// Why a phone could not be made or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not 5 to 15 digits.
    #[error("`{0}` is not a phone number: 5 to 15 digits, without `+`")]
    Number(String),
    /// It is there already.
    #[error("there is a phone with the number {0} already")]
    Taken(String),
    /// Nobody has that number.
    #[error("there is no phone with the number {0}; make it with POST /phones")]
    NoPhone(String),
}

impl World {
    /// Makes a phone. Without a number a free one is chosen.
    pub fn create_phone(
        &mut self,
        number: Option<&str>,
        name: Option<&str>,
        rng: &mut StdRng,
    ) -> Result<String, AccountError> {
        let number = match number {
            Some(number) => valid_number(number)?,
            None => free(rng, "62855", 8, |number| self.accounts.contains_key(number)),
        };
        if self.accounts.contains_key(&number) {
            return Err(AccountError::Taken(number));
        }
        let lid = free(rng, "1", 14, |lid| self.lids.contains_key(lid));
        let name = name.map_or_else(|| format!("Phone {number}"), str::to_owned);
        let account = Account {
            phone: Phone::new(&number, &lid, &name, rng),
            devices: BTreeMap::new(),
            last_device: 0,
            peers: BTreeSet::new(),
            collections: BTreeMap::new(),
        };
        self.accounts.insert(number.clone(), account);
        self.lids.insert(lid, number.clone());
        Ok(number)
    }

    /// All accounts, by number.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The account with that number.
    pub fn account(&self, number: &str) -> Result<&Account, AccountError> {
        self.accounts.get(number).ok_or_else(|| AccountError::NoPhone(number.to_owned()))
    }

    pub(crate) fn account_mut(&mut self, number: &str) -> Result<&mut Account, AccountError> {
        self.accounts.get_mut(number).ok_or_else(|| AccountError::NoPhone(number.to_owned()))
    }

    /// A linked device.
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.accounts.get(&id.number)?.devices.get(&id.device)
    }

    pub(crate) fn device_mut(&mut self, id: &DeviceId) -> Option<&mut Device> {
        self.accounts.get_mut(&id.number)?.devices.get_mut(&id.device)
    }

    /// Whether a phone or a linked device has this id.
    pub fn exists(&self, id: &DeviceId) -> bool {
        self.accounts
            .get(&id.number)
            .is_some_and(|account| id.is_phone() || account.devices.contains_key(&id.device))
    }

    /// Whether a linked device is connected.
    pub fn is_online(&self, id: &DeviceId) -> bool {
        self.online.contains_key(id)
    }

    /// An account's phone and linked devices.
    pub fn devices_of(&self, number: &str) -> Vec<DeviceId> {
        let Some(account) = self.accounts.get(number) else {
            return Vec::new();
        };
        std::iter::once(0)
            .chain(account.devices.keys().copied())
            .map(|device| DeviceId::new(number, device))
            .collect()
    }

    /// Who a user's or a device's JID names, and by which of the two names.
    pub fn resolve(&self, jid: &Jid) -> Option<(DeviceId, Namespace)> {
        let namespace = Namespace::of(jid)?;
        let number = match namespace {
            Namespace::Pn => jid.user.to_string(),
            Namespace::Lid => self.lids.get(jid.user.as_str())?.clone(),
        };
        self.accounts.contains_key(&number).then(|| (DeviceId::new(number, jid.device), namespace))
    }

    /// A device's JID.
    pub fn jid(&self, id: &DeviceId, namespace: Namespace) -> Jid {
        match (namespace, self.accounts.get(&id.number)) {
            (Namespace::Lid, Some(account)) => Jid::lid_device(account.phone.lid(), id.device),
            (Namespace::Lid | Namespace::Pn, _) => Jid::pn_device(id.number.as_str(), id.device),
        }
    }

    /// By which name a device knows an account: as it addressed it, otherwise by LID if it understands LIDs.
    pub(crate) fn namespace_for(&self, device: &DeviceId, other: &str) -> Namespace {
        match self.device(device) {
            None => Namespace::Lid,
            Some(device) => match (device.speaks.get(other), device.knows_lids) {
                (Some(namespace), _) => *namespace,
                (None, true) => Namespace::Lid,
                (None, false) => Namespace::Pn,
            },
        }
    }

    /// An account's JID, without a device.
    pub fn user_jid(&self, number: &str, namespace: Namespace) -> Jid {
        self.jid(&DeviceId::new(number, 0), namespace)
    }
}

/// Checks a number, allowing the `+` and the spaces that people write.
pub fn valid_number(text: &str) -> Result<String, AccountError> {
    let digits: String = text.chars().filter(|c| !matches!(c, '+' | ' ' | '-')).collect();
    let valid = (5..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if valid { Ok(digits) } else { Err(AccountError::Number(text.chars().take(32).collect())) }
}

fn free<R: CryptoRng>(rng: &mut R, prefix: &str, digits: u32, taken: impl Fn(&str) -> bool) -> String {
    loop {
        let suffix = rng.random_range(10_u64.pow(digits - 1)..10_u64.pow(digits));
        let candidate = format!("{prefix}{suffix}");
        if !taken(&candidate) {
            return candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits() {
        assert_eq!(valid_number("+62 855-1234").unwrap(), "628551234");
        for bad in ["", "1234", "12345678901234567", "62abc", "6285@s.whatsapp.net"] {
            assert!(valid_number(bad).is_err(), "{bad}");
        }
    }
}
