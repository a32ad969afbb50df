//! Pods without an operator and a node: objects that say what the tests write, behind which real session programs answer.

use crds::token;
use serde_json::json;
use system_tests::pod::Pod;
use system_tests::stack::Stack;

use super::gateway::{apply, cluster_key, get};
use super::session;

/// A session's resource; gives its UID.
pub async fn made(stack: &Stack, name: &str) -> String {
    apply(stack.cluster(), stack.namespace(), &session(name)).await;
    let resource = get(stack.cluster(), stack.namespace(), &format!("whatsappsession/{name}")).await;
    resource["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// The token of a session's pod.
pub async fn token(stack: &Stack, uid: &str) -> String {
    token::derive(&cluster_key(stack.cluster(), stack.namespace()).await, uid)
}

/// A real session program with the identity of this session.
pub async fn program(stack: &Stack, name: &str, uid: &str) -> Pod {
    program_at(stack, name, uid, "127.0.0.1:0").await
}

/// [`program`], at this address.
pub async fn program_at(stack: &Stack, name: &str, uid: &str, address: &str) -> Pod {
    let token = token(stack, uid).await;
    let identity = [("WAREST_SESSION_ID", name), ("WAREST_SESSION_UID", uid), ("WAREST_TOKEN", &token)];
    let environment = [&identity[..], &[("WAREST_LISTEN", address)]].concat();
    Pod::start_with(&stack.rig().ws_url(), &environment).await
}

/// A pod object that the session of this name and UID controls, and that says that it runs at `address`.
pub async fn object(stack: &Stack, name: &str, (session, uid): (&str, &str), address: &str) {
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let (ip, port) = address.rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let restricted = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let owner = json!({"apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession", "name": session, "uid": uid, "controller": true});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "whatsapp-session"}, "ownerReferences": [owner]},
        "spec": {
            // Nobody binds it: what it says of itself is what the test says.
            "schedulerName": "nobody", "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "session", "image": "x", "ports": [{"name": "http", "containerPort": port}], "securityContext": restricted}],
        },
    });
    apply(cluster, namespace, &pod).await;
    let state = json!({"running": {"startedAt": "2026-11-22T16:50:00Z"}});
    let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "containerStatuses": [
        {"name": "session", "image": "x", "imageID": "x", "ready": false, "restartCount": 0, "state": state}]}});
    let target = format!("pod/{name}");
    let patch = [
        "-n",
        namespace,
        "patch",
        &target,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status.to_string(),
    ];
    cluster.kubectl(&patch).await.ok();
}

/// `host:port` of a program.
pub fn address(pod: &Pod) -> String {
    pod.url().trim_start_matches("http://").to_owned()
}

/// A session whose pod runs; gives its program and its UID.
pub async fn running(stack: &Stack, name: &str) -> (Pod, String) {
    let uid = made(stack, name).await;
    let program = program(stack, name, &uid).await;
    object(stack, name, (name, &uid), &address(&program)).await;
    (program, uid)
}
