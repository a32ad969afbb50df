//! What the operator knows and reaches: the caches of everything that it watches, and the client.
//!
//! Comes in: watch events. Goes out: the caches, and through `wake` the sessions to be looked at. It decides nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::WhatsAppSession;
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::cache::{Cache, Kept};
use crate::gate::{Expected, Gate, Kind};
use crate::index::{Index, Shared};
use crate::kept::{NetworkPolicyKept, SecretKept};
use crate::metrics::Metrics;
use crate::observe::{ClaimSeen, PodSeen, SessionKey};

/// A session, or what could not be read as one.
pub type Guarded = DeserializeGuard<WhatsAppSession>;

/// Label selector of everything that the operator makes.
const OURS: &str = "app.kubernetes.io/name=whatsapp-session,app.kubernetes.io/managed-by=warest-operator";
/// Secrets that no session can name: those that the operator makes.
const NOT_OURS: &str = "app.kubernetes.io/managed-by!=warest-operator";
/// Nor these: there are many and large ones of them.
const NO_RELEASES: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// How many objects are listed at once.
const PAGE: u32 = 100;

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
    /// Their policies.
    pub network_policies: Cache<NetworkPolicyKept>,
    /// What was written and has to be seen.
    pub gate: Gate,
    metrics: Arc<Metrics>,
    scopes: Vec<String>,
    wake: mpsc::Sender<SessionKey>,
}

/// What is kept of a session beside the resource itself.
#[derive(Debug)]
struct Head;

impl Kept for Head {
    type Of = Guarded;

    fn read(_: &Guarded) -> Self {
        Self
    }

    fn sessions(object: &Guarded) -> Vec<SessionKey> {
        vec![key(object)]
    }
}

