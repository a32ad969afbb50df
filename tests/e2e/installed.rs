//! Steps: the README's quick start, typed as it stands, and `helm test`.

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::Value;
use system_tests::cluster::clients::client_from;
use system_tests::readme::shell_blocks;
use system_tests::witness::Witness;

use crate::kubernetes::NAMESPACE;
use crate::pairings::Pairings;
use crate::world::World;
use crate::writers::Writers;

/// Label of the sessions' pods.
const SESSIONS: &str = "app.kubernetes.io/name=whatsapp-session";

/// The README's quick start, in its order.
#[derive(Debug)]
struct QuickStart {
    /// The chart, with its defaults.
    install: String,
    /// What is left out by who speaks to WhatsApp itself.
    simulator: String,
    session: String,
    /// All that is typed until the session is linked: in one terminal, because lines use what those before them left there.
    link: String,
}

fn quick_start() -> QuickStart {
    let [install, simulator, session, gateway, scan, ready] = shell_blocks("### Quick start");
    QuickStart { install, simulator, session, link: [gateway, scan, ready].concat() }
}

fn client() -> Client {
    client_from(std::env::var_os("KUBECONFIG").expect("KUBECONFIG").as_ref())
}

pub(crate) async fn chart(world: &mut World) {
    let pods: Api<Pod> = Api::namespaced(client(), NAMESPACE);
    world.pods = Some(Witness::over(pods, watcher::Config::default().labels(SESSIONS)).await);
    if world.kubernetes.sees_processes() {
        world.writers = Some(Writers::watch());
    }
    world.kubernetes.type_in(&quick_start().install).await;
}

pub(crate) async fn simulator(world: &mut World) {
    world.kubernetes.type_in(&quick_start().simulator).await;
    world.call_phones().await;
}

pub(crate) async fn session(world: &mut World) {
    let typed = world.kubernetes.type_in(&quick_start().session).await;
    assert!(typed.contains("whatsappsession.warest.io/toko created"), "{typed}");
    world.pairings = Some(Pairings::watch(client()).await);
}

pub(crate) async fn linked(world: &mut World) {
    let typed = world.kubernetes.type_in(&quick_start().link).await;
    assert!(typed.contains("whatsappsession.warest.io/toko condition met"), "{typed}");
    let scanned = typed.lines().find_map(scanned).unwrap_or_else(|| panic!("no phone scanned: {typed}"));
    world.linked(&scanned);
    world.opened_once_more().await;
}

/// What a phone says that has scanned. A line may begin with what a program in the background printed.
fn scanned(line: &str) -> Option<Value> {
    let said: Value = serde_json::from_str(&line[line.find('{')?..=line.rfind('}')?]).ok()?;
    said["deviceId"].is_u64().then_some(said)
}

pub(crate) async fn tested(world: &mut World) {
    world.kubernetes.shell(&format!("helm -n {NAMESPACE} test warest --timeout 2m"), "").await.ok();
}
