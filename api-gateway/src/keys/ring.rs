//! The keys that hold now. They may be replaced while the gateway runs.
//!
//! Comes in: [`Keys`], whenever there are new ones. Goes out: the caller behind a presented key.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Caller, Keys};

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

    /// Whether somebody of this name still may do the same.
    pub fn holds(&self, caller: &Caller) -> bool {
        self.0.borrow().as_ref().is_some_and(|keys| keys.holds(caller))
    }

    /// Marked whenever other keys hold.
    pub fn changes(&self) -> watch::Receiver<Option<Arc<Keys>>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_key_is_nobodys() {
        let ring = KeyRing::empty();
        assert_eq!(ring.authenticate("one"), Err(NoKeysYet));
        assert!(ring.replace(Keys::new("one", &["user".to_owned()]).unwrap()));
        let user = ring.authenticate("user").unwrap().unwrap();
        assert!(ring.holds(&user));
        assert!(!ring.replace(Keys::new("one", &["user".to_owned()]).unwrap()), "the same again");
        assert!(ring.replace(Keys::new("two", &[]).unwrap()));
        assert_eq!(ring.authenticate("one"), Ok(None));
        assert!(ring.authenticate("two").unwrap().is_some() && !ring.holds(&user));
    }
}
