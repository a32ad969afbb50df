//! What pods refer to, read from the API as their node.
//!
//! Comes in: references. Goes out: [`Sources`]. What does not exist is left out; the plan says whether that matters.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use super::environment::Sources;
use super::files::{Reference, references};
use super::plan::PlanError;

/// Longest wait for an answer of the API server.
const LIMIT: Duration = Duration::from_secs(5);

/// Why the API gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is not there (any more), or is another one of the same name.
    Gone,
    /// It was refused as it is.
    Refused(String),
    /// No answer, or one that may be another later.
    Away(String),
}

/// A call with a deadline.
pub(super) async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(LIMIT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Err(Failure::Gone),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 400 | 422) => {
            Err(Failure::Refused(status.message))
        }
        Ok(Err(error)) => Err(Failure::Away(error.to_string())),
        Err(_) => Err(Failure::Away("no answer".into())),
    }
}

/// Reads all that a pod refers to.
pub(super) async fn read(client: &Client, pod: &Pod) -> Result<Sources, PlanError> {
    let mut sources = Sources::default();
    for reference in references(pod) {
        match add(client, pod, &reference, &mut sources).await {
            Ok(()) | Err(Failure::Gone) => {}
            Err(Failure::Refused(text) | Failure::Away(text)) => {
                return Err(PlanError::Unknown(format!("{reference:?}: {text}")));
            }
        }
    }
    Ok(sources)
}

async fn add(
    client: &Client,
    pod: &Pod,
    reference: &Reference,
    sources: &mut Sources,
) -> Result<(), Failure> {
    let (client, namespace) = (client.clone(), pod.namespace().unwrap_or_default());
    match reference {
        Reference::Secret(name) => {
            let secret = call(Api::<Secret>::namespaced(client, &namespace).get(name)).await?;
            let data = secret.data.into_iter().flatten().map(|(key, value)| (key, value.0));
            sources.secrets.insert(name.clone(), data.collect());
        }
        Reference::ConfigMap(name) => {
            let map = call(Api::<ConfigMap>::namespaced(client, &namespace).get(name)).await?;
            let text = map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
            let binary = map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0));
            sources.maps.insert(name.clone(), text.chain(binary).collect());
        }
        Reference::Claim(name) => {
            let claim = call(Api::<PersistentVolumeClaim>::namespaced(client, &namespace).get(name)).await?;
            let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
            if let (Some(uid), Some(volume)) = (claim.uid(), volume) {
                sources.claims.insert(name.clone(), (uid, volume));
            }
        }
        Reference::Token(audience, seconds) => {
            let token = token(client, pod, audience, *seconds).await?;
            sources.tokens.insert(audience.clone(), token);
        }
    }
    Ok(())
}

/// A token that ends with the pod.
async fn token(client: Client, pod: &Pod, audience: &str, seconds: i64) -> Result<String, Failure> {
    let account =
        pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let bound = BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(pod.name_any()),
        uid: pod.uid(),
    };
    let audiences = Some(audience.to_owned()).filter(|audience| !audience.is_empty()).into_iter().collect();
    let spec =
        TokenRequestSpec { audiences, expiration_seconds: Some(seconds), bound_object_ref: Some(bound) };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let accounts: Api<ServiceAccount> = Api::namespaced(client, &pod.namespace().unwrap_or_default());
    let answer = call(accounts.create_token_request(account, &PostParams::default(), &request)).await?;
    answer.status.map(|status| status.token).ok_or_else(|| Failure::Away("no token".into()))
}
