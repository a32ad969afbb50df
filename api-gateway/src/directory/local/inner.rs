//! What the local directory holds: an entry per session, made from its resource, and the files behind it.
//!
//! Comes in: resources. Goes out: entries and records. It must not decide what a wish means: that is the directory's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crds::spec::OperatingMode;
use crds::token;
use tokio::sync::watch;

use super::child::ChildSpec;
use super::resource::{Identity, Resource};
use super::store::Store;
use super::supervisor::{Notify, Supervisor};
use super::{LocalSettings, Outcome};
use crate::clock;
use crate::directory::{DirectoryError, NewSession, Problem, SessionRecord};
use crate::files::FileError;
use crate::session_name::SessionName;

pub(super) struct Inner {
    settings: LocalSettings,
    store: Arc<Store>,
    entries: RwLock<BTreeMap<SessionName, Arc<Entry>>>,
    pub(super) problems: Vec<Problem>,
    pub(super) changes: watch::Sender<u64>,
    gates: Mutex<HashMap<SessionName, Arc<tokio::sync::Mutex<()>>>>,
}

/// One session.
pub(super) struct Entry {
    resource: Mutex<Resource>,
    uid: String,
    pub(super) supervisor: Supervisor,
}

impl Entry {
    /// Its resource as it stands.
    pub(super) fn resource(&self) -> Resource {
        self.resource.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the gateway knows of it.
    pub(super) fn record(&self) -> SessionRecord {
        let resource = self.resource();
        SessionRecord {
            owner: resource.owner().to_owned(),
            webhook: resource.webhook(),
            id: resource.metadata.name,
            uid: self.uid.clone(),
            labels: BTreeMap::new(),
            label: resource.spec.display_name,
            created_at: resource.metadata.creation_timestamp,
            runtime: self.supervisor.runtime(),
        }
    }
}

impl Inner {
    pub(super) fn open(store: Store, settings: LocalSettings) -> Result<Self, FileError> {
        let (resources, problems) = store.load()?;
        let mut inner = Self {
            settings,
            store: Arc::new(store),
            entries: RwLock::default(),
            problems,
            changes: watch::Sender::new(0),
            gates: Mutex::default(),
        };
        let mut uids = HashSet::new();
        for resource in resources {
            let identity = identify(&inner.store, &resource).map_err(|error| error.to_string());
            match identity.map(|identity| identity.uid) {
                // Tokens and rooms hang on it: who may listen to one of two would hear the other.
                Ok(uid) if uids.insert(uid.clone()) => drop(inner.enter(resource, uid)),
                refused => {
                    let what = format!("sessions/{}.yaml", resource.metadata.name);
                    let twice = || "its metadata.uid is another session's: remove that line".to_owned();
                    inner.problems.push(Problem { what, why: refused.err().unwrap_or_else(twice) });
                }
            }
        }
        for Problem { what, why } in &inner.problems {
            tracing::warn!(file = %what, %why, "a file in the data directory is left alone");
        }
        Ok(inner)
    }

    pub(super) fn list(&self) -> Vec<SessionRecord> {
        self.entries().iter().map(|entry| entry.record()).collect()
    }

    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn entry(&self, id: &SessionName) -> Outcome<Arc<Entry>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(id).cloned().ok_or(DirectoryError::NotFound)
    }

