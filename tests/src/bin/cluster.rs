//! `make cluster`: a Kubernetes control plane on this machine with one node that runs our own programs, until Ctrl-C.
//!
//! Comes in: nothing (`--without-simulator`: sessions talk to whatever their image is told). Goes out: the path of a
//! kubeconfig on the first line of standard output, then how to go on. Everything is gone when it ends.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for people: it prints what to do next, and stops loudly where it cannot go on"
)]

use std::net::{Ipv4Addr, SocketAddr};

use simulator::{Config, Simulator};
use system_tests::cluster::{Cluster, ClusterConfig, ProcessNode, ProcessNodeConfig};
use tokio::signal::unix::{SignalKind, signal};

/// Images that stand for our programs; any registry, any tag.
const IMAGES: [(&str, &str); 4] = [
    ("warest/session-pod", "session-pod"),
    ("warest/operator", "operator"),
    ("warest/api-gateway", "api-gateway"),
    ("warest/simulator", "simulator"),
];

/// Where the simulator's control page is, as with `make run`.
const CONTROL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4001);

#[tokio::main]
async fn main() {
    let mut stops = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(|kind| signal(kind).expect("a signal handler"));
    let simulator = if std::env::args().any(|argument| argument == "--without-simulator") {
        None
    } else {
        Some(simulator().await)
    };
    let cluster = Cluster::start(ClusterConfig { audit: false, ..ClusterConfig::default() }).await;
    let node = ProcessNode::start(&cluster, "node", node(simulator.as_ref())).await;
    tell(&cluster, simulator.as_ref());
    let [interrupt, terminate, hangup] = &mut stops;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    println!("stopping");
    drop(node);
    drop(cluster);
}

async fn simulator() -> Simulator {
    let config = Config { control_listen: CONTROL, ..Config::default() };
    match Simulator::start(config).await {
        Ok(simulator) => simulator,
        // Port 4001 is somebody else's, perhaps `make run`'s.
        Err(_) => Simulator::start(Config::default()).await.expect("the simulator starts"),
    }
}

/// Programs that listen on all addresses by default are told their pod's own: there are no network namespaces.
fn node(simulator: Option<&Simulator>) -> ProcessNodeConfig {
    let own = std::env::current_exe().expect("it has a path");
    let images = IMAGES.iter().fold(ProcessNodeConfig::default(), |config, (image, name)| {
        config.image(image, own.with_file_name(name))
    });
    let config = images.env("WAREST_LISTEN", "$(POD_IP):8080").env("HOST", "$(POD_IP)");
    match simulator {
        Some(simulator) => config.env("WAREST_WHATSAPP_URL", &simulator.ws_url()),
        None => config,
    }
}

fn tell(cluster: &Cluster, simulator: Option<&Simulator>) {
    let kubeconfig = cluster.kubeconfig();
    let tools = system_tests::cluster::program("kubectl");
    let tools = tools.parent().expect("a folder");
    println!("{}", kubeconfig.display());
    println!();
    println!("A cluster runs ({:.1} s). In another terminal:", cluster.started_in().as_secs_f32());
    println!("  export KUBECONFIG={}", kubeconfig.display());
    println!("  export PATH={}:$PATH", tools.display());
    println!("  kubectl get nodes");
    if let Some(simulator) = simulator {
        println!("Phones to scan with: {}", simulator.control_url());
    }
    println!("Pods have addresses of this machine (kubectl get pods -o wide). Ctrl-C ends it all.");
}
