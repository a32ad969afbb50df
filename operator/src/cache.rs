//! What the API server says of one kind of object, kept up to date by watches and reduced to what is judged.
//!
//! Comes in: watch events. Goes out: the objects of a session, how far the watch has come, and which sessions have to be
//! looked at. A namespace or the whole cluster is one scope; each has its own watch.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use kube::Resource;
use kube::runtime::watcher::Event;
use tokio::sync::watch;

use crate::observe::{NamespacedName, SessionKey};

/// What is kept of an object.
pub trait Kept: Sized {
    /// The Kubernetes object.
    type Of: Resource;
    /// Whether a session asks for all that matters to it, whatever its name ([`Cache::of_session`]).
    const BY_SESSION: bool;
    /// Reads it.
    fn read(object: &Self::Of) -> Self;
    /// The sessions that it matters to.
    fn sessions(object: &Self::Of) -> Vec<SessionKey>;
}

/// Objects of one kind. Shared between its watches and all reconciles.
#[derive(Debug)]
pub struct Cache<V> {
    inner: RwLock<Inner<V>>,
    synced: watch::Sender<HashSet<String>>,
}

#[derive(Debug)]
struct Inner<V> {
    objects: HashMap<NamespacedName, Entry<V>>,
    /// Objects by the sessions that they matter to, but for those that have the session's own name.
    others: HashMap<SessionKey, BTreeSet<NamespacedName>>,
    /// Objects that a list which is under way has told, by scope.
    listed: HashMap<String, HashSet<NamespacedName>>,
    versions: HashMap<String, u64>,
}

#[derive(Debug)]
struct Entry<V> {
    object: Arc<V>,
    /// The sessions that it matters to.
    sessions: Box<[SessionKey]>,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        let inner = Inner {
            objects: HashMap::new(),
            others: HashMap::new(),
            listed: HashMap::new(),
            versions: HashMap::new(),
        };
        Self { inner: RwLock::new(inner), synced: watch::Sender::new(HashSet::new()) }
    }
}

impl<V> Cache<V> {
    /// The objects that matter to a session. Only for those that are kept [by session](Kept::BY_SESSION).
    pub fn of_session(&self, key: &SessionKey) -> Vec<Arc<V>>
    where
        V: Kept,
    {
        const { assert!(V::BY_SESSION) }
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let others = inner.others.get(key).into_iter().flatten();
        let all = std::iter::once(key).chain(others).filter_map(|place| inner.objects.get(place));
        all.filter(|entry| entry.sessions.contains(key)).map(|entry| Arc::clone(&entry.object)).collect()
    }

    /// One object.
    pub fn get(&self, place: &NamespacedName) -> Option<Arc<V>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.objects.get(place).map(|entry| Arc::clone(&entry.object))
    }

    /// The objects of a namespace that are like this.
    pub fn find(&self, namespace: &str, like: impl Fn(&V) -> bool) -> Vec<Arc<V>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let here =
            inner.objects.iter().filter(|(place, entry)| place.is_in(namespace) && like(&entry.object));
        here.map(|(_, entry)| Arc::clone(&entry.object)).collect()
    }

    /// The resource version up to which the watch of this scope has come.
    pub fn version(&self, scope: &str) -> u64 {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.versions.get(scope).copied().unwrap_or(0)
    }

    /// Objects of this scope that the list which is under way has not told so far.
    pub fn unlisted(&self, scope: &str) -> Vec<(NamespacedName, Arc<V>)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let gone = inner.not_listed(scope).into_iter();
        gone.filter_map(|place| {
            let object = Arc::clone(&inner.objects.get(&place)?.object);
            Some((place, object))
        })
        .collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until all of these scopes have been listed.
    pub async fn synced(&self, scopes: &[String]) {
        let mut synced = self.synced.subscribe();
        let all = |done: &HashSet<String>| scopes.iter().all(|scope| done.contains(scope));
        // The sender lives as long as self: waiting cannot fail.
        let _done = synced.wait_for(all).await;
    }
}

impl<V: Kept> Cache<V> {
    /// Takes in what a watch of this scope says. Goes out: the sessions to be looked at.
    pub fn take(&self, scope: &str, event: &Event<V::Of>) -> Vec<SessionKey> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(object) => inner.put(scope, object),
            Event::Delete(object) => {
                inner.saw(scope, object);
                inner.forget(&NamespacedName::of(object))
            }
            Event::Init => {
                inner.listed.insert(scope.to_owned(), HashSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                inner.listed.entry(scope.to_owned()).or_default().insert(NamespacedName::of(object));
                inner.put(scope, object)
            }
            Event::InitDone => {
                let gone = inner.unlisted(scope);
                self.synced.send_if_modified(|done| done.insert(scope.to_owned()));
                gone
            }
        }
    }
}

impl<V> Inner<V> {
    fn put(&mut self, scope: &str, object: &V::Of) -> Vec<SessionKey>
    where
        V: Kept,
    {
        self.saw(scope, object);
        let place = NamespacedName::of(object);
        // One text for all that is kept of the object here.
        let place = self.objects.get_key_value(&place).map_or(place, |(known, _)| known.clone());
        let mut touched = self.forget(&place);
        let mut sessions = V::sessions(object);
        for key in &mut sessions {
            if *key == place {
                key.clone_from(&place);
            } else if V::BY_SESSION {
                self.others.entry(key.clone()).or_default().insert(place.clone());
            }
        }
        touched.extend(sessions.iter().filter(|key| !touched.contains(key)).cloned().collect::<Vec<_>>());
        let object = Arc::new(V::read(object));
        self.objects.insert(place, Entry { object, sessions: sessions.into() });
        touched
    }

    fn forget(&mut self, place: &NamespacedName) -> Vec<SessionKey> {
        let Some(Entry { sessions, .. }) = self.objects.remove(place) else { return Vec::new() };
        for key in &sessions {
            if let Some(places) = self.others.get_mut(key) {
                places.remove(place);
                if places.is_empty() {
                    self.others.remove(key);
                }
            }
        }
        sessions.into_vec()
    }

    /// Forgets what a list has not told any more.
    fn unlisted(&mut self, scope: &str) -> Vec<SessionKey> {
        let gone = self.not_listed(scope);
        self.listed.remove(scope);
        gone.iter().flat_map(|place| self.forget(place)).collect()
    }

    fn not_listed(&self, scope: &str) -> Vec<NamespacedName> {
        let listed = self.listed.get(scope);
        let in_scope = |place: &&NamespacedName| scope.is_empty() || place.is_in(scope);
        let untold = |place: &&NamespacedName| !listed.is_some_and(|listed| listed.contains(*place));
        self.objects.keys().filter(in_scope).filter(untold).cloned().collect()
    }

    fn saw(&mut self, scope: &str, object: &impl Resource) {
        let version = object.meta().resource_version.as_deref().and_then(|version| version.parse().ok());
        let seen = self.versions.entry(scope.to_owned()).or_default();
        *seen = version.unwrap_or(0).max(*seen);
    }
}

#[cfg(test)]
mod tests;
