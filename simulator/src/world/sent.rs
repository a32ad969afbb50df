//! Which message ids of one sender went to which devices: a client that sends a message again after a crash must
//! not make anybody receive it twice. Ids in, yes or no out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize, Serializer};

use crate::address::DeviceId;

/// How many deliveries are remembered per sending device.
const REMEMBERED: usize = 20_000;

/// The logs of all devices. JSON has no keys but text, so a snapshot holds a list.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Vec<(DeviceId, SentLog)>")]
pub struct SentLogs(BTreeMap<DeviceId, SentLog>);

impl SentLogs {
    /// A device's log.
    pub fn of(&mut self, sender: &DeviceId) -> &mut SentLog {
        self.0.entry(sender.clone()).or_default()
    }

    /// Forgets a device.
    pub fn remove(&mut self, sender: &DeviceId) {
        self.0.remove(sender);
    }
}

impl From<Vec<(DeviceId, SentLog)>> for SentLogs {
    fn from(logs: Vec<(DeviceId, SentLog)>) -> Self {
        Self(logs.into_iter().collect())
    }
}

impl Serialize for SentLogs {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(&self.0)
    }
}

/// One sending device's recent deliveries.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(from = "SentOrder")]
pub struct SentLog {
    order: VecDeque<(String, DeviceId)>,
    #[serde(skip_serializing)]
    known: BTreeSet<(String, DeviceId)>,
}

/// A log as a snapshot holds it.
#[derive(Deserialize)]
struct SentOrder {
    order: VecDeque<(String, DeviceId)>,
}

impl From<SentOrder> for SentLog {
    fn from(stored: SentOrder) -> Self {
        let known = stored.order.iter().cloned().collect();
        Self { order: stored.order, known }
    }
}

impl SentLog {
    /// Notes a delivery; false when it was made before.
    pub fn record(&mut self, id: &str, target: &DeviceId) -> bool {
        let delivery = (id.to_owned(), target.clone());
        if !self.known.insert(delivery.clone()) {
            return false;
        }
        self.order.push_back(delivery);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Allows one more delivery: the device asked for it again.
    pub fn forget(&mut self, id: &str, target: &DeviceId) {
        let delivery = (id.to_owned(), target.clone());
        if self.known.remove(&delivery) {
            self.order.retain(|known| *known != delivery);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reaches_a_device_once_unless_it_asks_again() {
        let (mut log, device) = (SentLog::default(), DeviceId::new("1", 2));
        assert!(log.record("A", &device));
        assert!(!log.record("A", &device));
        assert!(log.record("A", &DeviceId::new("1", 3)));
        log.forget("A", &device);
        assert!(log.record("A", &device));
        assert!(!log.record("A", &device));
    }

    #[test]
    fn the_log_is_bounded() {
        let (mut log, device) = (SentLog::default(), DeviceId::new("1", 2));
        for id in 0..=REMEMBERED {
            assert!(log.record(&id.to_string(), &device));
        }
        assert_eq!(log.known.len(), REMEMBERED);
        assert!(log.record("0", &device));
    }
}
