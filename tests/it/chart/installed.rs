//! The chart on a real API server: taken as it is, installed, upgraded, uninstalled.
//!
//! Routes, monitors and alerts are checked against the definitions of their own projects (Gateway API, Prometheus operator), which
//! come from the Go module proxy by version and checksum. Network policies are checked as objects: nothing enforces them here.

use std::path::PathBuf;
use std::process::Command;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;
use system_tests::cluster::{Cluster, ClusterConfig};
use system_tests::wait::eventually;

use super::{chart, ci_values, template};

/// Go module with its version, its checksum, and the files in it that are wanted.
const DEFINITIONS: [(&str, &str, &[&str]); 2] = [
    (
        "sigs.k8s.io/gateway-api@v1.5.0",
        "h1:duoo14Ky/fJXpjpmyMISE2RTBGnfCg8zICfTYLTnBJA=",
        &["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
    ),
    (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        &[
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        ],
    ),
];

/// Files of a Go module, whose checksum must be this one.
fn module_files(module: &str, sum: &str, names: &[&str]) -> Vec<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .current_dir(std::env::temp_dir())
        .env("GOFLAGS", "-mod=mod")
        .output()
        .expect("go runs");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["Sum"], sum, "{module}: {said}");
    names.iter().map(|name| PathBuf::from(said["Dir"].as_str().unwrap()).join(name)).collect()
}

async fn cluster_with_definitions() -> Cluster {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    for (module, sum, names) in DEFINITIONS {
        for file in module_files(module, sum, names) {
            let file = file.to_string_lossy().into_owned();
            cluster.kubectl(&["apply", "--server-side", "-f", &file]).await.ok();
        }
    }
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.ok();
    cluster
}

#[tokio::test]
async fn the_api_server_takes_every_rendering_without_a_warning() {
    let cluster = cluster_with_definitions().await;
    let namespace =
        cluster.namespace_with("chart", &[("pod-security.kubernetes.io/warn", "restricted")]).await;
    for other in ["team-a", "team-b"] {
        cluster.kubectl(&["create", "namespace", other]).await.ok();
    }
    for values in ci_values() {
        let text = template(&namespace, &["--values", &values.to_string_lossy()]);
        if text.trim().is_empty() {
            assert!(values.ends_with("off-values.yaml"), "{values:?} renders nothing");
            continue;
        }
        let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        let output = cluster.kubectl_in(&apply, &text).await;
        assert_eq!(output.stderr, "", "{values:?}");
        let taken = output.ok().lines().filter(|line| line.ends_with("(server dry run)")).count();
        assert_eq!(taken, super::documents(&text).len(), "{values:?}");
    }
}

/// `helm …` for the release `warest` in a namespace.
async fn helm(cluster: &Cluster, verb: &str, namespace: &str, more: &[&str]) -> String {
    let chart = chart().to_string_lossy().into_owned();
    let mut arguments = vec![verb, "warest", "--namespace", namespace];
    if verb != "uninstall" {
        arguments.push(&chart);
    }
    arguments.extend(more);
    cluster.helm(&arguments).await.ok()
}

/// The release's pods by name, once all are there that its deployments want.
async fn pods(cluster: &Cluster, namespace: &str, count: usize) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    eventually("the deployments to have their pods", || async {
        let all = pods.list(&ListParams::default()).await.ok()?.items;
        (all.len() == count).then_some(all)
    })
    .await
}

const SESSION: &str = "
apiVersion: warest.io/v1alpha1
kind: WhatsAppSession
metadata: {name: toko}
spec: {}
";

#[tokio::test]
async fn installed_with_defaults_into_a_restricted_namespace() {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    // The harness brings the definition; here the chart does.
    cluster.kubectl(&["delete", "crd", "whatsappsessions.warest.io", "--ignore-not-found"]).await.ok();
    let namespace = cluster.restricted_namespace("warest").await;
    let said = helm(&cluster, "install", &namespace, &[]).await;
    assert!(said.contains("get secret warest-api-keys"), "{said}");
    let pods = pods(&cluster, &namespace, 2).await;
    let accounts: Vec<_> =
        pods.iter().map(|pod| pod.spec.as_ref().unwrap().service_account_name.clone().unwrap()).collect();
    assert!(accounts.contains(&"warest-operator".into()) && accounts.contains(&"warest-gateway".into()));

    people_have_their_rights(&cluster, &namespace).await;
    upgraded_and_uninstalled(&cluster, &namespace).await;
}

/// Who has the cluster's role `view` reads sessions; who has `edit` writes them; neither writes a status.
async fn people_have_their_rights(cluster: &Cluster, namespace: &str) {
    for role in ["view", "edit"] {
        let binding = ["create", "rolebinding", role, "--clusterrole", role, "--user", role, "-n", namespace];
        cluster.kubectl(&binding).await.ok();
    }
    for (who, verb, what, may) in [
        ("view", "list", "whatsappsessions.warest.io", "yes"),
        ("view", "create", "whatsappsessions.warest.io", "no"),
        ("edit", "create", "whatsappsessions.warest.io", "yes"),
        ("edit", "deletecollection", "whatsappsessions.warest.io", "yes"),
        ("edit", "patch", "whatsappsessions.warest.io/status", "no"),
        ("nobody", "get", "whatsappsessions.warest.io", "no"),
    ] {
        // The controller manager adds the rules to the cluster's roles in its own time.
        eventually(&format!("{who} to {verb} {what}: {may}"), || async {
            let (resource, sub) = what.split_once('/').unwrap_or((what, ""));
            let sub = format!("--subresource={sub}");
            let answer =
                cluster.kubectl(&["auth", "can-i", verb, resource, &sub, "--as", who, "-n", namespace]).await;
            (answer.stdout.trim() == may).then_some(())
        })
        .await;
    }
}

/// An upgrade keeps the pods that it does not concern; the definition and its sessions stay when the release goes, unless told otherwise.
async fn upgraded_and_uninstalled(cluster: &Cluster, namespace: &str) {
    cluster.kubectl_in(&["apply", "-n", namespace, "-f", "-"], SESSION).await.ok();
    let before = names(&pods(cluster, namespace, 2).await);
    helm(cluster, "upgrade", namespace, &["--set", "gateway.service.port=80", "--set", "crds.keep=true"])
        .await;
    assert_eq!(names(&pods(cluster, namespace, 2).await), before, "a change of the Service restarts nothing");

    helm(cluster, "uninstall", namespace, &["--wait"]).await;
    cluster.kubectl(&["get", "whatsappsession", "toko", "-n", namespace]).await.ok();
    helm(cluster, "install", namespace, &["--set", "crds.keep=false"]).await;
    cluster.kubectl(&["get", "whatsappsession", "toko", "-n", namespace]).await.ok();
    helm(cluster, "uninstall", namespace, &["--wait"]).await;
    let gone = cluster.kubectl(&["get", "crd", "whatsappsessions.warest.io"]).await.error();
    assert!(gone.contains("NotFound"), "{gone}");
}

fn names(pods: &[Pod]) -> Vec<String> {
    let mut names: Vec<_> = pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect();
    names.sort();
    names
}
