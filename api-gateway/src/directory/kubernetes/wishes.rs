//! Resume, suspend, restart, wipe, delete: a change of the resource, and a bounded wait until it shows.
//!
//! Comes in: a session's id. Goes out: its record once it is done, or what is still under way. What was written stays
//! written: the operator carries it out, whoever waits.

use std::time::Duration;

use crds::WhatsAppSession;
use serde_json::Value;

use super::facts::SessionFacts;
use super::index::Index;
use super::writes::Writes;
use super::{Inner, Outcome, patch};
use crate::clock;
use crate::directory::{DirectoryError, Runtime, SessionRecord, Volume};
use crate::session_name::SessionName;

/// How long a pod's end is waited for; with the other waits of a request it stays below the request's own limit.
const END: Duration = Duration::from_secs(45);
/// How long the operator may take to see a change.
const SEEN: Duration = Duration::from_secs(15);
/// How often a volume is looked at that is not watched.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl Inner {
    pub(super) async fn resume(&self, id: &SessionName) -> Outcome<SessionRecord> {
        let session = self.known(id)?;
        self.write(&session, &patch::resume(&session.uid)).await?;
        self.record(id)
    }

    pub(super) async fn suspend(&self, id: &SessionName) -> Outcome<SessionRecord> {
        let session = self.known(id)?;
        self.write(&session, &patch::suspend(&session.uid)).await?;
        self.until(&session, END, "it is suspended and its pod has not ended yet", stopped).await
    }

    pub(super) async fn restart(&self, id: &SessionName) -> Outcome<SessionRecord> {
        let session = self.known(id)?;
        let old: Vec<String> = self.index().live_pods(&session.uid).map(|pod| pod.uid.clone()).collect();
        let moment = format!("{}.{:03}", clock::rfc3339(clock::now_ms()), clock::now_ms() % 1000);
        self.write(&session, &patch::restart(&session.uid, &moment)).await?;
        let what = "it is told to restart and its old pod has not ended yet";
        self.until(&session, END, what, |index, session| {
            let gone = !index.live_pods(&session.uid).any(|pod| old.contains(&pod.uid));
            gone.then(|| index.get(&session.name).cloned()).flatten()
        })
        .await
    }

    pub(super) async fn wipe(&self, id: &SessionName) -> Outcome<SessionRecord> {
        let session = self.known(id)?;
        let token = uuid::Uuid::new_v4().to_string();
        self.write(&session, &patch::wipe(&session.uid, &token)).await?;
        let what = "it is suspended and its volume has not been thrown away yet";
        self.until(&session, END, what, |index, session| {
            stopped(index, session).filter(|_| session.reset_token.as_deref() == Some(&token))
        })
        .await
    }

    pub(super) async fn delete(&self, id: &SessionName, volume: Volume) -> Outcome<()> {
        let session = self.known(id)?;
        if volume == Volume::Remove {
            self.give_up_volume(&session).await?;
        }
        match self.writes(&session).delete(id, &session.uid).await {
            // Somebody else was first.
            Ok(()) | Err(crate::cluster::trouble::Trouble::NotFound) => {}
            Err(trouble) => return Err(trouble.into()),
        }
        let uid = session.uid.clone();
        let gone = |index: &Index| {
            let there = index.session(id).is_some_and(|held| held.uid == uid);
            (!there && index.live_pods(&uid).next().is_none()).then_some(())
        };
        let what = "it is being deleted and its pod has not ended yet";
        self.wait(END, gone).await.ok_or_else(|| self.under_way(&session, what))
    }

    /// Lets the volume go with the session: comes back once the operator has made it the session's own.
    async fn give_up_volume(&self, session: &SessionFacts) -> Outcome<()> {
        let written = self.write(session, &patch::give_up_volume(&session.uid)).await?;
        let what = "its volume is to go with it, and the operator has not seen that yet; nothing is deleted";
        self.until(session, SEEN, what, |_, now| (now.observed >= written).then_some(())).await?;
        let mut looks = tokio::time::interval(LOOK_AGAIN);
        let owned = async {
            loop {
                looks.tick().await;
                let Some(claim) = self.writes(session).claim(&session.name).await? else { return Ok(()) };
                if claim.owner_references.iter().flatten().any(|owner| owner.uid == session.uid) {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(SEEN, owned).await.unwrap_or_else(|_| Err(self.under_way(session, what)))
    }

    /// The facts of a session.
    pub(super) fn known(&self, id: &SessionName) -> Outcome<SessionFacts> {
        self.index().session(id).cloned().ok_or(DirectoryError::NotFound)
    }

    /// The record of a session.
    pub(super) fn record(&self, id: &SessionName) -> Outcome<SessionRecord> {
        self.index().get(id).cloned().ok_or(DirectoryError::NotFound)
    }

    pub(super) fn writes<'i>(&'i self, session: &'i SessionFacts) -> Writes<'i> {
        Writes::into(&self.cluster, &session.namespace)
    }

    /// Changes a resource, keeps what it is now, and gives the version of its spec.
    pub(super) async fn write(&self, session: &SessionFacts, change: &Value) -> Outcome<i64> {
        if session.deleting.is_some() {
            return Err(DirectoryError::Deleting);
        }
        let written = self.writes(session).patch(&session.name, change).await?;
        let generation = written.metadata.generation.unwrap_or_default();
        self.keep(written);
        Ok(generation)
    }

    /// Keeps a resource as the API server answered it: the watch brings the same, a little later.
    pub(super) fn keep(&self, session: WhatsAppSession) {
        if let Some(facts) = SessionFacts::read(session) {
            self.change(|index| index.put_session(Ok(facts)));
        }
    }

    /// Waits until this very session looks as it should.
    async fn until<T>(
        &self,
        session: &SessionFacts,
        patience: Duration,
        what: &str,
        look: impl Fn(&Index, &SessionFacts) -> Option<T>,
    ) -> Outcome<T> {
        let looked = self.wait(patience, |index| match index.session(&session.name) {
            Some(now) if now.uid == session.uid => look(index, now).map(Ok),
            Some(_) | None => Some(Err(DirectoryError::NotFound)),
        });
        looked.await.unwrap_or_else(|| Err(self.under_way(session, what)))
    }

    /// Waits until the index says so.
    async fn wait<T>(&self, patience: Duration, mut look: impl FnMut(&Index) -> Option<T>) -> Option<T> {
        let mut changes = self.changes.subscribe();
        let search = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(&self.index()) {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(patience, search).await.ok()
    }

    /// What has not been done in time, with what stands in its way.
    fn under_way(&self, session: &SessionFacts, what: &str) -> DirectoryError {
        let now = self.known(&session.name).ok().and_then(|now| now.hindrance);
        let why = now
            .map(|hindrance| format!(" ({}: {})", hindrance.reason, hindrance.message))
            .unwrap_or_default();
        DirectoryError::UnderWay(format!("{what}{why}"))
    }
}

/// The record of a session whose pod has ended.
fn stopped(index: &Index, session: &SessionFacts) -> Option<SessionRecord> {
    let record = index.get(&session.name)?;
    matches!(record.runtime, Runtime::Stopped { .. }).then(|| record.clone())
}
