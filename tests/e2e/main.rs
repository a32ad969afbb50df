//! Our images on a real kubelet, from `helm install` to `helm uninstall`: one scenario, step after step.
//!
//! Comes in: `KUBECONFIG`, kubectl and helm on the `PATH`, a node that has our images (`make e2e`; `.github/workflows/e2e.yml` for kind,
//! with its node's container in `WAREST_E2E_NODE_CONTAINER`). Goes out: a line per step, and at the end `N passed, N failed`.
//! With the arguments `memory [SESSIONS]` it is a part of `make bench` instead: the chart with so many sessions, and what each takes.
//! It must not reach into the programs: what it knows comes from kubectl, the gateway's Service, the phones and the kubelet.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test with a harness of its own"
)]

mod disturbed;
mod installed;
mod kubernetes;
mod linked;
mod memory;
mod pairings;
mod uninstalled;
mod upgraded;
mod world;
mod writers;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use world::World;

type Step = for<'a> fn(&'a mut World) -> LocalBoxFuture<'a, ()>;

/// Each stands on those before it.
const STEPS: [(&str, Step); 16] = [
    ("the README's lines install the chart with its defaults", |world| installed::chart(world).boxed_local()),
    ("the README's lines run a simulated WhatsApp", |world| installed::simulator(world).boxed_local()),
    ("helm test", |world| installed::tested(world).boxed_local()),
    ("the README's lines make a session", |world| installed::session(world).boxed_local()),
    ("the README's lines link it by the gateway's QR code", |world| installed::linked(world).boxed_local()),
    ("a text and its answer", |world| linked::talks(world).boxed_local()),
    ("a session made by REST is linked by a QR code over Socket.IO, and deleted", |world| {
        linked::scanned(world).boxed_local()
    }),
    ("a deleted pod comes back without a QR code", |world| disturbed::pod_deleted(world).boxed_local()),
    ("a killed container comes back without a QR code", |world| {
        disturbed::container_killed(world).boxed_local()
    }),
    ("the node is drained in time, and uncordoned", |world| disturbed::node_drained(world).boxed_local()),
    ("helm upgrade brings another image", |world| upgraded::image(world).boxed_local()),
    ("a suspended session ends and comes back", |world| upgraded::suspended(world).boxed_local()),
    ("memory of a session's pod", |world| memory::one(world).boxed_local()),
    ("helm uninstall keeps what the docs say, and the session goes on", |world| {
        uninstalled::kept(world).boxed_local()
    }),
    ("a new install takes it up", |world| uninstalled::taken_up(world).boxed_local()),
    ("never two writers of a volume, never a second pairing", |world| {
        uninstalled::judged(world).boxed_local()
    }),
];

/// Sessions of `memory` when no number is given.
const SESSIONS: usize = 10;

#[tokio::main]
async fn main() -> ExitCode {
    let mut world = World::new();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        None => scenario(&mut world).await,
        Some("memory") => {
            let sessions = arguments.get(1).map(|count| count.parse().expect("a number of sessions"));
            installed::chart(&mut world).await;
            installed::simulator(&mut world).await;
            memory::many(&mut world, sessions.unwrap_or(SESSIONS)).await;
            ExitCode::SUCCESS
        }
        Some(other) => panic!("there is no {other}: `memory [SESSIONS]`, or nothing for the scenario"),
    }
}

async fn scenario(world: &mut World) -> ExitCode {
    let mut passed = 0;
    for (name, step) in STEPS {
        let begun = Instant::now();
        // What a step leaves half done is looked at by nobody but the report.
        let ended = AssertUnwindSafe(step(world)).catch_unwind().await;
        let verdict = if ended.is_ok() { "ok" } else { "FAILED" };
        println!("e2e: {verdict:6} {:5.1} s  {name}", begun.elapsed().as_secs_f32());
        if ended.is_err() {
            world.kubernetes.report().await;
            break;
        }
        passed += 1;
    }
    let failed = usize::from(passed < STEPS.len());
    let untried = STEPS.len() - passed - failed;
    if untried > 0 {
        println!("e2e: {untried} steps stand on the one that failed, and were not tried");
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
