//! The watches that feed the index: resources, pods, and the key of the pods' tokens.
//!
//! Comes in: news of the API server. Goes out: changes of the index, and a mark that something changed. It must not write.

use std::sync::Arc;

use crds::WhatsAppSession;
use crds::names::{APP, CLUSTER_KEY, CLUSTER_KEY_SECRET};
use crds::token::TokenKey;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::core::DeserializeGuard;

use super::facts::{PodFacts, SessionFacts};
use super::index::{Index, Read};
use super::{Inner, Places};
use crate::cluster::board::{Board, Line};
use crate::cluster::watch::{News, Source, follow};

/// One task per watch.
pub(super) fn tasks(
    inner: &Arc<Inner>,
    places: &Places,
    key_namespace: &str,
    board: &Arc<Board>,
) -> Vec<BoxFuture<'static, ()>> {
    let namespaces = match places {
        Places::All => vec![None],
        Places::Namespaces(names) => names.iter().cloned().map(Some).collect(),
    };
    let mut tasks: Vec<BoxFuture<'static, ()>> = Vec::new();
    for namespace in namespaces {
        tasks.push(Box::pin(sessions(Arc::clone(inner), namespace.clone(), board.line("sessions"))));
        tasks.push(Box::pin(pods(Arc::clone(inner), namespace, board.line("pods"))));
    }
    tasks.push(Box::pin(key(Arc::clone(inner), key_namespace.to_owned(), board.line("cluster_key"))));
    tasks
}

async fn sessions(inner: Arc<Inner>, namespace: Option<String>, line: Line) {
    let client = inner.cluster.client.clone();
    let api: Api<DeserializeGuard<WhatsAppSession>> = namespace
        .as_ref()
        .map_or_else(|| Api::all(client.clone()), |own| Api::namespaced(client.clone(), own));
    let source = Source::labelled(&inner.cluster, api, None, line.clone());
    let take = |news| {
        inner.change(|index| match news {
            News::All(all) => index.all_sessions(namespace.as_deref(), all),
            News::Now(one) => index.put_session(one),
            News::Gone(one) => index.remove_session(&one),
        });
        line.up();
    };
    follow(source, read_session, take).await;
}

fn read_session(DeserializeGuard(read): DeserializeGuard<WhatsAppSession>) -> Read {
    let place = |metadata: &kube::core::ObjectMeta| {
        (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    };
    let session = read.map_err(|invalid| {
        let at = place(&invalid.metadata);
        tracing::warn!(namespace = %at.0, session = %at.1, why = %invalid.error, "a WhatsAppSession cannot be read");
        (at, invalid.error)
    })?;
    let at = place(&session.metadata);
    SessionFacts::read(session).ok_or_else(|| (at, "its name is no session id".to_owned()))
}

async fn pods(inner: Arc<Inner>, namespace: Option<String>, line: Line) {
    let client = inner.cluster.client.clone();
    let api: Api<Pod> = namespace
        .as_ref()
        .map_or_else(|| Api::all(client.clone()), |own| Api::namespaced(client.clone(), own));
    let source =
        Source::labelled(&inner.cluster, api, Some(&format!("app.kubernetes.io/name={APP}")), line.clone());
    let take = |news| {
        inner.change(|index| match news {
            News::All(all) => index.all_pods(namespace.as_deref(), all),
            News::Now(one) => index.put_pod(one),
            News::Gone(one) => index.remove_pod(&one),
        });
        line.up();
    };
    follow(source, PodFacts::read, take).await;
}

async fn key(inner: Arc<Inner>, namespace: String, line: Line) {
    let api: Api<Secret> = Api::namespaced(inner.cluster.client.clone(), &namespace);
    let source = Source::named(&inner.cluster, api, CLUSTER_KEY_SECRET, line.clone());
    let secret =
        format!("the Secret {namespace}/{CLUSTER_KEY_SECRET} with the key that pods are called with");
    let take = |news| match newest(news) {
        Some(Some(key)) => {
            inner.change(|index: &mut Index| index.set_key(key));
            line.up();
        }
        Some(None) => line.down(format!("{secret} is damaged: its {CLUSTER_KEY} is not 32 bytes")),
        None => line.down(format!("{secret} is not there: the operator makes it")),
    };
    follow(source, read_key, take).await;
}

fn read_key(secret: Secret) -> Option<TokenKey> {
    secret.data?.remove(CLUSTER_KEY)?.0.try_into().ok()
}

/// What there is of one named object.
pub(crate) fn newest<T>(news: News<T>) -> Option<T> {
    match news {
        News::All(all) => all.into_iter().next(),
        News::Now(one) => Some(one),
        News::Gone(_) => None,
    }
}
