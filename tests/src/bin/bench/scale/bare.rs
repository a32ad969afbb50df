//! A bare client: creates the objects of as many sessions, and looks at nothing. What it takes until all pods are ready is what the
//! control plane takes.
//!
//! Comes in: the objects that the operator made of one session. Goes out: the same objects under other names.

use std::fmt::Debug;
use std::time::Instant;

use crds::names;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cost::Creation;
use super::ground::{Ground, at_once};

/// What else happens while the bare client creates the objects of the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// The sessions are created as well, as they are for the operator: whoever does so takes time of the same control plane.
    Sessions,
    /// Nothing.
    Nothing,
}

/// The objects of one session, in the order in which the operator makes them.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    claim: PersistentVolumeClaim,
    secret: Secret,
    network_policy: NetworkPolicy,
    pod: Pod,
}

/// What it creates with.
#[derive(Debug, Clone)]
pub(super) struct Bare {
    claims: Api<PersistentVolumeClaim>,
    secrets: Api<Secret>,
    network_policies: Api<NetworkPolicy>,
    pods: Api<Pod>,
}

impl Bare {
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        let client = || client.clone();
        Self {
            claims: Api::namespaced(client(), namespace),
            secrets: Api::namespaced(client(), namespace),
            network_policies: Api::namespaced(client(), namespace),
            pods: Api::namespaced(client(), namespace),
        }
    }

    /// The objects of a session.
    pub(super) async fn objects(&self, session: &str) -> Objects {
        Objects {
            claim: read(&self.claims, &names::claim(session)).await,
            secret: read(&self.secrets, &names::secret(session)).await,
            network_policy: read(&self.network_policies, &names::network_policy(session)).await,
            pod: read(&self.pods, &names::pod(session)).await,
        }
    }

    pub(super) async fn create(&self, objects: Objects) {
        create(&self.claims, objects.claim).await;
        create(&self.secrets, objects.secret).await;
        create(&self.network_policies, objects.network_policy).await;
        create(&self.pods, objects.pod).await;
    }
}

/// Creates the objects of so many sessions, all at once, in a cluster of its own.
pub(super) async fn creation(objects: &Objects, count: usize, applied: Applied) -> Creation {
    let ground = &Ground::start().await;
    let (client, namespace, sessions) = (ground.bare_client(), ground.namespace(), &ground.sessions());
    let bare = &Bare::new(&client, namespace);
    let like = |number| {
        let name = super::name("bare", number);
        (objects.like((namespace, super::SAMPLE.0), (namespace, &name)), name)
    };
    let each = |(objects, name): (Objects, String)| async move {
        if applied == Applied::Sessions {
            ground.create(sessions, &name).await;
        }
        bare.create(objects).await;
    };
    let all: Vec<_> = (0..count).map(like).collect();
    let (processors, start) = (ground.processors(), Instant::now());
    let (ready, ()) = tokio::join!(
        ground.view().reached("bare", |batch| batch.ready_pods == count),
        at_once(all.into_iter().map(each)),
    );
    Creation { time: ready - start, processors: ground.processors().since(&processors) }
}

impl Objects {
    /// The same objects for a session of another name, in another namespace.
    pub(super) fn like(&self, (namespace, session): (&str, &str), name: (&str, &str)) -> Self {
        let renamed = Renamed { from: (namespace, session), to: name };
        Self {
            claim: renamed.object(&self.claim),
            secret: renamed.object(&self.secret),
            network_policy: renamed.object(&self.network_policy),
            pod: renamed.object(&self.pod),
        }
    }
}

/// From which namespace and name to which.
struct Renamed<'n> {
    from: (&'n str, &'n str),
    to: (&'n str, &'n str),
}

impl Renamed<'_> {
    fn object<K: Serialize + DeserializeOwned>(&self, object: &K) -> K {
        let mut object = serde_json::to_value(object).expect("an object");
        without_its_life(&mut object);
        let text = object.to_string();
        let renamed = text.replace(self.from.0, self.to.0).replace(self.from.1, self.to.1);
        serde_json::from_str(&renamed).expect("the same object")
    }
}

/// Without what the API server and the controllers have added. Nobody owns it: there is no session.
fn without_its_life(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    for (part, own) in [
        (
            "metadata",
            &[
                "creationTimestamp",
                "finalizers",
                "managedFields",
                "ownerReferences",
                "resourceVersion",
                "uid",
            ][..],
        ),
        ("spec", &["nodeName", "volumeName"]),
    ] {
        if let Some(part) = fields.get_mut(part).and_then(Value::as_object_mut) {
            part.retain(|key, _| !own.contains(&key.as_str()));
        }
    }
    let annotations =
        fields.get_mut("metadata").and_then(|meta| meta.get_mut("annotations")?.as_object_mut());
    if let Some(annotations) = annotations {
        annotations.retain(|key, _| !key.contains("kubernetes.io/"));
    }
}

async fn read<K>(api: &Api<K>, name: &str) -> K
where
    K: Clone + Debug + DeserializeOwned,
{
    api.get(name).await.expect("an object of a session that is ready")
}

async fn create<K>(api: &Api<K>, object: K)
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    api.create(&PostParams::default(), &object).await.expect("the object is taken");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_again_has_no_past_and_another_name() {
        let claim = serde_json::json!({
            "metadata": {
                "name": "sample-0-session", "namespace": "bench-0", "uid": "u", "resourceVersion": "7", "finalizers": ["x"],
                "annotations": {"volume.kubernetes.io/selected-node": "n", "mine": "m"}, "ownerReferences": [],
            },
            "spec": {"volumeName": "v", "storageClassName": "standard"}, "status": {"phase": "Bound"},
        });
        let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
        let again = Renamed { from: ("bench-0", "sample-0"), to: ("bench-9", "bare-1") }.object(&claim);
        let expected = serde_json::json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "bare-1-session", "namespace": "bench-9", "annotations": {"mine": "m"}},
            "spec": {"storageClassName": "standard"},
        });
        assert_eq!(serde_json::to_value(again).unwrap(), expected);
    }
}