    /// The lock that changes of one session take turns with.
    pub(super) fn gate(&self, id: &SessionName) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        Arc::clone(gates.entry(id.clone()).or_default())
    }

    /// Does something with the data directory, off the runtime.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, FileError> + Send + 'static,
    ) -> Outcome<T> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        let done = done.map_err(|error| DirectoryError::Storage(error.to_string()))?;
        done.map_err(|error| DirectoryError::Storage(error.to_string()))
    }

    /// Makes a new session, or one whose volume was kept.
    pub(super) async fn make(&self, new: NewSession) -> Outcome<Arc<Entry>> {
        let limit = self.settings.max_sessions;
        if self.entries().len() >= limit {
            return Err(DirectoryError::Full { limit });
        }
        let fresh = Identity {
            uid: uuid::Uuid::new_v4().to_string(),
            owner: new.owner.clone(),
            created_at: clock::rfc3339(clock::now_ms()),
        };
        let (any_owner, id) = (new.any_owner, new.id.clone());
        let made = self
            .on_disk(move |store| {
                if store.has_resource(&new.id) {
                    return Ok(None);
                }
                let kept = store.identity(&new.id)?;
                if kept.as_ref().is_some_and(|kept| !any_owner && kept.owner != new.owner) {
                    return Ok(None);
                }
                let identity = kept.unwrap_or(fresh);
                store.save_identity(&new.id, &identity)?;
                let resource = Resource::new(&new, &identity);
                store.save(&resource)?;
                Ok(Some((resource, identity.uid)))
            })
            .await?;
        let (resource, uid) = made.ok_or(DirectoryError::Taken)?;
        tracing::info!(session = %id, "a session was made");
        Ok(self.enter(resource, uid))
    }

    /// Changes a session's resource, on disk first.
    pub(super) async fn edit(&self, entry: &Entry, edit: impl FnOnce(&mut Resource)) -> Outcome<()> {
        let before = entry.resource();
        let mut resource = before.clone();
        edit(&mut resource);
        if resource == before {
            return Ok(());
        }
        let file = resource.clone();
        self.on_disk(move |store| store.save(&file)).await?;
        *entry.resource.lock().unwrap_or_else(PoisonError::into_inner) = resource;
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Takes a session into the list. It runs if its resource says so.
    pub(super) fn enter(&self, resource: Resource, uid: String) -> Arc<Entry> {
        let id = resource.metadata.name.clone();
        let token = token::derive(&self.settings.token_key, &uid);
        let spec = self.child_spec(&resource, &uid, &token);
        let (changes, on_exit) = (self.changes.clone(), Arc::clone(&self.settings.on_exit));
        let notify: Notify = Arc::new(move |exited| {
            if exited {
                on_exit();
            }
            changes.send_modify(|count| *count += 1);
        });
        let runs = resource.spec.operating_mode == OperatingMode::Running;
        let supervisor = Supervisor::start(spec, uid.clone(), token, notify, runs);
        let entry = Arc::new(Entry { resource: Mutex::new(resource), uid, supervisor });
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&entry));
        self.changes.send_modify(|count| *count += 1);
        entry
    }

    /// Takes a session out of the list.
    pub(super) fn leave(&self, id: &SessionName) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        tracing::info!(session = %id, "a session was deleted");
        self.changes.send_modify(|count| *count += 1);
    }

    fn child_spec(&self, resource: &Resource, uid: &str, token: &str) -> ChildSpec {
        let id = resource.metadata.name.clone();
        let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        let address_file = self.store.address_file(&id);
        let auto_reply = resource.spec.policy.auto_reply.unwrap_or(self.settings.auto_reply);
        let own = [
            ("WAREST_SESSION_ID", id.to_string()),
            ("WAREST_SESSION_UID", uid.to_owned()),
            ("WAREST_DATA_DIR", path(self.store.volume(&id))),
            ("WAREST_LISTEN", "127.0.0.1:0".to_owned()),
            ("WAREST_ADDRESS_FILE", path(address_file.clone())),
            ("WAREST_TOKEN", token.to_owned()),
            ("WAREST_AUTO_REPLY", auto_reply.to_string()),
            ("WAREST_EXIT_ON_STDIN_EOF", "true".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let environment = self.settings.environment.iter().cloned().chain(own).collect();
        ChildSpec { id, program: self.settings.program.clone(), environment, address_file }
    }
}

/// The identity of a session that is on disk: its resource's, else the one kept beside its volume, else a new one.
fn identify(store: &Store, resource: &Resource) -> Result<Identity, FileError> {
    let id = &resource.metadata.name;
    let kept = store.identity(id)?;
    if let Some(kept) = kept
        && resource.metadata.uid.as_ref().is_none_or(|uid| *uid == kept.uid)
    {
        return Ok(kept);
    }
    let now = || clock::rfc3339(clock::now_ms());
    let identity = Identity {
        uid: resource.metadata.uid.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        owner: resource.owner().to_owned(),
        created_at: resource.metadata.creation_timestamp.clone().unwrap_or_else(now),
    };
    store.save_identity(id, &identity)?;
    Ok(identity)
}
