//! Which pods are gone from the API server without anybody having seen their processes end.
//!
//! Comes in: the last state of every pod that goes, what a status tells of a pod, and the pods that the operator makes. Goes out:
//! for a session without a pod, those that may still be running. It decides nothing: how long such a pod is waited for is
//! [`crate::decide`]'s to say.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crds::status::PodStatus;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::observe::{Departed, Lasting, NamespacedName, NodeSeen, PodSeen};

/// How long it is remembered that a pod has ended.
const ENDED_FOR: Duration = Duration::from_hours(1);
/// How long a pod is remembered that may run and that no session asks about. One that is waited for is asked about all the time.
const UNASKED_FOR: Duration = Duration::from_hours(24);
/// How many are remembered at most. Those that have ended make room first, then those that nobody has asked about for longest.
const MOST: usize = 10_000;

/// The claim and the folder in it that a pod writes to.
type Volume = (String, String);

/// Pods that are gone, or may be, by UID.
#[derive(Debug, Default)]
pub struct Departures {
    known: Mutex<HashMap<String, Departure>>,
}

#[derive(Debug)]
struct Departure {
    place: NamespacedName,
    node: Option<String>,
    volume: Option<Volume>,
    grace: Option<i64>,
    created: Option<Timestamp>,
    /// Nothing of it runs any more: proven, or decided.
    ended: bool,
    /// Since when it is known to be gone. None: whoever looks for it may yet find it.
    noticed: Option<(Timestamp, Instant)>,
    asked: Instant,
}

impl Departures {
    /// A pod was deleted; this is the last that was said of it.
    pub fn deleted(&self, place: NamespacedName, last: &PodSeen) {
        self.gone(place, last, last.has_ended() || last.node.is_none());
    }

    /// A pod is not listed any more; this is what was known of it, and may be old.
    pub fn unlisted(&self, place: NamespacedName, known: &PodSeen) {
        self.gone(place, known, known.has_ended());
    }

    /// The operator has made a pod, or found one. Until a watch shows it, nobody else would know of it if it went.
    pub fn made(&self, place: NamespacedName, pod: &PodSeen) {
        self.note(&pod.uid, Departure { noticed: None, ..Departure::of(place, pod) });
    }

    /// The status of the session of this place and volume tells of a pod that no watch shows. What can be no pod's name is
    /// taken for the session's.
    pub fn told(&self, place: &NamespacedName, told: &PodStatus, volume: &Volume) {
        let of_names = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-' || it == b'.';
        let is_name =
            told.name.starts_with(|it: char| it.is_ascii_alphanumeric()) && told.name.bytes().all(of_names);
        let place = place.beside(if is_name { &told.name } else { place.name() });
        let (node, volume) = (told.node.clone(), Some(volume.clone()));
        self.note(&told.uid, Departure { node, volume, ..Departure::at(place) });
    }

