//! Nothing stays behind: no process, no folder, however a cluster ends.

use std::path::Path;
use std::process::Stdio;

use super::*;
use system_tests::process::program;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

fn alive(ids: &[u32]) -> usize {
    ids.iter().filter(|id| Path::new(&format!("/proc/{id}")).exists()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_cluster_and_its_node_are_gone_at_once() {
    let cluster = Cluster::start(ClusterConfig::default()).await;
    let namespace = cluster.namespace("drop").await;
    let node = node(&cluster, &namespace, ProcessNodeConfig::default()).await;
    create(&cluster, &namespace, &pod(&namespace, "p", &shell("sleep 1000 & sleep 1000"), &json!({}))).await;
    reaches(&cluster, &namespace, "p", "ready", is_ready).await;
    let (folder, mut processes) = (cluster.folder().to_owned(), cluster.processes());
    processes.extend(node.processes());
    assert_eq!(processes.len(), 5);
    drop(node);
    drop(cluster);
    assert_eq!(alive(&processes), 0);
    assert!(!folder.exists());
}

/// Processes that have this folder in their environment.
fn processes_of(folder: &str) -> Vec<u32> {
    let ids =
        std::fs::read_dir("/proc").unwrap().filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
    let marked = |id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(folder)
    };
    ids.filter(marked).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_test_process_takes_its_cluster_with_it() {
    let mut command = Command::new(program("cluster"));
    let mut child =
        command.arg("--without-simulator").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let kubeconfig = lines.next_line().await.unwrap().unwrap();
    let run = Path::new(&kubeconfig).parent().unwrap().parent().unwrap().to_owned();
    let processes = processes_of(run.to_str().unwrap());
    assert!(processes.len() >= 4, "{processes:?}");
    child.kill().await.unwrap();
    eventually("its processes to end", || async { (alive(&processes) == 0).then_some(()) }).await;
    eventually("its folder to go", || async { (!run.exists()).then_some(()) }).await;
}
