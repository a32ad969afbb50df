//! A process node runs pods as a kubelet would: what they see, how they start, fail, restart and end.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_sees_its_environment_its_files_its_volume_and_nothing_else() {
    let (cluster, namespace, node) = alone("pod").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "secret"}});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Mi"}}}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [secret, claim]});
    cluster.kubectl_in(&["-n", &namespace, "apply", "-f", "-"], &list.to_string()).await.ok();
    let script = r#"
        echo "user $(id -u):$(id -g) $(id -G)"; echo "token $TOKEN at $WHERE"; echo "file $(cat /etc/s/key)"
        touch /data/kept && echo "kept $(ls /data)"; touch /nope 2>/dev/null || echo "root is read-only"
        touch /etc/s/nope 2>/dev/null || echo "secret is read-only"; ls /work /root /home 2>/dev/null || echo "no host"
        ls /var/run/secrets/kubernetes.io/serviceaccount; exit 0"#;
    let mut container = shell(script);
    container["env"] = json!([
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"name": "WHERE", "value": "$(IP):8080"},
    ]);
    container["securityContext"] = json!({"readOnlyRootFilesystem": true, "runAsNonRoot": true});
    container["volumeMounts"] =
        json!([{"name": "s", "mountPath": "/etc/s"}, {"name": "d", "mountPath": "/data", "subPath": "part"}]);
    let volumes = json!([{"name": "s", "secret": {"secretName": "s"}}, {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
    let spec = json!({"restartPolicy": "Never", "volumes": volumes, "securityContext": {"fsGroup": 7}});
    create(cluster, &namespace, &pod(&namespace, "p", &container, &spec)).await;

    let pod = reaches(cluster, &namespace, "p", "over", |pod| pod["status"]["phase"] == "Succeeded").await;
    let log = node.logs(&namespace, "p");
    let address = pod["status"]["podIP"].as_str().unwrap();
    for line in [
        "user 65532:65532 65532 7",
        "file secret",
        "kept kept",
        "root is read-only",
        "secret is read-only",
        "no host",
        "ca.crt",
    ] {
        assert!(log.contains(line), "{line:?} is missing:\n{log}");
    }
    assert!(log.contains(&format!("token secret at {address}:8080")), "{log}");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"], "Completed");
    let opens = node.opens();
    assert_eq!((opens.len(), opens[0].pod.as_str()), (1, pod["metadata"]["uid"].as_str().unwrap()));
    assert!(opens[0].ended.is_some() && node.trouble().is_empty(), "{opens:?} {}", node.trouble());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_cluster_configuration_reaches_the_api_server() {
    let (cluster, namespace, node) = alone("inside").await;
    let script = r#"at=/var/run/secrets/kubernetes.io/serviceaccount
        curl -sS --noproxy '*' --cacert $at/ca.crt -H "Authorization: Bearer $(cat $at/token)" \
        "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/apis/authentication.k8s.io/v1/selfsubjectreviews" \
        -H 'Content-Type: application/json' -d '{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}'"#;
    create(cluster, &namespace, &pod(&namespace, "p", &shell(script), &json!({"restartPolicy": "Never"})))
        .await;
    reaches(cluster, &namespace, "p", "over", |pod| pod["status"]["phase"] == "Succeeded").await;
    let log = node.logs(&namespace, "p");
    assert!(log.contains(&format!("system:serviceaccount:{namespace}:default")), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probed_server_is_ready_when_it_answers_and_restarts_when_it_does_not() {
    let (cluster, namespace, node) = alone("probes").await;
    let script = r"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if self.path == '/live' and os.path.exists('/state/sick') else 200); self.end_headers()
    def do_POST(self):
        open('/state/sick', 'w').close(); self.send_response(200); self.end_headers()
if os.path.exists('/state/sick'): os.remove('/state/sick')
http.server.HTTPServer((os.environ['POD_IP'], 8080), Handler).serve_forever()";
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 1, "failureThreshold": 1});
    let container = json!({
        "image": "warest/python", "args": ["-c", script], "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "startupProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30},
        "readinessProbe": probe("/ready"), "livenessProbe": probe("/live"),
        "volumeMounts": [{"name": "state", "mountPath": "/state"}],
    });
    let spec = json!({"terminationGracePeriodSeconds": 1, "volumes": [{"name": "state", "emptyDir": {}}]});
    create(cluster, &namespace, &pod(&namespace, "p", &container, &spec)).await;
    let pod = reaches(cluster, &namespace, "p", "ready", is_ready).await;
    let url = format!("http://{}:8080/", pod["status"]["podIP"].as_str().unwrap());
    system_tests::http::client().post(url).send().await.unwrap();
    let restarted = |pod: &Value| is_ready(pod) && pod["status"]["containerStatuses"][0]["restartCount"] == 1;
    let pod = reaches(cluster, &namespace, "p", "ready again", restarted).await;
    assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 143);
    assert_eq!(node.processes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_says_why_and_starts_when_it_can() {
    let (cluster, namespace, node) = alone("stuck").await;
    let waiting = |reason: &'static str| {
        move |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    };
    let image = json!({"image": "warest/none:1", "args": ["-c", "sleep 1000"]});
    create(cluster, &namespace, &pod(&namespace, "image", &image, &json!({}))).await;
    let mut config = shell("sleep 1000");
    config["env"] = json!([{"name": "T", "valueFrom": {"secretKeyRef": {"name": "missing", "key": "k"}}}]);
    create(cluster, &namespace, &pod(&namespace, "config", &config, &json!({}))).await;
    create(cluster, &namespace, &pod(&namespace, "crash", &shell("exit 75"), &json!({}))).await;

    reaches(cluster, &namespace, "image", "without image", waiting("ImagePullBackOff")).await;
    let pod =
        reaches(cluster, &namespace, "config", "without secret", waiting("CreateContainerConfigError")).await;
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"],
        "secret \"missing\" not found"
    );
    let pod = reaches(cluster, &namespace, "crash", "crashing", waiting("CrashLoopBackOff")).await;
    assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 75);

    node.set_program("warest/none", "/bin/sh");
    cluster
        .kubectl(&["-n", &namespace, "create", "secret", "generic", "missing", "--from-literal=k=v"])
        .await
        .ok();
    reaches(cluster, &namespace, "image", "ready", is_ready).await;
    reaches(cluster, &namespace, "config", "ready", is_ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_lets_a_pod_end_in_peace_and_then_makes_it() {
    let (cluster, namespace, node) = alone("end").await;
    let polite = shell("trap 'echo thanks; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    create(cluster, &namespace, &pod(&namespace, "polite", &polite, &json!({}))).await;
    let deaf = shell("trap '' TERM; echo up; while :; do sleep 0.05; done");
    create(
        cluster,
        &namespace,
        &pod(&namespace, "deaf", &deaf, &json!({"terminationGracePeriodSeconds": 1})),
    )
    .await;
    for name in ["polite", "deaf"] {
        reaches(cluster, &namespace, name, "ready", is_ready).await;
        eventually("its first line", || async { node.logs(&namespace, name).contains("up").then_some(()) })
            .await;
    }
    cluster.kubectl(&["-n", &namespace, "delete", "pod", "polite", "deaf", "--wait=false"]).await.ok();
    vanishes(cluster, &namespace, "polite").await;
    vanishes(cluster, &namespace, "deaf").await;
    assert!(node.logs(&namespace, "polite").contains("thanks"));
    assert_eq!(node.processes(), [] as [u32; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reads_what_a_pod_prints() {
    let (cluster, namespace, node) = alone("logs").await;
    let script =
        "echo one; echo two; while [ ! -e /state/go ]; do sleep 0.05; done; rm /state/go; echo three; exit 3";
    let mut container = shell(script);
    container["volumeMounts"] = json!([{"name": "state", "mountPath": "/state"}]);
    let spec = json!({"volumes": [{"name": "state", "emptyDir": {}}]});
    let pod = pod(&namespace, "p", &container, &spec);
    create(cluster, &namespace, &pod).await;
    let pod = reaches(cluster, &namespace, "p", "ready", is_ready).await;
    let logs = |more: &'static [&'static str]| {
        let arguments = [&["-n", &namespace, "logs", "p"], more].concat();
        async move { cluster.kubectl(&arguments).await }
    };
    eventually("two lines", || async { (logs(&[]).await.ok() == "one\ntwo\n").then_some(()) }).await;
    assert_eq!(logs(&["--tail=1"]).await.ok(), "two\n");
    logs(&["--previous"]).await.error();
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let go = cluster.folder().join("nodes").join(node.name()).join("pods").join(uid).join("volumes/state/go");
    let begun = eventually("kubectl to follow", || async {
        let mut all = cluster.audit().into_iter();
        all.find(|it| {
            it.namespace == namespace
                && it.subresource == "log"
                && it.opened
                && it.uri.contains("follow=true")
        })
    });
    let (followed, ()) = tokio::join!(logs(&["--follow"]), async {
        begun.await;
        std::fs::write(go, "").unwrap();
    });
    assert_eq!(followed.ok(), "one\ntwo\nthree\n");
    reaches(cluster, &namespace, "p", "restarted", |pod| {
        pod["status"]["containerStatuses"][0]["restartCount"] == 1
    })
    .await;
    assert_eq!(logs(&["--previous"]).await.ok(), "one\ntwo\nthree\n");
    assert!(node.logs(&namespace, "p").starts_with("one\ntwo\nthree\none\n"));
}
