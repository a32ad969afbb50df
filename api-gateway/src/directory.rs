//! Which sessions there are, who owns them, and where each one's process is. Local mode keeps them as files and child
//! processes; in a cluster they are `WhatsAppSession` resources and pods.
//!
//! Comes in: wishes (create, suspend, delete). Goes out: [`SessionRecord`]s, and a mark that something changed.
//! It must not speak to a session's process: that is [`crate::pod_client`].

pub mod kubernetes;
pub mod local;

use std::collections::BTreeMap;

use async_trait::async_trait;
use session_api::Reason;
use tokio::sync::watch;

use crate::session_name::SessionName;

/// A session as its resource says, and where its process stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRecord {
    /// Its name.
    pub id: SessionName,
    /// Its identity: a session that is deleted and made again with its volume keeps it.
    pub uid: String,
    /// Name of the key that made it.
    pub owner: String,
    /// Labels of its resource, by which a key may be allowed to see it.
    pub labels: BTreeMap<String, String>,
    /// What people call it.
    pub label: Option<String>,
    /// Where events shall be posted.
    pub webhook: Option<Webhook>,
    /// When it was made, RFC 3339.
    pub created_at: Option<String>,
    /// Where its process stands.
    pub runtime: Runtime,
}

/// Where a session's events shall be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The receiver.
    pub url: String,
    /// Key of the signature.
    pub secret: Option<String>,
}

/// Where the process of a session stands. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// Suspended, no process.
    Stopped {
        /// Since when.
        since: u64,
    },
    /// A process is on its way and cannot be called yet.
    Starting {
        /// Since when.
        since: u64,
        /// What it waits for, when that is known.
        reason: Option<Reason>,
    },
    /// A process runs.
    Running {
        /// Since when.
        since: u64,
        /// Where.
        pod: PodEndpoint,
    },
    /// The process ended; the next one is due.
    Waiting {
        /// Since when.
        since: u64,
        /// When.
        until: u64,
        /// Why the last one ended.
        reason: Reason,
    },
    /// The process cannot run: somebody has to act, though it is tried again from time to time.
    Failed {
        /// Since when.
        since: u64,
        /// Why.
        reason: Reason,
    },
    /// Told to stop, and has not ended yet.
    Stopping {
        /// Since when.
        since: u64,
    },
}

impl Runtime {
    /// Where the process can be called, when it can.
    pub const fn pod(&self) -> Option<&PodEndpoint> {
        match self {
            Self::Running { pod, .. } => Some(pod),
            Self::Stopped { .. }
            | Self::Starting { .. }
            | Self::Waiting { .. }
            | Self::Failed { .. }
            | Self::Stopping { .. } => None,
        }
    }
}

/// Where a session's process can be called, and with what.
#[derive(Clone, PartialEq, Eq)]
pub struct PodEndpoint {
    /// `host:port`.
    pub address: String,
    /// UID of the session that must answer there.
    pub uid: String,
    /// Bearer token.
    pub token: String,
}

impl std::fmt::Debug for PodEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodEndpoint")
            .field("address", &self.address)
            .field("uid", &self.uid)
            .finish_non_exhaustive()
    }
}

/// A session to be made.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its name.
    pub id: SessionName,
    /// The caller's key name.
    pub owner: String,
    /// Whether the caller may take up sessions of other owners.
    pub any_owner: bool,
    /// What people call it. None leaves what an existing session has.
    pub label: Option<String>,
    /// Where events shall be posted. None leaves what an existing session has.
    pub webhook: Option<Webhook>,
}

/// What happens to a session's volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// As the resource's retention policy says (default: it is kept).
    ByPolicy,
    /// It is removed.
    Remove,
}

/// A resource that the directory leaves alone, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which: a file name, a resource name.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Why a directory did not do something.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// No such session.
    #[error("there is no such session")]
    NotFound,
    /// The name belongs to somebody else, or to something that is no session.
    #[error("the session id is taken")]
    Taken,
    /// As many sessions as it takes.
    #[error("there are {limit} sessions already")]
    Full {
        /// How many it takes.
        limit: usize,
    },
    /// It could not be stored.
    #[error("{0}")]
    Storage(String),
    /// It is just being deleted.
    #[error("the session is being deleted")]
    Deleting,
    /// It is stored and will be done, but was not done in time.
    #[error("{0}")]
    UnderWay(String),
    /// Whoever keeps the sessions does not answer just now. Nothing was changed, or the same wish again is harmless.
    #[error("{0}")]
    Unavailable(String),
    /// The gateway may not do it.
    #[error("{0}")]
    Forbidden(String),
    /// A field of what was asked for breaks a rule of the resource.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which, as a caller names it.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A rule of the resource, a quota or a policy is against it, in their own words.
    #[error("{0}")]
    Refused(String),
}

/// All sessions.
#[async_trait]
pub trait SessionDirectory: Send + Sync {
    /// All sessions, by name.
    fn list(&self) -> Vec<SessionRecord>;

    /// One session.
    fn get(&self, id: &SessionName) -> Option<SessionRecord>;

    /// Marked whenever [`SessionDirectory::list`] has changed.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Resources that are left alone.
    fn problems(&self) -> Vec<Problem>;

    /// Makes a session, or takes up the existing one: its given fields change and it runs.
    async fn create(&self, new: NewSession) -> Result<SessionRecord, DirectoryError>;

    /// Lets a session run.
    async fn resume(&self, id: &SessionName) -> Result<SessionRecord, DirectoryError>;

    /// Suspends a session: comes back once its process has ended.
    async fn suspend(&self, id: &SessionName) -> Result<SessionRecord, DirectoryError>;

    /// Ends a session's process and starts a new one. A suspended session runs afterwards.
    async fn restart(&self, id: &SessionName) -> Result<SessionRecord, DirectoryError>;

    /// Suspends a session and removes its credentials; the resource stays.
    async fn wipe(&self, id: &SessionName) -> Result<SessionRecord, DirectoryError>;

    /// Removes a session; comes back once its process has ended.
    async fn delete(&self, id: &SessionName, volume: Volume) -> Result<(), DirectoryError>;

    /// Ends all processes; the resources stay as they are.
    async fn shutdown(&self);
}
