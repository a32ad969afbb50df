//! The pods that the gateway knows of, by place and by the session that controls them.
//!
//! Comes in: facts of pods, in any order, old ones too. Goes out: UIDs of the sessions that a change concerns. Pure.

use std::collections::{BTreeSet, HashMap};

use super::facts::{Place, PodFacts};

/// All pods.
#[derive(Debug, Default)]
pub struct Pods {
    at: HashMap<Place, PodFacts>,
    controlled: HashMap<String, BTreeSet<Place>>,
}

impl Pods {
    /// The pods that a session of this UID controls and that have not ended.
    pub fn live<'p>(&'p self, session: &str) -> impl Iterator<Item = &'p PodFacts> {
        let places = self.controlled.get(session).into_iter().flatten();
        places.filter_map(|place| self.at.get(place)).filter(|pod| !pod.finished)
    }

    /// All pods of a namespace (none: of all namespaces).
    pub fn replace(&mut self, namespace: Option<&str>, all: Vec<PodFacts>) -> Vec<String> {
        let listed: BTreeSet<&Place> = all.iter().map(|pod| &pod.place).collect();
        let concerns = |place: &Place| namespace.is_none_or(|namespace| namespace == place.0);
        let gone = self.at.values().filter(|pod| concerns(&pod.place) && !listed.contains(&pod.place));
        let gone: Vec<_> = gone.cloned().collect();
        let mut concerned: Vec<_> = gone.iter().filter_map(|pod| self.remove(pod)).collect();
        concerned.extend(all.into_iter().flat_map(|pod| self.put(pod)));
        concerned
    }

    /// A pod as it is now. One that is older than what is known is passed over.
    pub fn put(&mut self, pod: PodFacts) -> Vec<String> {
        let held = self.at.get(&pod.place).cloned();
        if held.as_ref().is_some_and(|held| held.uid == pod.uid && held.version > pod.version) {
            return Vec::new();
        }
        let before = held.and_then(|held| self.remove(&held));
        if let Some(session) = &pod.session {
            self.controlled.entry(session.clone()).or_default().insert(pod.place.clone());
        }
        let now = pod.session.clone();
        self.at.insert(pod.place.clone(), pod);
        before.into_iter().chain(now).collect()
    }

    /// A pod is gone. Another one of that name stays.
    pub fn remove(&mut self, pod: &PodFacts) -> Option<String> {
        self.at.get(&pod.place).filter(|held| held.uid == pod.uid)?;
        let session = self.at.remove(&pod.place)?.session?;
        if let Some(places) = self.controlled.get_mut(&session) {
            places.remove(&pod.place);
            if places.is_empty() {
                self.controlled.remove(&session);
            }
        }
        Some(session)
    }
}
