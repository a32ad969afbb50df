//! What the operator knows and reaches: the caches of everything that it watches, and the client.
//!
//! Comes in: watch events. Goes out: the caches, and through `wake` the sessions to be looked at. It decides nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::WhatsAppSession;
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use tokio::sync::mpsc;

use crate::cache::{Cache, Kept};
use crate::departures::Departures;
use crate::gate::{Expected, Gate, Kind};
use crate::index::Index;
use crate::kept::{NetworkPolicyKept, SecretKept};
use crate::metrics::Metrics;
use crate::observe::{ClaimSeen, NamespacedName, PodSeen, SessionKey};

mod follow;

/// A session, or what could not be read as one.
pub type Guarded = DeserializeGuard<WhatsAppSession>;

/// What is watched.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// These namespaces; none: all.
    pub namespaces: &'a [String],
    /// Label selector of sessions; empty: all.
    pub selector: &'a str,
    /// A watch is begun anew after so long.
    pub timeout_seconds: u32,
}

/// What is known.
pub struct World {
    /// The API server.
    pub client: Client,
    /// The sessions.
    pub sessions: Store<Guarded>,
    /// What they share.
    index: Mutex<Index>,
    /// How far the sessions' watches have come.
    heads: Cache<Head>,
    /// Their pods.
    pub pods: Cache<PodSeen>,
    /// Their claims.
    pub claims: Cache<ClaimSeen>,
    /// Their Secrets.
    pub secrets: Cache<SecretKept>,
    /// Pods that are gone.
    pub departures: Departures,
    /// Their policies.
    pub network_policies: Cache<NetworkPolicyKept>,
    /// What was written and has to be seen.
    pub gate: Gate,
    metrics: Arc<Metrics>,
    scopes: Vec<String>,
    timeout_seconds: u32,
    wake: mpsc::Sender<SessionKey>,
}

/// What is kept of a session beside the resource itself.
#[derive(Debug)]
struct Head;

impl Kept for Head {
    type Of = Guarded;
    const BY_SESSION: bool = false;

    fn read(_: &Guarded) -> Self {
        Self
    }

    fn sessions(object: &Guarded) -> Vec<SessionKey> {
        vec![SessionKey::of(object)]
    }
}

impl World {
    /// Begins to watch. `wake` gets the sessions to be looked at.
    pub fn watch(
        client: &Client,
        watched: Scope<'_>,
        (wake, metrics): (mpsc::Sender<SessionKey>, Arc<Metrics>),
    ) -> Arc<Self> {
        let scopes = follow::scopes(watched.namespaces);
        let (sessions, mut writer) = reflector::store::<Guarded>();
        // The store is fed by changes alone: the caches know what a new list has left out, scope by scope.
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let world = Arc::new(Self {
            client: client.clone(),
            sessions,
            index: Mutex::default(),
            heads: Cache::default(),
            pods: Cache::default(),
            claims: Cache::default(),
            secrets: Cache::default(),
            departures: Departures::default(),
            network_policies: Cache::default(),
            gate: Gate::default(),
            scopes: scopes.clone(),
            timeout_seconds: watched.timeout_seconds,
            metrics,
            wake,
        });
        let writer = Arc::new(Mutex::new(writer));
        for scope in scopes {
            world.follow_scope(&scope, watched.selector, &writer);
        }
        world
    }

    /// How many objects each cache has, by kind.
    pub fn cached(&self) -> [(&'static str, usize); 5] {
        [
            ("WhatsAppSession", self.heads.len()),
            ("Pod", self.pods.len()),
            ("PersistentVolumeClaim", self.claims.len()),
            ("Secret", self.secrets.len()),
            ("NetworkPolicy", self.network_policies.len()),
        ]
    }

    /// How much is remembered beside that.
    pub fn remembered(&self) -> [(&'static str, usize); 4] {
        let (index, users) = self.index().sizes();
        [("gate", self.gate.len()), ("index", index), ("users", users), ("departures", self.departures.len())]
    }

    /// What sessions share.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One session.
    pub fn session(&self, key: &SessionKey) -> Option<Arc<Guarded>> {
        self.sessions.get(&reference(key))
    }

    /// Waits until everything has been listed once.
    pub async fn synced(&self) {
        tokio::join!(
            self.heads.synced(&self.scopes),
            self.pods.synced(&self.scopes),
            self.claims.synced(&self.scopes),
            self.secrets.synced(&self.scopes),
            self.network_policies.synced(&self.scopes),
        );
    }

    /// Whether the caches show what was written for this session.
    pub fn shows_own_writes(&self, key: &SessionKey) -> bool {
        let scope = self.scopes.iter().find(|scope| *scope == key.namespace()).map_or("", String::as_str);
        self.gate.is_open(key, std::time::Instant::now(), |kind, expected| match expected {
            Expected::Version(version) => self.version(kind, scope) >= *version,
            Expected::Deleted { name, uid } => self.is_deleted(kind, &key.beside(name), uid),
        })
    }

    fn version(&self, kind: Kind, scope: &str) -> u64 {
        match kind {
            Kind::Session => self.heads.version(scope),
            Kind::Pod => self.pods.version(scope),
            Kind::Claim => self.claims.version(scope),
            Kind::Secret => self.secrets.version(scope),
            Kind::NetworkPolicy => self.network_policies.version(scope),
        }
    }

    fn is_deleted(&self, kind: Kind, place: &NamespacedName, uid: &str) -> bool {
        match kind {
            Kind::Pod => self.pods.get(place).is_none_or(|pod| pod.uid != uid || pod.deleting.is_some()),
            Kind::Claim => self.claims.get(place).is_none_or(|claim| claim.uid != uid || claim.deleting),
            Kind::Session | Kind::Secret | Kind::NetworkPolicy => true,
        }
    }
}

/// A session, as kube names it.
pub fn reference(key: &SessionKey) -> reflector::ObjectRef<Guarded> {
    reflector::ObjectRef::new(key.name()).within(key.namespace())
}