    /// Nothing of these pods runs any more: that is proven, or was decided. What happens later to their nodes is nothing to them.
    pub fn ended<'a>(&self, uids: impl IntoIterator<Item = &'a str>) {
        let mut known = self.known();
        for uid in uids {
            if let Some(departure) = known.get_mut(uid) {
                (departure.ended, departure.asked) = (true, Instant::now());
            }
        }
    }

    /// There is no session at this place any more: that its last pods have ended is of no use to anybody.
    pub fn forget_ended(&self, place: &NamespacedName) {
        self.known().retain(|_, departure| !(departure.ended && departure.place == *place));
    }

    /// There is this pod. If it is a session's, whoever made it has made sure that those before it at its place and on its volume
    /// have ended.
    pub fn is_there(&self, place: &NamespacedName, pod: &PodSeen) {
        let ours = is_of_a_session(pod);
        let before = |departure: &Departure| {
            departure.created.zip(pod.created).is_some_and(|(former, present)| former < present)
        };
        let over = |departure: &Departure| {
            let succeeded = ours && departure.noticed.is_some() && before(departure);
            (departure.ended && departure.place == *place)
                || (succeeded && departure.is_near(place, pod.place.as_ref()))
        };
        self.known().retain(|uid, departure| *uid != pod.uid && !over(departure));
    }

    /// Names of the pods that may still run though no watch shows them: those of this place, and others in its namespace that
    /// write to this volume.
    pub fn suspects(&self, place: &NamespacedName, volume: &Volume) -> BTreeSet<String> {
        let known = self.known();
        let open = known.values().filter(|departure| departure.may_run(place, volume));
        open.map(|departure| departure.place.name().to_owned()).collect()
    }

    /// All suspects were looked for by name, and these pods are there: that they are stays known until a watch shows them. The
    /// others are gone, and may run.
    pub fn looked_for(&self, there: &[PodSeen], place: &NamespacedName, volume: &Volume) -> Vec<Departed> {
        let of = |pod: &PodSeen| place.beside(&pod.name);
        for pod in there {
            self.is_there(&of(pod), pod);
        }
        let gone = self.may_run(place, volume);
        for pod in there.iter().filter(|pod| is_of_a_session(pod) && !pod.has_ended()) {
            self.made(of(pod), pod);
        }
        gone
    }

    /// Those pods, which are not there: from now on it is known that they are gone. The session's own comes first.
    fn may_run(&self, place: &NamespacedName, volume: &Volume) -> Vec<Departed> {
        self.may_run_at(place, volume, Instant::now())
    }

    fn may_run_at(&self, place: &NamespacedName, volume: &Volume, now: Instant) -> Vec<Departed> {
        let mut known = self.known();
        let open = known.iter_mut().filter(|(_, departure)| departure.may_run(place, volume));
        let mut told: Vec<Departed> = open.map(|(uid, departure)| departure.ask(uid, now)).collect();
        told.sort_by(|one, other| {
            let rank = |it: &Departed| (it.name != place.name(), it.uid.clone());
            rank(one).cmp(&rank(other))
        });
        told
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.known().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn gone(&self, place: NamespacedName, last: &PodSeen, ended: bool) {
        let noticed = Some((whole_second(), Instant::now()));
        self.note(&last.uid, Departure { ended, noticed, ..Departure::of(place, last) });
    }

    /// Adds to what is known. What has ended has ended; what is known to be gone is so since it was last told.
    fn note(&self, uid: &str, new: Departure) {
        let mut known = self.known();
        let before = known.remove(uid);
        forget_old(&mut known, new.asked);
        known.insert(uid.to_owned(), if let Some(before) = before { before.then(new) } else { new });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Departure>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Departure {
    /// Nothing is known but where it was.
    fn at(place: NamespacedName) -> Self {
        Self {
            place,
            node: None,
            volume: None,
            grace: None,
            created: None,
            ended: false,
            noticed: None,
            asked: Instant::now(),
        }
    }

    fn of(place: NamespacedName, pod: &PodSeen) -> Self {
        let (node, volume) = (pod.node.clone(), pod.place.clone());
        Self { node, volume, grace: pod.grace, created: pod.created, ..Self::at(place) }
    }

    /// With what is told of the same pod later.
    fn then(self, new: Self) -> Self {
        Self {
            node: self.node.or(new.node),
            volume: self.volume.or(new.volume),
            grace: self.grace.or(new.grace),
            created: self.created.or(new.created),
            ended: self.ended || new.ended,
            noticed: new.noticed.or(self.noticed),
            ..new
        }
    }

    /// Whether it matters to who wants to be at this place, or to write to this volume.
    fn is_near(&self, place: &NamespacedName, volume: Option<&Volume>) -> bool {
        let shares = volume.is_some() && self.volume.as_ref() == volume;
        self.place == *place || (shares && self.place.namespace() == place.namespace())
    }

    fn may_run(&self, place: &NamespacedName, volume: &Volume) -> bool {
        !self.ended && self.is_near(place, Some(volume))
    }

    fn ask(&mut self, uid: &str, now: Instant) -> Departed {
        self.asked = now;
        let (since, start) = *self.noticed.get_or_insert_with(|| (whole_second(), now));
        Departed {
            name: self.place.name().to_owned(),
            uid: uid.to_owned(),
            node: self.node.clone(),
            state: NodeSeen::Unknown,
            grace: self.grace,
            noticed: lasting(since, start),
        }
    }
}

fn is_of_a_session(pod: &PodSeen) -> bool {
    pod.owner.as_ref().is_some_and(|owner| owner.kind == "WhatsAppSession")
}

/// Makes room: what is of no use to anybody any more goes, and of the rest what is of the least.
fn forget_old(known: &mut HashMap<String, Departure>, now: Instant) {
    known.retain(|_, departure| {
        let kept = if departure.ended { ENDED_FOR } else { UNASKED_FOR };
        now.saturating_duration_since(departure.asked) < kept
    });
    while known.len() >= MOST {
        let least = known.iter().min_by_key(|(_, departure)| (!departure.ended, departure.asked));
        let Some(uid) = least.map(|(uid, _)| uid.clone()) else { return };
        known.remove(&uid);
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
mod tests;
