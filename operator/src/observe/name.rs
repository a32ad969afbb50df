//! Where an object is, in one small value: thousands are kept, in many places each.
//!
//! Comes in: a namespace and a name. Goes out: the same, and their text `namespace/name`. Cloning allocates nothing.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use kube::Resource;

/// A namespace and a name in it. Neither has a slash: both are segments of an object's path in the API.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NamespacedName(Arc<str>);

impl NamespacedName {
    /// The object of this name in this namespace.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}/{name}").into())
    }

    /// Where an object is.
    pub fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// Another object in the same namespace.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self::new(self.namespace(), name)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.parts().1
    }

    /// Whether it is in this namespace.
    pub fn is_in(&self, namespace: &str) -> bool {
        self.0.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('/'))
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or_default()
    }
}

impl Ord for NamespacedName {
    /// By namespace, then by name.
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for NamespacedName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_it_was_made_of() {
        let toko = NamespacedName::new("shop", "toko");
        assert_eq!((toko.namespace(), toko.name(), toko.to_string().as_str()), ("shop", "toko", "shop/toko"));
        assert_eq!(toko.beside("toko-session"), NamespacedName::new("shop", "toko-session"));
        assert_ne!(NamespacedName::new("shop", "a"), NamespacedName::new("bank", "a"));
        assert!(toko.is_in("shop") && !toko.is_in("sho") && !toko.is_in("shop2") && !toko.is_in(""));
        assert!(NamespacedName::new("team", "x") < NamespacedName::new("team-b", "a"), "the namespace first");
        let node = NamespacedName::new("", "n");
        assert_eq!((node.namespace(), node.name()), ("", "n"));
    }
}
