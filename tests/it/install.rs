//! The README's section "A cluster on this machine", typed as it stands: the chart's defaults, real operator and gateway as pods.

use std::process::Stdio;

use system_tests::cluster::{Cluster, ClusterConfig, ProcessNode, ProcessNodeConfig};
use system_tests::process::program;
use system_tests::readme::shell_blocks;
use system_tests::rig::Rig;
use system_tests::wait::eventually;
use tokio::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What the README says of `make cluster`: its quick start without the simulated WhatsApp, and by the pod's own address.
fn script() -> String {
    let [install, _, session, _, _, ready] = shell_blocks("### Quick start");
    let [link] = shell_blocks("### A cluster on this machine");
    [install, session, link, ready].concat()
}

/// The commands of the README's table "Day to day", in its order.
fn day_to_day() -> Vec<String> {
    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).expect("the README");
    let (_, table) = readme.split_once("\n### Day to day\n").expect("the section");
    let commands = table.lines().filter_map(|line| line.strip_prefix("| `kubectl ")?.split_once('`'));
    commands.map(|(command, _)| format!("kubectl {command}\n")).collect()
}

/// Runs a script with the cluster's tools as a person would, and gives what it printed.
async fn type_in(cluster: &Cluster, script: &str) -> String {
    let tools = system_tests::cluster::program("kubectl");
    let script = format!("PATH={}:$PATH\n{script}", tools.parent().unwrap().display());
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &script])
        .current_dir(ROOT)
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", cluster.folder())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_mins(3), output).await;
    let output = output.expect("it ends").expect("bash starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_lines_work_as_written() {
    let rig = Rig::start().await;
    let cluster = Cluster::start(ClusterConfig::default()).await;
    let config = ProcessNodeConfig::default()
        .image("warest/operator", program("operator"))
        .image("warest/api-gateway", program("api-gateway"))
        .image("warest/session-pod", program("session-pod"))
        // As `make cluster` has it: no network namespaces, and a simulated WhatsApp.
        .env("WAREST_LISTEN", "$(POD_IP):8080")
        .env("HOST", "$(POD_IP)")
        .env("WAREST_WHATSAPP_URL", &rig.ws_url());
    let node = ProcessNode::start(&cluster, "node", config).await;

    let typed = script().replace("http://localhost:4001", &rig.control_url());
    let printed = type_in(&cluster, &typed).await;
    assert!(printed.contains("whatsappsession.warest.io/toko condition met"), "{printed}");

    let mut commands = day_to_day();
    let delete = commands.pop().expect("commands");
    let suspend = commands.last().expect("more than one");
    assert!(suspend.contains("Suspended") && delete.contains(" delete was "), "{commands:?} {delete}");
    type_in(&cluster, &commands.concat()).await;

    let suspended = r#"kubectl -n warest wait --for=condition=Suspended was/toko --timeout=60s
helm -n warest upgrade warest charts/warest --set gateway.sessionsMax=7
kubectl -n warest rollout status deployment/warest-gateway --timeout=60s
kubectl -n warest patch was toko --type merge -p '{"spec":{"operatingMode":"Running"}}'
kubectl -n warest wait --for=condition=Ready was/toko --timeout=60s
kubectl -n warest get pod toko -o jsonpath='{.metadata.uid}' > "$HOME/before"
helm -n warest upgrade warest charts/warest --set operator.concurrency=7
kubectl -n warest rollout status deployment/warest-operator --timeout=60s
kubectl -n warest wait --for=condition=Ready was/toko --timeout=60s
[ "$(kubectl -n warest get pod toko -o jsonpath='{.metadata.uid}')" = "$(cat "$HOME/before")" ]
helm -n warest uninstall warest --wait
kubectl -n warest get was,pod,pvc -o name"#;
    let left = type_in(&cluster, suspended).await;
    for kept in ["whatsappsession.warest.io/toko", "pod/toko", "persistentvolumeclaim/toko-session"] {
        assert!(left.contains(kept), "uninstalling keeps the sessions, and they go on: {kept} in {left}");
    }
    eventually("operator and gateway to end, and the session alone to go on", || async {
        (node.processes().len() == 1).then_some(())
    })
    .await;

    type_in(&cluster, &format!("{delete}kubectl -n warest get pvc toko-session\n")).await;
}
