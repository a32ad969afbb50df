//! Sessions of a stack: applied, watched and talked to as a platform team and its developers do.
//!
//! Comes in: names and specs. Goes out: what the API server and the session's own pod say. It must not ask the operator.

use crds::{WhatsAppSession, names};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};

use super::Stack;
use crate::http::{self, Answer};
use crate::rig::Phone;
use crate::wait::eventually;

impl Stack {
    /// A client's view of this namespace's objects. One client per test: it lives in the test's runtime.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster().client(), &self.namespace)
    }

    /// `kubectl apply` of a session whose pod must run on this stack's node.
    pub async fn apply(&self, name: &str, spec: Value) {
        self.cluster()
            .kubectl_in(&["-n", &self.namespace, "apply", "-f", "-"], &self.manifest(name, spec))
            .await
            .ok();
    }

    /// The manifest that [`Stack::apply`] applies.
    pub fn manifest(&self, name: &str, mut spec: Value) -> String {
        spec["scheduling"]["nodeSelector"]["test"] = self.namespace.clone().into();
        json!({"apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "metadata": {"name": name}, "spec": spec})
            .to_string()
    }

    /// A merge patch of a session's spec.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn patch(&self, name: &str, spec: Value) -> WhatsAppSession {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api::<WhatsAppSession>().patch(name, &PatchParams::default(), &patch).await.expect("it is taken")
    }

    /// A session's resource.
    ///
    /// # Panics
    /// When there is none.
    pub async fn session(&self, name: &str) -> WhatsAppSession {
        self.api::<WhatsAppSession>().get(name).await.expect("the session exists")
    }

    /// A session's pod.
    ///
    /// # Panics
    /// When the API server cannot be asked.
    pub async fn pod(&self, name: &str) -> Option<Pod> {
        self.api::<Pod>().get_opt(&names::pod(name)).await.expect("the API server answers")
    }

    /// UID of a session's pod.
    ///
    /// # Panics
    /// When there is no pod.
    pub async fn pod_uid(&self, name: &str) -> String {
        self.pod(name).await.expect("a pod").metadata.uid.expect("a UID")
    }

    /// A session's claim.
    ///
    /// # Panics
    /// When the API server cannot be asked.
    pub async fn claim(&self, name: &str) -> Option<PersistentVolumeClaim> {
        let api = self.api::<PersistentVolumeClaim>();
        api.get_opt(&names::claim(name)).await.expect("the API server answers")
    }

    /// Waits until a condition of a session is as wanted **for the session's current generation**; gives its message.
    pub async fn reaches(&self, name: &str, type_: &str, status: &str, reason: &str) -> String {
        let api = self.api::<WhatsAppSession>();
        let seen = std::sync::Mutex::new(String::new());
        let ask = || async {
            let session = api.get_opt(name).await.ok()??;
            let found = condition(&session, type_)?;
            *seen.lock().expect("no panic inside") =
                format!("{} {}: {}", found.status, found.reason, found.message);
            let current = found.observed_generation == session.metadata.generation;
            (current && found.status == status && found.reason == reason).then_some(found.message)
        };
        let what = format!("{name}: {type_}={status} {reason}");
        let limit = crate::wait::DEADLINE;
        let found = tokio::time::timeout(limit, crate::wait::within(limit * 2, &what, ask)).await;
        let Ok(message) = found else {
            panic!("{what}; last seen: {}; operator: {}", seen.lock().expect("no panic inside"), self.tail())
        };
        message
    }

    fn tail(&self) -> String {
        let log = std::fs::read_to_string(self.operator_log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Waits until a session is Ready.
    pub async fn ready(&self, name: &str) {
        self.reaches(name, crds::conditions::READY, "True", crds::conditions::reason::AS_EXPECTED).await;
    }

    /// Applies a session and pairs it with a new phone.
    pub async fn paired(&self, name: &str, spec: Value) -> Phone {
        self.apply(name, spec).await;
        let phone = self.rig.phone().await;
        phone.scan(&self.qr(name).await).await;
        self.ready(name).await;
        phone
    }

    /// Asks a session's pod, with the token of its Secret.
    ///
    /// # Panics
    /// When there is no pod with an address, or no token.
    pub async fn ask(&self, name: &str, method: Method, path: &str, body: &Value) -> Answer {
        let pod = self.pod(name).await.expect("a pod");
        let ip = pod.status.and_then(|s| s.pod_ip).expect("an address");
        let secret = self.api::<Secret>().get(&names::secret(name)).await.expect("the session's Secret");
        let token = secret.data.unwrap_or_default().remove(names::TOKEN_KEY).expect("a token");
        let token = String::from_utf8(token.0).expect("text");
        let url = format!("http://{ip}:{}{path}", names::SESSION_PORT);
        let request = http::client().request(method, url).bearer_auth(token);
        http::send(if body.is_null() { request } else { request.json(body) }).await
    }

    /// Sends a text through a session to a new phone, which must show it.
    pub async fn sends(&self, name: &str, text: &str) {
        let reader = self.rig.phone().await;
        let body = json!({"to": reader.number, "content": {"type": "text", "text": text}});
        self.ask(name, Method::POST, session_api::routes::MESSAGES, &body).await.ok();
        reader.receives(text).await;
    }

    /// The QR code that a session shows.
    pub async fn qr(&self, name: &str) -> String {
        self.reaches(name, crds::conditions::READY, "False", crds::conditions::reason::AWAITING_PAIRING)
            .await;
        eventually("a QR code", || async {
            let answer = self.ask(name, Method::GET, session_api::routes::QR, &Value::Null).await;
            answer.body["qr"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Deletes a session as `kubectl delete --wait=false` does.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn delete(&self, name: &str) {
        let api = self.api::<WhatsAppSession>();
        api.delete(name, &DeleteParams::background()).await.expect("it is taken");
    }

    /// Waits until a session's pod object is gone.
    pub async fn pod_gone(&self, name: &str) {
        eventually("the pod to be gone", || async { self.pod(name).await.is_none().then_some(()) }).await;
    }
}

/// A condition of a session.
pub fn condition(session: &WhatsAppSession, type_: &str) -> Option<Condition> {
    session.status.as_ref()?.conditions.iter().find(|c| c.type_ == type_).cloned()
}
