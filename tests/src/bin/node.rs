//! `make cluster NODE=1`, inside: a Kubernetes cluster with a real node, for one command.
//!
//! Comes in: namespaces of its own (`scripts/cluster --node` makes them), the name of a cgroup, archives of images, a command.
//! Goes out: the command's exit code. Whatever is left when this ends goes with the namespaces.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a program for people: it says what it does, and stops loudly where it cannot go on"
)]

use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use system_tests::cluster::container_node::{REACHABLE, archives, own_images, prepare};
use system_tests::cluster::{Cluster, ClusterConfig, ContainerNode, program};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a program that was called the wrong way. Source: sysexits(3).
const USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(cgroup), Some(images)) = (arguments.next(), arguments.next()) else {
        eprintln!(
            "usage: node CGROUP FOLDER-OF-IMAGES COMMAND [ARGUMENT…] (scripts/cluster --node starts it)"
        );
        return ExitCode::from(USAGE);
    };
    // From here on, children do not ignore what a shell in the background made this process ignore.
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    prepare(&cgroup);
    tokio::select! {
        code = run(&cgroup, Path::new(&images), arguments.collect()) => code,
        _ = interrupt.recv() => ExitCode::from(130),
    }
}

async fn run(cgroup: &str, images: &Path, command: Vec<String>) -> ExitCode {
    let config = ClusterConfig { audit: false, reachable: Some(REACHABLE), ..ClusterConfig::default() };
    let cluster = Cluster::start(config).await;
    let ours = archives(images);
    if ours.is_empty() {
        eprintln!("{} holds no images: our own programs cannot run here (make images).", images.display());
    }
    let all: Vec<PathBuf> = own_images().into_iter().chain(ours).collect();
    let node = ContainerNode::start(&cluster, cgroup, &all).await;
    let (first, second) = (cluster.started_in().as_secs_f32(), node.started_in().as_secs_f32());
    eprintln!(
        "A cluster runs (control plane {first:.1} s, node {second:.1} s). Logs: {}",
        node.folder().display()
    );
    let status = execute(&cluster, &command).await;
    drop(node);
    drop(cluster);
    code(status)
}

/// Runs the command (or a shell) with the cluster's tools at hand.
async fn execute(cluster: &Cluster, command: &[String]) -> ExitStatus {
    let tools = program("kubectl").parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let shell = ["bash".to_owned()];
    let command = if command.is_empty() { &shell } else { command };
    Command::new(&command[0])
        .args(&command[1..])
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("PATH", format!("{}:{}", tools.display(), path.display()))
        .status()
        .await
        .expect("the command starts")
}

/// As a shell says it: 128 + the signal's number.
fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(number).unwrap_or(1))
}
