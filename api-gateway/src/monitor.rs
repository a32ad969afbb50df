//! Listens to every session: one long poll of its status and one stream of its events, for as long as its process runs.
//!
//! Comes in: the directory's sessions and what their processes say. Goes out: [`View`]s for whoever asks, and [`Told`] for
//! whoever listens. It must not act on a session, and keeps no message.

mod listen;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_api::{EventData, PairingCode, SessionState, SessionStatus};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

use crate::clock::now_ms;
use crate::directory::{PodEndpoint, SessionDirectory, SessionRecord};
use crate::pod_client::PodClient;
use crate::session_name::SessionName;
use crate::status::{Heard, PublicStatus, View, view};

/// How many things may wait to be told; then the streams wait too.
const WAITING: usize = 1024;
/// How many processes are asked for the first time at once: a gateway that starts among thousands of sessions takes them
/// in turns. Afterwards each costs two idle connections, one for its status and one for its events.
const FIRST_CALLS: usize = 64;

/// Something about a session that listeners are told.
#[derive(Debug, Clone)]
pub struct Told {
    /// The session's name.
    pub id: SessionName,
    /// Its identity.
    pub uid: String,
    /// What.
    pub news: News,
}

/// What listeners are told.
#[derive(Debug, Clone)]
pub enum News {
    /// The status is another one.
    Status {
        /// The one before.
        before: PublicStatus,
        /// What it is now.
        now: View,
    },
    /// Something happened in the session.
    Event(Box<EventData>),
    /// The session was deleted.
    Deleted,
}

/// Listens to every session.
pub struct Monitor {
    directory: Arc<dyn SessionDirectory>,
    pods: PodClient,
    known: Mutex<HashMap<String, Known>>,
    changes: watch::Sender<u64>,
    told: mpsc::Sender<Told>,
    first_calls: Semaphore,
}

/// What is known of a session beyond its resource.
#[derive(Default)]
struct Known {
    heard: Option<Heard>,
    pairing_code: Option<PairingCode>,
    /// The last event of its log that was told.
    cursor: Option<u64>,
    last: Option<PublicStatus>,
    /// The last status that was told before the session began to be deleted: listeners hear of the deletion, not of its steps.
    parting: Option<PublicStatus>,
    id: Option<SessionName>,
}

impl Monitor {
    /// A monitor, and the end at which it tells.
    pub fn new(directory: Arc<dyn SessionDirectory>, pods: PodClient) -> (Arc<Self>, mpsc::Receiver<Told>) {
        let (told, listener) = mpsc::channel(WAITING);
        let (known, changes) = (Mutex::default(), watch::Sender::new(0));
        let first_calls = Semaphore::new(FIRST_CALLS);
        (Arc::new(Self { directory, pods, known, changes, told, first_calls }), listener)
    }