impl World {
    /// Begins to watch. Of which namespaces (none: all), and which labels. `wake` gets the sessions to be looked at.
    pub fn watch(
        client: &Client,
        (namespaces, selector): (&[String], &str),
        (wake, metrics): (mpsc::Sender<SessionKey>, Arc<Metrics>),
    ) -> Arc<Self> {
        let scopes = scopes(namespaces);
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
            network_policies: Cache::default(),
            gate: Gate::default(),
            scopes: scopes.clone(),
            metrics,
            wake,
        });
        let writer = Arc::new(Mutex::new(writer));
        for scope in scopes {
            world.follow_scope(&scope, selector, &writer);
        }
        world
    }

    fn follow_scope(self: &Arc<Self>, scope: &str, selector: &str, writer: &Arc<Mutex<Writer<Guarded>>>) {
        let ours = || watcher::Config::default().labels(OURS);
        let (world, writer) = (Arc::clone(self), Arc::clone(writer));
        let sessions = if selector.is_empty() {
            watcher::Config::default()
        } else {
            watcher::Config::default().labels(selector)
        };
        self.follow(scope, sessions, move |scope, event| world.take_session(scope, event, &writer));
        let world = Arc::clone(self);
        self.follow(scope, ours(), move |scope, event: Event<Pod>| world.pods.take(scope, &event));
        let world = Arc::clone(self);
        self.follow(scope, ours(), move |scope, event: Event<PersistentVolumeClaim>| {
            world.claims.take(scope, &event)
        });
        let world = Arc::clone(self);
        self.follow(scope, ours(), move |scope, event: Event<Secret>| world.secrets.take(scope, &event));
        let world = Arc::clone(self);
        self.follow(scope, ours(), move |scope, event: Event<NetworkPolicy>| {
            world.network_policies.take(scope, &event)
        });
        let world = Arc::clone(self);
        let named = watcher::Config::default().labels(NOT_OURS).fields(NO_RELEASES);
        self.follow(scope, named, move |_, event: Event<PartialObjectMeta<Secret>>| world.users_of(&event));
    }

    /// Follows one kind in one scope for as long as the process lives.
    fn follow<K>(
        self: &Arc<Self>,
        scope: &str,
        config: watcher::Config,
        take: impl Fn(&str, Event<K>) -> Vec<SessionKey> + Send + 'static,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let api: Api<K> = if scope.is_empty() {
            Api::all(self.client.clone())
        } else {
            Api::namespaced(self.client.clone(), scope)
        };
        let (wake, metrics, scope) = (self.wake.clone(), Arc::clone(&self.metrics), scope.to_owned());
        let Cow::Borrowed(kind) = K::kind(&()) else { return };
        // Small pages: what a list needs at its height, the process keeps.
        let config = config.page_size(PAGE);
        tokio::spawn(async move {
            let stream = watcher(api, config).default_backoff().modify(|object| {
                object.meta_mut().managed_fields = None;
            });
            let mut stream = stream.boxed();
            loop {
                match stream.try_next().await {
                    Ok(Some(event)) => {
                        for key in take(&scope, event) {
                            if wake.send(key).await.is_err() {
                                return;
                            }
                        }
                    }
                    Ok(None) => return,
                    Err(error) => {
                        metrics.watch_broken(kind);
                        warn!(kind, namespace = scope, "a watch broke off and is begun anew: {error}");
                    }
                }
            }
        });
    }

    fn take_session(
        &self,
        scope: &str,
        event: Event<Guarded>,
        writer: &Mutex<Writer<Guarded>>,
    ) -> Vec<SessionKey> {
        let mut touched = self.heads.take(scope, &event);
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(session) | Event::InitApply(session) => {
                let key = key(&session);
                touched.extend(match &session.0 {
                    Ok(session) => self.index().put(&key, session),
                    // Its pod runs on: what it was known to use counts until it can be read again.
                    Err(_) => Vec::new(),
                });
                writer.apply_watcher_event(&Event::Apply(session));
            }
            Event::Delete(session) => touched.extend(self.lose(&key(&session), &mut writer)),
            Event::Init => {}
            Event::InitDone => {
                let gone = touched.clone();
                touched.extend(gone.iter().flat_map(|key| self.lose(key, &mut writer)));
            }
        }
        touched
    }

    /// Forgets a session that is gone.
    fn lose(&self, key: &SessionKey, writer: &mut Writer<Guarded>) -> Vec<SessionKey> {
        debug!(session = %key, "the resource is gone");
        self.gate.forget(key);
        if let Some(session) = self.session(key) {
            writer.apply_watcher_event(&Event::Delete((*session).clone()));
        }
        self.index().forget(key)
    }

    fn users_of(&self, event: &Event<PartialObjectMeta<Secret>>) -> Vec<SessionKey> {
        let (Event::Apply(secret) | Event::InitApply(secret) | Event::Delete(secret)) = event else {
            return Vec::new();
        };
        let meta = &secret.metadata;
        let place = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        self.index().users(&Shared::Secret(place.0, place.1))
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
        let scope = if self.scopes.contains(&key.namespace) { key.namespace.as_str() } else { "" };
        self.gate.is_open(key, std::time::Instant::now(), |kind, expected| match expected {
            Expected::Version(version) => self.version(kind, scope) >= *version,
            Expected::Deleted { name, uid } => self.is_deleted(kind, &key.namespace, name, uid),
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

    fn is_deleted(&self, kind: Kind, namespace: &str, name: &str, uid: &str) -> bool {
        match kind {
            Kind::Pod => {
                self.pods.get(namespace, name).is_none_or(|pod| pod.uid != uid || pod.deleting.is_some())
            }
            Kind::Claim => {
                self.claims.get(namespace, name).is_none_or(|claim| claim.uid != uid || claim.deleting)
            }
            Kind::Session | Kind::Secret | Kind::NetworkPolicy => true,
        }
    }
}

/// The scopes that these namespaces are, each of them once; none named: the whole cluster.
fn scopes(namespaces: &[String]) -> Vec<String> {
    let named = namespaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let named: BTreeSet<&str> = named.collect();
    if named.is_empty() {
        return vec![String::new()];
    }
    named.into_iter().map(ToOwned::to_owned).collect()
}

/// Where a session is.
pub fn key(session: &Guarded) -> SessionKey {
    let meta = session.meta();
    SessionKey {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

/// The same as a reference.
pub fn reference(key: &SessionKey) -> reflector::ObjectRef<Guarded> {
    reflector::ObjectRef::new(&key.name).within(&key.namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_named_twice_is_watched_once() {
        let scopes =
            |names: &[&str]| scopes(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(scopes(&["b", " a", "a ", "b", ""]), ["a", "b"]);
        assert_eq!(scopes(&["", " "]), [""]);
        assert_eq!(scopes(&[]), [""]);
    }
}
