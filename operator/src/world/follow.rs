//! How the caches are fed: one watch per kind and scope, begun anew for as long as the process lives.
//!
//! Comes in: which namespaces, which labels. Goes out: changed caches, and the sessions to be looked at through `wake`. It judges
//! nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use super::{Guarded, World};
use crate::call::words;
use crate::index::Shared;
use crate::observe::{NamespacedName, PodSeen, SessionKey};

/// Label selector of everything that the operator makes.
const OURS: &str = "app.kubernetes.io/name=whatsapp-session,app.kubernetes.io/managed-by=warest-operator";
/// Secrets that no session can name: those that the operator makes.
const NOT_OURS: &str = "app.kubernetes.io/managed-by!=warest-operator";
/// Nor these: there are many and large ones of them.
const NO_RELEASES: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

/// How many objects are listed at once.
const PAGE: u32 = 50;

impl World {
    pub(super) fn follow_scope(
        self: &Arc<Self>,
        scope: &str,
        selector: &str,
        writer: &Arc<Mutex<Writer<Guarded>>>,
    ) {
        let ours = || watcher::Config::default().labels(OURS);
        let (world, writer) = (Arc::clone(self), Arc::clone(writer));
        let sessions = if selector.is_empty() {
            watcher::Config::default()
        } else {
            watcher::Config::default().labels(selector)
        };
        self.follow(scope, sessions, move |scope, event| world.take_session(scope, &event, &writer));
        let world = Arc::clone(self);
        self.follow(scope, ours(), move |scope, event: Event<Pod>| world.take_pod(scope, &event));
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
        let config = config.page_size(PAGE).timeout(self.timeout_seconds);
        tokio::spawn(async move {
            let stream = watcher(api, config).default_backoff().modify(|object| {
                drop_bulk(object.meta_mut());
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
                        let why = words(&error);
                        warn!(kind, namespace = scope, "a watch broke off and is begun anew: {why}");
                    }
                }
            }
        });
    }

    /// The last that is known of a pod is kept when it goes, before the pod is forgotten.
    fn take_pod(&self, scope: &str, event: &Event<Pod>) -> Vec<SessionKey> {
        match event {
            Event::Delete(pod) => {
                let (place, last) = (NamespacedName::of(pod), PodSeen::of(pod));
                self.departures.deleted(place.clone(), &last);
                if self.session(&place).is_none() {
                    self.departures.forget_ended(&place);
                }
            }
            Event::Apply(pod) | Event::InitApply(pod) => {
                let (place, pod) = (NamespacedName::of(pod), PodSeen::of(pod));
                let former = self.pods.get(&place).filter(|former| former.uid != pod.uid);
                if let Some(former) = former {
                    self.departures.unlisted(place.clone(), &former);
                }
                self.departures.is_there(&place, &pod);
            }
            Event::InitDone => {
                for (place, pod) in self.pods.unlisted(scope) {
                    self.departures.unlisted(place, &pod);
                }
            }
            Event::Init => {}
        }
        self.pods.take(scope, event)
    }

    fn take_session(
        &self,
        scope: &str,
        event: &Event<Guarded>,
        writer: &Mutex<Writer<Guarded>>,
    ) -> Vec<SessionKey> {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut touched = Vec::new();
        match event {
            Event::Apply(session) | Event::InitApply(session) => {
                // Its pod runs on if it cannot be read: what it was known to use counts until it can be read again.
                if let Ok(readable) = &session.0 {
                    touched = self.index().put(&SessionKey::of(session), readable);
                }
                writer.apply_watcher_event(&Event::Apply(session.clone()));
            }
            Event::Delete(session) => touched = self.lose(&SessionKey::of(session), &mut writer),
            Event::Init | Event::InitDone => {}
        }
        // The gate goes by the heads: whoever it lets through finds in the store what it has waited for.
        let seen = self.heads.take(scope, event);
        if matches!(event, Event::InitDone) {
            touched.extend(seen.iter().flat_map(|gone| self.lose(gone, &mut writer)));
        }
        touched.extend(seen);
        touched
    }

    /// Forgets a session that is gone.
    fn lose(&self, key: &SessionKey, writer: &mut Writer<Guarded>) -> Vec<SessionKey> {
        debug!(session = %key, "the resource is gone");
        self.gate.forget(key);
        self.departures.forget_ended(key);
        if let Some(session) = self.session(key) {
            writer.apply_watcher_event(&Event::Delete((*session).clone()));
        }
        self.index().forget(key)
    }

    fn users_of(&self, event: &Event<PartialObjectMeta<Secret>>) -> Vec<SessionKey> {
        let (Event::Apply(secret) | Event::InitApply(secret) | Event::Delete(secret)) = event else {
            return Vec::new();
        };
        self.index().users(&Shared::Secret(NamespacedName::of(secret)))
    }
}

/// What `kubectl apply` has noted is as large as the object itself, and nobody here reads it.
fn drop_bulk(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// The scopes that these namespaces are, each of them once; none named: the whole cluster.
pub(super) fn scopes(namespaces: &[String]) -> Vec<String> {
    let named = namespaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    let named: BTreeSet<&str> = named.collect();
    if named.is_empty() {
        return vec![String::new()];
    }
    named.into_iter().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_notes_is_not_kept_and_all_else_is() {
        let annotations = ["kubectl.kubernetes.io/last-applied-configuration", "warest.io/paused"];
        let annotations = annotations.map(|name| (name.to_owned(), "true".to_owned()));
        let mut meta = ObjectMeta {
            annotations: Some(annotations.into()),
            managed_fields: Some(Vec::new()),
            ..ObjectMeta::default()
        };
        drop_bulk(&mut meta);
        assert_eq!(meta.annotations.unwrap().into_keys().collect::<Vec<_>>(), ["warest.io/paused"]);
        assert!(meta.managed_fields.is_none());
    }

    #[test]
    fn a_namespace_that_is_named_twice_is_watched_once() {
        let scopes =
            |names: &[&str]| scopes(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(scopes(&["b", " a", "a ", "b", ""]), ["a", "b"]);
        assert_eq!(scopes(&["", " "]), [""]);
        assert_eq!(scopes(&[]), [""]);
    }
}
