//! Sessions in a cluster: `WhatsAppSession` resources, and the pods that the operator makes of them.
//!
//! Comes in: wishes, which become changes of resources. Goes out: records, from watches that are kept in memory: looking a
//! session up never asks the API server, and goes on while that is away. It must not write status, pods or volumes.

mod create;
pub mod facts;
pub(crate) mod follow;
pub mod index;
pub mod patch;
pub mod pods;
pub mod standing;
mod wishes;
mod writes;

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::index::Index;
use super::{DirectoryError, NewSession, Problem, SessionDirectory, SessionRecord, Volume};
use crate::cluster::Cluster;
use crate::cluster::board::Board;
use crate::cluster::trouble::Trouble;
use crate::session_name::SessionName;

/// Which namespaces are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// All.
    All,
    /// These.
    Namespaces(Vec<String>),
}

/// Where sessions and the key of their pods are.
#[derive(Debug, Clone)]
pub struct KubernetesSettings {
    /// Where new sessions are made, and whose sessions are found first.
    pub home: String,
    /// Where sessions are watched.
    pub places: Places,
    /// Where the key of the pods' tokens is.
    pub key_namespace: String,
}

/// What new sessions are held to.
#[derive(Debug, Clone, Copy)]
pub struct NewSessions {
    /// Most sessions at home.
    pub max: usize,
    /// Whether they answer `ping`.
    pub auto_reply: bool,
}

/// The directory of a cluster.
#[derive(Clone)]
pub struct KubernetesDirectory(Arc<Inner>);

/// What the directory and its watches share.
pub(crate) struct Inner {
    cluster: Cluster,
    home: String,
    new: NewSessions,
    index: RwLock<Index>,
    changes: watch::Sender<u64>,
    tasks: Mutex<Vec<AbortHandle>>,
}

type Outcome<T> = Result<T, DirectoryError>;

impl Inner {
    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
    }
}

impl KubernetesDirectory {
    /// Begins to watch. Must be called on the runtime.
    pub fn start(
        cluster: Cluster,
        settings: &KubernetesSettings,
        new: NewSessions,
        board: &Arc<Board>,
    ) -> Self {
        let inner = Arc::new(Inner {
            cluster,
            home: settings.home.clone(),
            new,
            index: RwLock::new(Index::new(&settings.home)),
            changes: watch::Sender::new(0),
            tasks: Mutex::default(),
        });
        let tasks = follow::tasks(&inner, &settings.places, &settings.key_namespace, board);
        let tasks = tasks.into_iter().map(|task| tokio::spawn(task).abort_handle()).collect();
        *inner.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Self(inner)
    }
}

#[async_trait]
impl SessionDirectory for KubernetesDirectory {
    fn list(&self) -> Vec<SessionRecord> {
        self.0.index().list()
    }

    fn get(&self, id: &SessionName) -> Option<SessionRecord> {
        self.0.index().get(id).cloned()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn problems(&self) -> Vec<Problem> {
        self.0.index().problems()
    }

    async fn create(&self, new: NewSession) -> Outcome<SessionRecord> {
        self.0.create(new).await
    }

    async fn resume(&self, id: &SessionName) -> Outcome<SessionRecord> {
        self.0.resume(id).await
    }

    async fn suspend(&self, id: &SessionName) -> Outcome<SessionRecord> {
        self.0.suspend(id).await
    }

    async fn restart(&self, id: &SessionName) -> Outcome<SessionRecord> {
        self.0.restart(id).await
    }

    async fn wipe(&self, id: &SessionName) -> Outcome<SessionRecord> {
        self.0.wipe(id).await
    }

    async fn delete(&self, id: &SessionName, volume: Volume) -> Outcome<()> {
        self.0.delete(id, volume).await
    }

    async fn shutdown(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(AbortHandle::abort);
    }
}

impl From<Trouble> for DirectoryError {
    fn from(trouble: Trouble) -> Self {
        let told = trouble.to_string();
        match trouble {
            Trouble::NotFound => Self::NotFound,
            Trouble::AlreadyExists => Self::Taken,
            Trouble::Forbidden(_) => Self::Forbidden(told),
            // The caller's own fields are told apart where a session is made.
            Trouble::Invalid(_) | Trouble::Refused(_) => Self::Refused(told),
            Trouble::Away(_)
            | Trouble::NoSuchKind
            | Trouble::Unauthorized
            | Trouble::Forgotten
            | Trouble::Conflict => Self::Unavailable(told),
        }
    }
}
