//! The caches by examples: what a watch says, and what is known by it.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::*;
use crate::observe::{ClaimSeen, PodSeen};

fn pod(name: &str, version: u64) -> Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": name, "namespace": "a", "uid": format!("{name}-{version}"), "resourceVersion": version.to_string()}
    }))
    .unwrap()
}

fn key(name: &str) -> SessionKey {
    SessionKey::new("a", name)
}

#[test]
fn objects_come_change_and_go() {
    let cache = Cache::<PodSeen>::default();
    assert_eq!(cache.take("", &Event::Apply(pod("x", 5))), [key("x")]);
    assert_eq!(cache.of_session(&key("x"))[0].uid, "x-5");
    assert_eq!(cache.take("", &Event::Apply(pod("x", 7))), [key("x")]);
    assert_eq!((cache.version(""), cache.len()), (7, 1));
    assert_eq!(cache.take("", &Event::Delete(pod("x", 9))), [key("x")]);
    assert_eq!((cache.version(""), cache.is_empty()), (9, true));
    assert!(cache.of_session(&key("x")).is_empty());
}

#[test]
fn a_session_has_its_pods_whatever_their_names() {
    let cache = Cache::<PodSeen>::default();
    let uids = |name: &str| {
        let pods = cache.of_session(&key(name));
        pods.iter().map(|pod| pod.uid.clone()).collect::<Vec<_>>()
    };
    let named = |session: &str, version| {
        let mut pod = pod("other", version);
        pod.metadata.labels = Some([(crds::names::SESSION.to_owned(), session.to_owned())].into());
        Event::Apply(pod)
    };
    cache.take("", &Event::Apply(pod("x", 5)));
    assert_eq!(cache.take("", &named("x", 6)), [key("other"), key("x")]);
    assert_eq!(
        (uids("x"), uids("other")),
        (vec!["x-5".to_owned(), "other-6".to_owned()], vec!["other-6".to_owned()])
    );
    let touched: BTreeSet<_> = cache.take("", &named("y", 7)).into_iter().collect();
    assert_eq!(touched, [key("other"), key("x"), key("y")].into(), "who had it hears of it too");
    assert_eq!((uids("x"), uids("y")), (vec!["x-5".to_owned()], vec!["other-7".to_owned()]));
    cache.take("", &Event::Delete(pod("other", 8)));
    assert!(uids("y").is_empty() && uids("other").is_empty());
}

#[test]
fn what_has_another_name_than_its_session_wakes_it_all_the_same() {
    let cache = Cache::<ClaimSeen>::default();
    let claim = |version: u64| -> PersistentVolumeClaim {
        serde_json::from_value(serde_json::json!({"metadata": {
            "name": "x-session", "namespace": "a", "resourceVersion": version.to_string(), "labels": {crds::names::SESSION: "x"},
        }}))
        .unwrap()
    };
    assert_eq!(cache.take("", &Event::Apply(claim(5))), [key("x")]);
    assert!(cache.get(&NamespacedName::new("a", "x-session")).is_some());
    assert_eq!(cache.take("", &Event::Delete(claim(6))), [key("x")]);
    assert!(cache.is_empty());
}

#[test]
fn a_new_list_tells_what_is_gone_in_its_scope_alone() {
    let cache = Cache::<PodSeen>::default();
    for name in ["x", "y"] {
        cache.take("a", &Event::Apply(pod(name, 5)));
    }
    cache.take("b", &Event::Init);
    assert!(cache.take("b", &Event::InitDone).is_empty());
    cache.take("a", &Event::Init);
    cache.take("a", &Event::InitApply(pod("y", 8)));
    assert_eq!(cache.len(), 2, "nothing is forgotten while the list is under way");
    let unlisted: Vec<_> = cache.unlisted("a").into_iter().map(|(_, pod)| pod.uid.clone()).collect();
    assert_eq!(unlisted, ["x-5"]);
    assert_eq!(cache.take("a", &Event::InitDone), [key("x")]);
    assert_eq!(cache.len(), 1);
}

#[tokio::test]
async fn it_is_synced_when_every_scope_has_been_listed() {
    let cache = Cache::<PodSeen>::default();
    cache.take("a", &Event::InitDone);
    let scopes = ["a".to_owned(), "b".to_owned()];
    let both = cache.synced(&scopes);
    tokio::pin!(both);
    assert!(futures_util::poll!(&mut both).is_pending());
    cache.take("b", &Event::InitDone);
    both.await;
}
