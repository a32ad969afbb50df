//! The keys that hold now. They may be replaced while the gateway runs.
//!
//! Comes in: [`Keys`], whenever there are new ones. Goes out: the caller behind a presented key.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Caller, Fingerprint, Keys};

/// The keys that hold now, if any have been read.
#[derive(Clone)]
pub struct KeyRing(Arc<watch::Sender<Option<Arc<Keys>>>>);

/// No key has been read yet: nobody can be told from anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKeysYet;

impl KeyRing {
    /// These keys, until others replace them.
    pub fn of(keys: Keys) -> Self {
        Self(Arc::new(watch::Sender::new(Some(Arc::new(keys)))))
    }

    /// No keys yet.
    pub fn empty() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// From now on these keys hold. Tells whether they are others than before.
    pub fn replace(&self, keys: Keys) -> bool {
        self.0.send_if_modified(|held| {
            let other = held.as_ref().is_none_or(|held| **held != keys);
            if other {
                *held = Some(Arc::new(keys));
            }
            other
        })
    }

    /// Who presents this key.
    pub fn authenticate(&self, presented: &str) -> Result<Option<Caller>, NoKeysYet> {
        let keys = self.0.borrow().clone().ok_or(NoKeysYet)?;
        Ok(keys.authenticate(presented))
    }

    /// Whether this key is still known, and its holder may still do the same.
    pub fn holds(&self, presented: &Fingerprint, caller: &Caller) -> bool {
        self.0.borrow().as_ref().is_some_and(|keys| keys.holds(presented, caller))
    }

    /// Marked whenever other keys hold.
    pub fn changes(&self) -> watch::Receiver<Option<Arc<Keys>>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::file;

    #[test]
    fn a_replaced_key_is_nobodys() {
        let ring = KeyRing::empty();
        assert_eq!(ring.authenticate("one"), Err(NoKeysYet));
        assert!(ring.replace(Keys::new("one", &["user".to_owned()]).unwrap()));
        let user = ring.authenticate("user").unwrap().unwrap();
        let presented = Fingerprint::of("user");
        assert!(ring.holds(&presented, &user));
        assert!(!ring.replace(Keys::new("one", &["user".to_owned()]).unwrap()), "the same again");
        assert!(ring.replace(Keys::new("two", &[]).unwrap()));
        assert_eq!(ring.authenticate("one"), Ok(None));
        assert!(ring.authenticate("two").unwrap().is_some() && !ring.holds(&presented, &user));
    }

    #[test]
    fn a_key_that_was_replaced_is_nobodys_though_its_name_stays() {
        let keys = |key: &str| {
            let text =
                format!("- {{name: root, role: admin, key: root}}\n- {{name: a, role: user, key: {key}}}");
            file::parse(&text).unwrap()
        };
        let ring = KeyRing::of(keys("old"));
        let caller = ring.authenticate("old").unwrap().unwrap();
        assert!(ring.replace(keys("new")));
        assert!(!ring.holds(&Fingerprint::of("old"), &caller));
        assert!(ring.holds(&Fingerprint::of("new"), &caller), "the same person");
    }
}
