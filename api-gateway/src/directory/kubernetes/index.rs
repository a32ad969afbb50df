//! All sessions that the gateway knows of, by their public id.
//!
//! Comes in: facts of resources and pods, in any order, old ones too. Goes out: [`SessionRecord`]s. Pure. A record is made
//! when something of its session changes, so that looking it up costs nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crds::token::{self, TokenKey};

use super::facts::{Place, PodFacts, SessionFacts};
use super::pods::Pods;
use super::standing::runtime;
use crate::clock::rfc3339;
use crate::directory::{Problem, SessionRecord, Webhook};
use crate::session_name::SessionName;

/// A resource, or where one is that cannot be read, and why.
pub type Read = Result<SessionFacts, (Place, String)>;

/// All sessions.
#[derive(Debug, Default)]
pub struct Index {
    home: String,
    key: Option<TokenKey>,
    /// By name, then by namespace.
    sessions: BTreeMap<SessionName, BTreeMap<String, SessionFacts>>,
    /// Resources that cannot be read, and why. What was known of them before stays.
    unreadable: BTreeMap<Place, String>,
    pods: Pods,
    records: BTreeMap<SessionName, SessionRecord>,
    /// Id of the record that has this UID.
    ids: HashMap<String, SessionName>,
}

impl Index {
    /// An empty index. Of sessions of one name the one in `home` has the id, else the oldest: nobody takes the id of a session
    /// that works by making another one in a namespace of his own.
    pub fn new(home: &str) -> Self {
        Self { home: home.to_owned(), ..Self::default() }
    }

    /// All records, by id.
    pub fn list(&self) -> Vec<SessionRecord> {
        self.records.values().cloned().collect()
    }

    /// How many sessions there are at home.
    pub fn at_home(&self) -> usize {
        self.sessions.values().filter(|named| named.contains_key(&self.home)).count()
    }

    /// One record.
    pub fn get(&self, id: &SessionName) -> Option<&SessionRecord> {
        self.records.get(id)
    }

    /// The facts of the session that has this id.
    pub fn session(&self, id: &SessionName) -> Option<&SessionFacts> {
        let named = self.sessions.get(id)?;
        named.get(&self.home).or_else(|| named.values().min_by_key(|session| session.created))
    }

    /// The pods that a session of this UID controls and that have not ended.
    pub fn live_pods<'i>(&'i self, uid: &str) -> impl Iterator<Item = &'i PodFacts> {
        self.pods.live(uid)
    }

    /// Resources that are left alone: unreadable ones, and those whose id a session of another namespace has.
    pub fn problems(&self) -> Vec<Problem> {
        let what = |(namespace, name): &Place| format!("whatsappsessions {namespace}/{name}");
        let unreadable =
            self.unreadable.iter().map(|(place, why)| Problem { what: what(place), why: why.clone() });
        let hidden = self.sessions.iter().flat_map(|(id, named)| {
            let chosen = self.session(id).map_or("", |session| &session.namespace);
            let others = named.values().filter(move |other| other.namespace != chosen);
            others.map(move |other| Problem {
                what: what(&other.place()),
                why: format!("the session of this name in namespace {chosen} has its id: rename one of them"),
            })
        });
        unreadable.chain(hidden).collect()
    }

    /// The key that tokens are derived from.
    pub fn set_key(&mut self, key: TokenKey) {
        self.key = Some(key);
        for id in self.sessions.keys().cloned().collect::<Vec<_>>() {
            self.refresh(&id);
        }
    }

    /// All resources of a namespace (none: of all namespaces).
    pub fn all_sessions(&mut self, namespace: Option<&str>, all: Vec<Read>) {
        let place = |one: &Read| one.as_ref().map_or_else(|(place, _)| place.clone(), SessionFacts::place);
        let listed: BTreeSet<Place> = all.iter().map(place).collect();
        let gone = |place: &Place| namespace.is_none_or(|own| own == place.0) && !listed.contains(place);
        self.unreadable.retain(|place, _| !gone(place));
        let held = self.sessions.values().flat_map(BTreeMap::values).map(SessionFacts::place);
        for place in held.filter(gone).collect::<Vec<_>>() {
            self.forget(&place, None);
        }
        for one in all {
            self.put_session(one);
        }
    }

    /// A resource as it is now. One that is older than what is known is passed over.
    pub fn put_session(&mut self, read: Read) {
        let session = match read {
            Ok(session) => session,
            Err((place, why)) => return drop(self.unreadable.insert(place, why)),
        };
        self.unreadable.remove(&session.place());
        let id = session.name.clone();
        let named = self.sessions.entry(id.clone()).or_default();
        let held = named.get(&session.namespace);
        if held.is_none_or(|held| held.uid != session.uid || held.version <= session.version) {
            named.insert(session.namespace.clone(), session);
            self.refresh(&id);
        }
    }

    /// A resource is gone. Another one of that name stays.
    pub fn remove_session(&mut self, read: &Read) {
        match read {
            Ok(session) => self.forget(&session.place(), Some(&session.uid)),
            Err((place, _)) => {
                self.unreadable.remove(place);
                self.forget(place, None);
            }
        }
    }

    fn forget(&mut self, (namespace, name): &Place, uid: Option<&str>) {
        let Ok(id) = name.parse::<SessionName>() else { return };
        let Some(named) = self.sessions.get_mut(&id) else { return };
        if named.get(namespace).is_some_and(|held| uid.is_none_or(|uid| held.uid == uid)) {
            named.remove(namespace);
        }
        if named.is_empty() {
            self.sessions.remove(&id);
        }
        self.refresh(&id);
    }

    /// All pods of a namespace (none: of all namespaces).
    pub fn all_pods(&mut self, namespace: Option<&str>, all: Vec<PodFacts>) {
        let concerned = self.pods.replace(namespace, all);
        self.refresh_all(concerned);
    }

    /// A pod as it is now.
    pub fn put_pod(&mut self, pod: PodFacts) {
        let concerned = self.pods.put(pod);
        self.refresh_all(concerned);
    }

    /// A pod is gone.
    pub fn remove_pod(&mut self, pod: &PodFacts) {
        let concerned = self.pods.remove(pod);
        self.refresh_all(concerned);
    }

    fn refresh_all(&mut self, uids: impl IntoIterator<Item = String>) {
        for uid in uids {
            if let Some(id) = self.ids.get(&uid).cloned() {
                self.refresh(&id);
            }
        }
    }

    /// Makes a session's record anew.
    fn refresh(&mut self, id: &SessionName) {
        let record = self.session(id).map(|session| self.record(session));
        let uid = record.as_ref().map(|record| record.uid.clone());
        let before = match record {
            Some(record) => self.records.insert(id.clone(), record),
            None => self.records.remove(id),
        };
        if let Some(before) = before {
            self.ids.remove(&before.uid);
        }
        if let Some(uid) = uid {
            self.ids.insert(uid, id.clone());
        }
    }

    fn record(&self, session: &SessionFacts) -> SessionRecord {
        let token = self.key.as_ref().map(|key| token::derive(key, &session.uid));
        let pods: Vec<_> = self.live_pods(&session.uid).collect();
        SessionRecord {
            id: session.name.clone(),
            uid: session.uid.clone(),
            owner: session.owner.clone(),
            labels: session.labels.clone(),
            label: session.label.clone(),
            webhook: session.webhook_url.clone().map(|url| Webhook { url, secret: None }),
            created_at: Some(rfc3339(session.created)),
            runtime: runtime(session, &pods, token.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests;
