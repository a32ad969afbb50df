//! Steps: a simulated WhatsApp, the chart with its defaults, `helm test`.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::watcher;
use system_tests::cluster::clients::client_from;
use system_tests::witness::Witness;

use crate::kubernetes::{NAMESPACE, ROOT};
use crate::pairings::Pairings;
use crate::world::World;
use crate::writers::Writers;

/// Version of the workspace, the chart and the images.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Label of the sessions' pods.
const SESSIONS: &str = "app.kubernetes.io/name=whatsapp-session";

/// What differs from the chart's defaults: no real WhatsApp, and so the session program that trusts the simulated one.
pub(crate) fn simulated(tag: &str) -> String {
    format!(
        "--set session.image.tag={VERSION}-{tag} --set session.whatsappUrl=ws://simulator.simulator.svc.cluster.local:4002/ws/chat"
    )
}

pub(crate) async fn simulator(world: &mut World) {
    let manifest = include_str!("simulator.yaml").replace("$VERSION", VERSION);
    world.kubernetes.shell("kubectl apply -f -", &manifest).await.ok();
    let available = "kubectl -n simulator rollout status deployment/simulator --timeout=180s";
    world.kubernetes.shell(available, "").await.ok();
    world.call_phones().await;
}

/// The first shell block of the README's section, `helm install` with [`simulated`] behind it.
fn quick_start() -> String {
    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).expect("the README");
    let section = readme.split("## In a cluster").nth(1).expect("the README's section");
    let block =
        section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a shell block");
    let lines = block.lines().map(|line| {
        let typed = if line.starts_with("helm install ") {
            format!("{line} {}", simulated("simulator"))
        } else {
            line.to_owned()
        };
        typed + "\n"
    });
    let script: String = lines.collect();
    assert!(script.contains("helm install ") && script.contains("apply -f examples/session.yaml"), "{block}");
    script
}

pub(crate) async fn chart(world: &mut World) {
    let namespace = format!(
        "kubectl create namespace {NAMESPACE} && kubectl label namespace {NAMESPACE} pod-security.kubernetes.io/enforce=restricted"
    );
    world.kubernetes.shell(&namespace, "").await.ok();
    let kubeconfig = std::env::var_os("KUBECONFIG").expect("KUBECONFIG");
    let client = client_from(kubeconfig.as_ref());
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    world.pods = Some(Witness::over(pods, watcher::Config::default().labels(SESSIONS)).await);
    if world.kubernetes.sees_processes() {
        world.writers = Some(Writers::watch());
    }
    let typed = world.kubernetes.shell(&quick_start(), "").await.ok();
    assert!(typed.contains("whatsappsession.warest.io/toko created"), "{typed}");
    world.pairings = Some(Pairings::watch(client).await);
}

pub(crate) async fn tested(world: &mut World) {
    world.kubernetes.shell(&format!("helm -n {NAMESPACE} test warest --timeout 2m"), "").await.ok();
}
