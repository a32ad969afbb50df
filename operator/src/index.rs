//! What sessions have in common: a claim and folder, an account, a Secret. Of those that share a volume or an account, the
//! oldest one holds it. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crds::WhatsAppSession;
use k8s_openapi::jiff::Timestamp;

use crate::build::claim;
use crate::observe::{NamespacedName, SessionKey};
use crate::secrets;

/// What a session may share.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    age: Age,
    shared: Box<[Shared]>,
}

/// The order of those that share something: the oldest one first.
type Age = (Timestamp, SessionKey);

/// Something that several sessions may use.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shared {
    /// A folder of a claim.
    Volume(NamespacedName, Arc<str>),
    /// An account, by its fingerprint.
    Account(Arc<str>),
    /// A Secret.
    Secret(NamespacedName),
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Index {
    entries: BTreeMap<SessionKey, Entry>,
    /// In order of age. Nearly everything has one user.
    users: HashMap<Shared, Vec<Age>>,
}

impl Index {
    /// Takes in a session as it is now. Goes out: the others that it matters to.
    pub fn put(&mut self, key: &SessionKey, session: &WhatsAppSession) -> Vec<SessionKey> {
        let created = session.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
        let entry = Entry { age: (created, key.clone()), shared: shared(key, session) };
        if self.entries.get(key) == Some(&entry) {
            return Vec::new();
        }
        let mut touched = self.forget(key);
        for shared in &entry.shared {
            let users = self.users.entry(shared.clone()).or_insert_with(|| Vec::with_capacity(1));
            let place = users.partition_point(|user| *user < entry.age);
            users.insert(place, entry.age.clone());
            touched.extend(self.beside(shared, key));
        }
        self.entries.insert(key.clone(), entry);
        touched
    }

    /// Forgets a session. Goes out: the others that it mattered to.
    pub fn forget(&mut self, key: &SessionKey) -> Vec<SessionKey> {
        let Some(entry) = self.entries.remove(key) else { return Vec::new() };
        let mut touched = Vec::new();
        for shared in &entry.shared {
            touched.extend(self.beside(shared, key));
            if let Some(users) = self.users.get_mut(shared) {
                if let Ok(place) = users.binary_search(&entry.age) {
                    users.remove(place);
                }
                if users.is_empty() {
                    self.users.remove(shared);
                }
            }
        }
        touched
    }

    /// The oldest session that uses this, if that is another one.
    pub fn older(&self, shared: &Shared, key: &SessionKey) -> Option<SessionKey> {
        let (_, oldest) = self.users.get(shared)?.first()?;
        (oldest != key && self.entries.contains_key(key)).then(|| oldest.clone())
    }

    /// All that use this.
    pub fn users(&self, shared: &Shared) -> Vec<SessionKey> {
        self.users.get(shared).into_iter().flatten().map(|(_, key)| key.clone()).collect()
    }

    /// How many sessions there are, and how many things that they use.
    pub fn sizes(&self) -> (usize, usize) {
        (self.entries.len(), self.users.len())
    }

    fn beside(&self, shared: &Shared, key: &SessionKey) -> Vec<SessionKey> {
        let secret = matches!(shared, Shared::Secret(..));
        self.users(shared).into_iter().filter(|other| !secret && other != key).collect()
    }
}

/// The volume that a session uses.
pub fn volume(key: &SessionKey, session: &WhatsAppSession) -> Shared {
    let (claim, folder) = claim::place(key.name(), &session.spec);
    Shared::Volume(key.beside(&claim), folder.into())
}

/// The account that it is linked to, as far as is known.
pub fn account(session: &WhatsAppSession) -> Option<Shared> {
    let account = session.status.as_ref()?.account.as_ref()?;
    Some(Shared::Account(account.fingerprint.as_str().into()))
}

fn shared(key: &SessionKey, session: &WhatsAppSession) -> Box<[Shared]> {
    let secrets = secrets::named(&session.spec).into_iter().map(|name| Shared::Secret(key.beside(name)));
    let all: BTreeSet<_> = secrets.chain(account(session)).chain([volume(key, session)]).collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(
        name: &str,
        created: &str,
        spec: &str,
        account: Option<&str>,
    ) -> (SessionKey, WhatsAppSession) {
        let status = account.map_or_else(String::new, |fingerprint| {
            format!(r#","status":{{"conditions":[],"account":{{"fingerprint":"{fingerprint}"}}}}"#)
        });
        let manifest = format!(
            r#"{{"apiVersion":"warest.io/v1alpha1","kind":"WhatsAppSession","metadata":{{"name":"{name}","namespace":"a","creationTimestamp":"{created}"}},"spec":{spec}{status}}}"#
        );
        (SessionKey::new("a", name), serde_json::from_str(&manifest).unwrap())
    }

    const SHARED: &str = r#"{"storage":{"existingClaim":{"name":"c","subPath":"x/"}}}"#;

    #[test]
    fn the_older_one_holds_a_volume_and_the_younger_hears_when_it_goes() {
        let mut index = Index::default();
        let (young, b) = session("b", "2026-01-02T00:00:00Z", SHARED, None);
        let (old, a) = session("a", "2026-01-01T00:00:00Z", &SHARED.replace("x/", "x"), None);
        assert!(index.put(&young, &b).is_empty());
        assert_eq!(index.put(&old, &a), vec![young.clone()]);
        let volume = volume(&young, &b);
        assert_eq!(index.older(&volume, &young), Some(old.clone()));
        assert_eq!(index.older(&volume, &old), None);
        assert!(index.put(&old, &a).is_empty(), "nothing new");
        assert_eq!(index.forget(&old), vec![young.clone()]);
        assert_eq!(index.older(&volume, &young), None);
    }

    #[test]
    fn the_same_account_shows_when_its_fingerprint_comes() {
        let mut index = Index::default();
        let (first, a) = session("a", "2026-01-01T00:00:00Z", "{}", Some("f"));
        let (second, b) = session("b", "2026-01-02T00:00:00Z", "{}", None);
        index.put(&first, &a);
        assert!(index.put(&second, &b).is_empty());
        let (_, linked) = session("b", "2026-01-02T00:00:00Z", "{}", Some("f"));
        assert_eq!(index.put(&second, &linked), vec![first.clone()]);
        assert_eq!(index.older(&account(&linked).unwrap(), &second), Some(first));
    }

    #[test]
    fn a_secret_leads_to_those_that_name_it_and_makes_nobody_wait() {
        let mut index = Index::default();
        let hook = r#"{"webhooks":[{"url":"https://x","secretRef":{"name":"hook","key":"k"}}]}"#;
        for name in ["a", "b"] {
            let (key, session) = session(name, "2026-01-01T00:00:00Z", hook, None);
            assert!(index.put(&key, &session).is_empty());
        }
        assert_eq!(index.users(&Shared::Secret(NamespacedName::new("a", "hook"))).len(), 2);
    }
}
