//! The real session program as a pod of a process node, against the simulator.

use super::*;
use system_tests::process::program;
use system_tests::rig::Rig;

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn session(namespace: &str, whatsapp: &str) -> Pod {
    let container = json!({
        "image": "registry.example/warest/session-pod:1.0",
        "env": [
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "WAREST_LISTEN", "value": "$(POD_IP):8080"},
            {"name": "WAREST_SESSION_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "WAREST_SESSION_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": "WAREST_DATA_DIR", "value": "/data"},
            {"name": "WAREST_TOKEN", "value": TOKEN},
            {"name": "WAREST_WHATSAPP_URL", "value": whatsapp},
            {"name": "RUST_LOG", "value": "info"},
        ],
        "ports": [{"name": "http", "containerPort": 8080}],
        "startupProbe": {"httpGet": {"path": "/livez", "port": "http"}, "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "http"}},
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let spec = json!({
        "securityContext": {"runAsNonRoot": true, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "automountServiceAccountToken": false,
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    });
    pod(namespace, "shop", &container, &spec)
}

async fn state(pod: &Value) -> Value {
    let url = format!("http://{}:8080/v1/status", pod["status"]["podIP"].as_str().unwrap());
    let answer = system_tests::http::client().get(url).bearer_auth(TOKEN).send().await.unwrap();
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_as_a_pod_and_keeps_its_volume_when_it_moves() {
    let rig = Rig::start().await;
    let cluster = cluster::shared().await;
    let namespace = cluster.restricted_namespace("session").await;
    let config = ProcessNodeConfig::default().image("warest/session-pod", program("session-pod"));
    let node = node(cluster, &namespace, config).await;
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "64Mi"}}}});
    cluster.kubectl_in(&["-n", &namespace, "apply", "-f", "-"], &claim.to_string()).await.ok();

    create(cluster, &namespace, &session(&namespace, &rig.ws_url())).await;
    let pod = reaches(cluster, &namespace, "shop", "ready", is_ready).await;
    let status = state(&pod).await;
    assert!(node.logs(&namespace, "shop").contains("listening"), "{}", node.logs(&namespace, "shop"));
    let qr = eventually("a QR code", || async {
        let url = format!("http://{}:8080/v1/qr", pod["status"]["podIP"].as_str().unwrap());
        let answer = system_tests::http::client().get(url).bearer_auth(TOKEN).send().await.ok()?;
        answer.json::<Value>().await.ok()?["qr"].as_str().map(str::to_owned)
    })
    .await;
    rig.phone().await.scan(&qr).await;
    eventually("the session to be open", || async { (state(&pod).await["state"] == "open").then_some(()) })
        .await;

    cluster.kubectl(&["-n", &namespace, "delete", "pod", "shop"]).await.ok();
    assert_eq!(node.processes(), [] as [u32; 0]);
    create(cluster, &namespace, &session(&namespace, &rig.ws_url())).await;
    let pod = reaches(cluster, &namespace, "shop", "ready", is_ready).await;
    eventually("the session to be open again", || async {
        (state(&pod).await["state"] == "open").then_some(())
    })
    .await;
    assert_ne!(status["state"], "open");
    let opens = node.opens();
    assert_eq!(opens.len(), 2, "{opens:?}");
    assert!(system_tests::cluster::overlaps(&opens).is_empty(), "{opens:?}");
    assert_eq!(refused_for_good(cluster, node.name()), [] as [String; 0], "a node may do all that it does");
}

/// What a node asked for and never got. The server learns of a pod's binding a moment after the node does: a refusal that
/// the next attempt overcomes is a kubelet's everyday life.
fn refused_for_good(cluster: &cluster::Cluster, node: &str) -> Vec<String> {
    let user = format!("system:node:{node}");
    let asked: Vec<_> = cluster.audit().into_iter().filter(|entry| entry.user == user).collect();
    let granted = |uri: &str, verb: &str| {
        asked.iter().any(|entry| entry.code != 403 && entry.uri == uri && entry.verb == verb)
    };
    let refused = asked.iter().filter(|entry| entry.code == 403);
    refused.filter(|it| !granted(&it.uri, &it.verb)).map(|it| format!("{} {}", it.verb, it.uri)).collect()
}