    /// Follows the directory. Does not end.
    pub async fn follow(self: Arc<Self>) {
        let mut changes = self.directory.changes();
        let mut listeners: HashMap<String, (PodEndpoint, AbortHandle)> = HashMap::new();
        loop {
            changes.borrow_and_update();
            let records = self.directory.list();
            let pods: HashMap<&str, &PodEndpoint> = records
                .iter()
                .filter_map(|record| Some((record.uid.as_str(), record.runtime.pod()?)))
                .collect();
            listeners.retain(|uid, (pod, listener)| {
                let same = pods.get(uid.as_str()) == Some(&&*pod);
                if !same {
                    listener.abort();
                    self.silent(uid);
                }
                same
            });
            for record in &records {
                if let Some(pod) = record.runtime.pod()
                    && !listeners.contains_key(&record.uid)
                {
                    let task = tokio::spawn(Arc::clone(&self).listen(record.id.clone(), pod.clone()));
                    listeners.insert(record.uid.clone(), (pod.clone(), task.abort_handle()));
                }
                self.publish(record).await;
            }
            self.forget_others(&records).await;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// How a session looks now.
    pub fn view(&self, record: &SessionRecord) -> View {
        view(&record.runtime, self.heard(&record.uid).as_ref())
    }

    /// What a session's process last said.
    pub fn heard(&self, uid: &str) -> Option<Heard> {
        self.known().get(uid)?.heard.clone()
    }

    /// The pairing code that waits to be typed into a phone.
    pub fn pairing_code(&self, uid: &str) -> Option<PairingCode> {
        let code = self.known().get(uid)?.pairing_code.clone()?;
        (code.expires_at > now_ms()).then_some(code)
    }

    /// A session is about to be deleted: from here on listeners hear only that.
    pub fn part(&self, uid: &str) {
        let mut known = self.known();
        let known = known.entry(uid.to_owned()).or_default();
        known.parting = Some(known.last.unwrap_or(PublicStatus::Starting));
    }

    /// A session was not deleted after all: listeners hear how it is now.
    pub async fn stay(&self, record: &SessionRecord) {
        if let Some(known) = self.known().get_mut(&record.uid)
            && let Some(before) = known.parting.take()
        {
            known.last = Some(before);
        }
        self.publish(record).await;
    }

    /// Remembers a pairing code.
    pub fn keep_pairing_code(&self, uid: &str, code: PairingCode) {
        self.known().entry(uid.to_owned()).or_default().pairing_code = Some(code);
    }

    /// Marked whenever any session's view may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A process that has just been told to change its state says how it is.
    pub async fn hear(&self, id: &SessionName, status: SessionStatus) {
        let uid = status.session_uid.clone();
        {
            let mut known = self.known();
            let known = known.entry(uid.clone()).or_default();
            known.cursor.get_or_insert(status.last_event);
            let moment = |status: &SessionStatus| (status.writer_epoch, status.revision);
            let newer = |heard: &Heard| heard.current && moment(&heard.status) > moment(&status);
            let overtaken = known.heard.as_ref().is_some_and(newer);
            if overtaken {
                return;
            }
            if status.state != SessionState::AwaitingPairing {
                known.pairing_code = None;
            }
            known.heard = Some(Heard { status, current: true });
        }
        if let Some(record) = self.directory.get(id).filter(|record| record.uid == uid) {
            self.publish(&record).await;
        }
    }

    /// A new process begins its stream where its log stands, if that is before the last event that was told: then the log is
    /// a new one.
    fn align_cursor(&self, uid: &str) {
        if let Some(Known { heard: Some(heard), cursor: Some(cursor), .. }) = self.known().get_mut(uid) {
            *cursor = heard.status.last_event.min(*cursor);
        }
    }

    /// Forgets the sessions that are no longer in the list, and tells those who listen to them.
    async fn forget_others(&self, records: &[SessionRecord]) {
        let uids: HashSet<&str> = records.iter().map(|record| record.uid.as_str()).collect();
        let gone: Vec<_> = self.known().extract_if(|uid, _| !uids.contains(uid.as_str())).collect();
        for (uid, known) in gone {
            if let Some(id) = known.id {
                self.tell(&id, &uid, News::Deleted).await;
            }
        }
    }

    /// A process no longer answers.
    fn silent(&self, uid: &str) {
        if let Some(heard) = self.known().get_mut(uid).and_then(|known| known.heard.as_mut()) {
            heard.current = false;
        }
    }

    /// Tells the session's status, if it is another one than before.
    async fn publish(&self, record: &SessionRecord) {
        let now = self.view(record);
        let (before, parting) = {
            let mut known = self.known();
            let known = known.entry(record.uid.clone()).or_default();
            known.id.get_or_insert_with(|| record.id.clone());
            let before = known.last.replace(now.status).unwrap_or(PublicStatus::Starting);
            if before.is_ended() && !now.status.is_ended() {
                // It was made again so soon that nobody saw it gone.
                known.parting = None;
            }
            (before, known.parting.is_some())
        };
        self.changes.send_modify(|count| *count += 1);
        if before != now.status && !parting {
            tracing::info!(session = %record.id, status = %now.status, "a session's status changed");
            self.tell(&record.id, &record.uid, News::Status { before, now }).await;
        }
    }

    async fn tell(&self, id: &SessionName, uid: &str, news: News) {
        let told = Told { id: id.clone(), uid: uid.to_owned(), news };
        if self.told.send(told).await.is_err() {
            tracing::debug!("nobody listens to what sessions tell");
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
