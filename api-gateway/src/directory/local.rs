//! Sessions on this machine: resources as files in the data directory, processes as supervised children.
//!
//! Comes in: wishes. Goes out: records, and processes that follow the resources. What is wished is written before it is
//! done, so that a restarted gateway takes up where it was. It must not touch a file that it does not understand.

pub mod backoff;
pub mod child;
mod inner;
pub mod resource;
pub mod store;
pub mod supervisor;
#[cfg(test)]
mod testing;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use crds::spec::{OperatingMode, RetentionPolicy};
use crds::token::TokenKey;
use futures_util::future::join_all;
use tokio::sync::watch;

use self::inner::Inner;
use self::store::Store;
use super::{DirectoryError, NewSession, Problem, SessionDirectory, SessionRecord, Volume};
use crate::files::FileError;
use crate::session_name::SessionName;

/// How sessions are run.
#[derive(Clone)]
pub struct LocalSettings {
    /// The session program.
    pub program: PathBuf,
    /// Environment that every process gets.
    pub environment: Vec<(String, String)>,
    /// Whether a session answers `ping` unless its resource says otherwise.
    pub auto_reply: bool,
    /// Most sessions.
    pub max_sessions: usize,
    /// Key that the processes' tokens are derived from.
    pub token_key: TokenKey,
    /// Called whenever a process ended by itself.
    pub on_exit: Arc<dyn Fn() + Send + Sync>,
}

/// The directory of local mode.
#[derive(Clone)]
pub struct LocalDirectory(Arc<Inner>);

type Outcome<T> = Result<T, DirectoryError>;

impl LocalDirectory {
    /// Loads all sessions and starts those that shall run. Must be called on the runtime.
    pub fn open(store: Store, settings: LocalSettings) -> Result<Self, FileError> {
        Inner::open(store, settings).map(|inner| Self(Arc::new(inner)))
    }

    /// Carries a change of one session out to its end, whether or not whoever asked for it still waits, and one at a time.
    async fn change<T, F>(
        &self,
        id: &SessionName,
        change: impl FnOnce(Arc<Inner>) -> F + Send + 'static,
    ) -> Outcome<T>
    where
        T: Send + 'static,
        F: Future<Output = Outcome<T>> + Send,
    {
        let (inner, gate) = (Arc::clone(&self.0), self.0.gate(id));
        let done = tokio::spawn(async move {
            let _one_at_a_time = gate.lock().await;
            change(inner).await
        });
        done.await.unwrap_or_else(|error| Err(DirectoryError::Storage(error.to_string())))
    }
}

#[async_trait]
impl SessionDirectory for LocalDirectory {
    fn list(&self) -> Vec<SessionRecord> {
        self.0.list()
    }

    fn get(&self, id: &SessionName) -> Option<SessionRecord> {
        self.0.entry(id).map(|entry| entry.record()).ok()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn problems(&self) -> Vec<Problem> {
        self.0.problems.clone()
    }

    async fn create(&self, new: NewSession) -> Outcome<SessionRecord> {
        let id = new.id.clone();
        self.change(&id, |inner| async move {
            let entry = match inner.entry(&new.id) {
                Ok(entry) if new.any_owner || entry.resource().owner() == new.owner => {
                    inner.edit(&entry, |resource| resource.take(&new)).await?;
                    entry
                }
                Ok(_) => return Err(DirectoryError::Taken),
                Err(_) => inner.make(new).await?,
            };
            entry.supervisor.run();
            entry.supervisor.begun().await;
            Ok(entry.record())
        })
        .await
    }

    async fn resume(&self, id: &SessionName) -> Outcome<SessionRecord> {
        let name = id.clone();
        self.change(id, |inner| async move {
            let entry = inner.entry(&name)?;
            inner.edit(&entry, |resource| resource.spec.operating_mode = OperatingMode::Running).await?;
            entry.supervisor.run();
            entry.supervisor.begun().await;
            Ok(entry.record())
        })
        .await
    }

    async fn suspend(&self, id: &SessionName) -> Outcome<SessionRecord> {
        let name = id.clone();
        self.change(id, |inner| async move {
            let entry = inner.entry(&name)?;
            inner.edit(&entry, |resource| resource.spec.operating_mode = OperatingMode::Suspended).await?;
            entry.supervisor.stop().await;
            Ok(entry.record())
        })
        .await
    }

    async fn restart(&self, id: &SessionName) -> Outcome<SessionRecord> {
        let name = id.clone();
        self.change(id, |inner| async move {
            let entry = inner.entry(&name)?;
            inner.edit(&entry, |resource| resource.spec.operating_mode = OperatingMode::Running).await?;
            entry.supervisor.restart().await;
            Ok(entry.record())
        })
        .await
    }

    async fn wipe(&self, id: &SessionName) -> Outcome<SessionRecord> {
        let name = id.clone();
        self.change(id, |inner| async move {
            let entry = inner.entry(&name)?;
            inner.edit(&entry, |resource| resource.spec.operating_mode = OperatingMode::Suspended).await?;
            entry.supervisor.stop().await;
            inner.on_disk(move |store| store.wipe_volume(&name)).await?;
            Ok(entry.record())
        })
        .await
    }

    async fn delete(&self, id: &SessionName, volume: Volume) -> Outcome<()> {
        let name = id.clone();
        self.change(id, move |inner| async move {
            let entry = inner.entry(&name)?;
            let remove =
                volume == Volume::Remove || entry.resource().spec.retention_policy == RetentionPolicy::Delete;
            inner.edit(&entry, |resource| resource.spec.operating_mode = OperatingMode::Suspended).await?;
            entry.supervisor.stop().await;
            let file = name.clone();
            inner
                .on_disk(move |store| {
                    if remove {
                        store.remove_volume(&file)?;
                    }
                    store.remove_resource(&file)
                })
                .await?;
            entry.supervisor.quit();
            inner.leave(&name);
            Ok(())
        })
        .await
    }

    async fn shutdown(&self) {
        let entries = self.0.entries();
        join_all(entries.iter().map(|entry| entry.supervisor.gone())).await;
    }
}

#[cfg(test)]
mod tests;
