//! Which pods are gone from the API server without anybody having seen their processes end.
//!
//! Comes in: the last state of every pod that goes. Goes out: for a session without a pod, the one that may still be running.
//! It decides nothing: how long such a pod is waited for is [`crate::decide`]'s to say.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crds::status::PodStatus;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::cache::Place;
use crate::observe::{Departed, Lasting, PodSeen};

/// What is older is forgotten. A session that still waits for such a pod begins to wait anew.
const KEPT: Duration = Duration::from_hours(1);

/// The claim and the folder in it that a pod writes to.
type Volume = (String, String);

/// Pods that are gone, by namespace and name.
#[derive(Debug, Default)]
pub struct Departures {
    gone: Mutex<HashMap<Place, Departure>>,
}

#[derive(Debug)]
struct Departure {
    node: Option<String>,
    volume: Option<Volume>,
    grace: Option<i64>,
    /// Its kubelet has said that nothing of it runs any more, or it never had one.
    ended: bool,
    since: Timestamp,
    noticed: Instant,
}

impl Departures {
    /// A pod was deleted; this is the last that was said of it.
    pub fn deleted(&self, place: Place, last: &PodSeen) {
        self.note(place, last, last.has_ended() || last.node.is_none());
    }

    /// A pod is not listed any more; this is what was known of it, and may be old.
    pub fn unlisted(&self, place: Place, known: &PodSeen) {
        self.note(place, known, known.has_ended());
    }

    /// The pod that a status tells of is not there, and nothing else is known of it.
    pub fn missing(&self, place: Place, told: &PodStatus) {
        self.gone().entry(place).or_insert_with(|| Departure { node: told.node.clone(), ..Departure::now() });
    }

    /// There is no session at this place any more: that its last pod has ended is of no use to anybody.
    pub fn forget_ended(&self, place: &Place) {
        let mut gone = self.gone();
        if gone.get(place).is_some_and(|departure| departure.ended) {
            gone.remove(place);
        }
    }

    /// There is a pod at this place.
    pub fn is_there(&self, place: &Place) {
        self.gone().remove(place);
    }

    /// The pod that may still run though it is gone: the one of this place, or another one in its namespace that writes to this
    /// volume.
    pub fn may_run(&self, place: &Place, volume: &Volume) -> Option<Departed> {
        let gone = self.gone();
        let open = |departure: &&Departure| !departure.ended;
        let shares = |(there, departure): &(&Place, &Departure)| {
            there.0 == place.0 && !departure.ended && departure.volume.as_ref() == Some(volume)
        };
        let own = gone.get(place).filter(open);
        own.or_else(|| gone.iter().find(shares).map(|(_, departure)| departure)).map(Departure::told)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.gone().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn note(&self, place: Place, last: &PodSeen, ended: bool) {
        let mut gone = self.gone();
        gone.retain(|_, departure| departure.noticed.elapsed() < KEPT);
        let (node, volume) = (last.node.clone(), last.place.clone());
        gone.insert(place, Departure { node, volume, grace: last.grace, ended, ..Departure::now() });
    }

    fn gone(&self) -> MutexGuard<'_, HashMap<Place, Departure>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Departure {
    /// Nothing is known but that it is gone.
    fn now() -> Self {
        let (since, noticed) = (whole_second(), Instant::now());
        Self { node: None, volume: None, grace: None, ended: false, since, noticed }
    }

    fn told(&self) -> Departed {
        let noticed = lasting(self.since, self.noticed);
        Departed { node: self.node.clone(), grace: self.grace, noticed }
    }
}

/// What has lasted since then. Whole seconds: it is compared with times that people set.
pub(crate) fn lasting(since: Timestamp, start: Instant) -> Lasting {
    let seconds = i64::try_from(start.elapsed().as_secs()).unwrap_or(i64::MAX);
    Lasting { since, lasted: SignedDuration::from_secs(seconds) }
}

/// Now, as it is told to people.
pub(crate) fn whole_second() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{PAIRED, ago, pod, seen};
    use crate::observe::{Container, Deleting, Exit, Phase};

    fn place(name: &str) -> Place {
        ("shop".to_owned(), name.to_owned())
    }

    fn may_run(note: impl FnOnce(&Departures, PodSeen)) -> Option<Departed> {
        let departures = Departures::default();
        note(&departures, pod(&seen("{}", PAIRED)));
        departures.may_run(&place("toko"), &("toko-session".to_owned(), String::new()))
    }

    #[test]
    fn only_a_kubelet_proves_an_end() {
        let deleted = |change: fn(&mut PodSeen)| {
            may_run(|departures, mut last| {
                change(&mut last);
                departures.deleted(place("toko"), &last);
            })
        };
        let forced = deleted(|_| {}).unwrap();
        assert_eq!((forced.node.as_deref(), forced.grace), (Some("n"), Some(30)));
        assert_eq!(forced.noticed.lasted.as_secs(), 0);
        assert_eq!(deleted(|last| last.phase = Phase::Succeeded), None);
        assert_eq!(deleted(|last| last.node = None), None, "it never had a kubelet");
        let crashed = deleted(|last| {
            last.container = Container::Terminated(Exit { code: 1, reason: "Error".to_owned() });
            last.deleting = Some(Deleting { deadline: ago(20) });
        });
        assert!(crashed.is_some(), "it may have been started again");
    }

    #[test]
    fn what_a_new_list_leaves_out_may_have_been_bound_since() {
        let unbound = may_run(|departures, last| {
            departures.unlisted(place("toko"), &PodSeen { node: None, ..last });
        });
        assert!(unbound.is_some_and(|departed| departed.node.is_none()));
    }

    #[test]
    fn a_status_alone_proves_nothing_and_a_kubelet_is_believed_before_it() {
        let told = PodStatus { node: Some("n".to_owned()), ..PodStatus::default() };
        let unseen = may_run(|departures, _| departures.missing(place("toko"), &told));
        let unseen = unseen.unwrap();
        assert_eq!((unseen.node.as_deref(), unseen.grace), (Some("n"), None));
        let seen_to_end = may_run(|departures, last| {
            departures.deleted(place("toko"), &PodSeen { phase: Phase::Failed, ..last });
            departures.missing(place("toko"), &told);
        });
        assert_eq!(seen_to_end, None);
    }

    #[test]
    fn another_pod_with_the_same_volume_counts_and_one_that_is_there_again_does_not() {
        assert!(may_run(|departures, last| departures.deleted(place("former"), &last)).is_some());
        let elsewhere = ("bank".to_owned(), "toko".to_owned());
        assert_eq!(may_run(|departures, last| departures.deleted(elsewhere, &last)), None);
        let back = may_run(|departures, last| {
            departures.deleted(place("toko"), &last);
            departures.is_there(&place("toko"));
        });
        assert_eq!(back, None);
    }

    #[test]
    fn without_its_session_only_what_may_run_is_remembered() {
        let (departures, last) = (Departures::default(), pod(&seen("{}", PAIRED)));
        departures.deleted(place("well"), &PodSeen { phase: Phase::Succeeded, ..last.clone() });
        departures.deleted(place("forced"), &last);
        for name in ["well", "forced"] {
            departures.forget_ended(&place(name));
        }
        assert_eq!(departures.len(), 1);
    }
}
