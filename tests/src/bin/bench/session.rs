//! One session: memory, start-up and throughput, beside a Baileys and a whatsmeow process and the bare engine.
//!
//! Comes in: which parts are wanted. Goes out: a table on standard output. It must not assert a time or a size.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use session_api::{SessionState, routes};
use system_tests::external::judge::{Judge, Kind};
use system_tests::memory::Memory;
use system_tests::pod::Pod;
use system_tests::process::program;
use system_tests::rig::{Phone, Rig};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// What can be asked for alone.
pub(crate) const PARTS: [&str; 3] = ["memory", "start", "throughput"];

const LIMIT: Duration = Duration::from_mins(15);
const STARTS: usize = 20;
const TEXTS: u32 = 300;
const CALLERS: usize = 8;
const ROUNDS: usize = 9;

/// The bare engine as a process (`tests/engine`).
struct Engine {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _folder: tempfile::TempDir,
}

impl Engine {
    async fn pair(rig: &Rig) -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut command = Command::new(program("bare-engine"));
        command.arg(rig.ws_url()).arg(folder.path().join("whatsapp.db"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the bare engine starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut engine = Self { _child: child, input, output, _folder: folder };
        let qr = engine.line("qr ").await;
        rig.phone().await.scan(&qr).await;
        engine.line("open").await;
        engine
    }

    async fn line(&mut self, prefix: &str) -> String {
        loop {
            let line = self.output.next_line().await.expect("it speaks").expect("it goes on");
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }

    /// Texts per second, one after another, each to its server ack.
    async fn rate(&mut self, to: &Phone) -> f64 {
        let command = format!("send {} {TEXTS}\n", to.number);
        self.input.write_all(command.as_bytes()).await.expect("it listens");
        let took = self.line("sent ").await;
        let milliseconds: f64 = took.split(' ').nth(1).and_then(|ms| ms.parse().ok()).expect("a time");
        f64::from(TEXTS) * 1_000.0 / milliseconds
    }
}

/// Texts per second through a session's HTTP, with so many callers at once, each to its server ack.
async fn pod_rate(pod: &Pod, to: &Phone, callers: usize) -> f64 {
    let start = Instant::now();
    let sends = (0..TEXTS).map(|number| async move {
        let answer = pod.send_text(&to.number, &format!("bench {number}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    });
    futures_util::stream::iter(sends).buffer_unordered(callers).collect::<Vec<()>>().await;
    f64::from(TEXTS) / start.elapsed().as_secs_f64()
}

fn row(name: &str, memory: Option<Memory>) {
    let Memory { rss, anonymous, .. } = memory.expect("the process lives");
    let mib = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1_024.0;
    println!("  {name:<14} {:>7.1} MiB RSS {:>7.1} MiB anonymous", mib(rss), mib(anonymous));
}

async fn memory(rig: &Rig) {
    println!("One connected idle session (process of its own, same simulator):");
    let (mut pod, _) = rig.paired_pod().await;
    pod.restart().await;
    pod.reaches(SessionState::Open).await;
    row("session-pod", Memory::settled(pod.process().id().expect("it runs")).await);
    for (name, kind) in [("whatsmeow", Kind::Whatsmeow), ("Baileys 7", Kind::Baileys7)] {
        let mut judge = Judge::start(kind, rig).await;
        judge.pair(&rig.phone().await).await;
        row(name, Memory::settled(judge.client().id().expect("it runs")).await);
    }
}

async fn start_up(rig: &Rig) {
    let (mut pod, _) = rig.paired_pod().await;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        pod.process().terminate();
        pod.process().ended().await;
        let start = Instant::now();
        pod.start_again().await;
        pod.reaches(SessionState::Open).await;
        times.push(start.elapsed());
    }
    times.sort();
    let (median, slowest) = (times[STARTS / 2], times[STARTS - 1]);
    println!(
        "Start to connected with stored credentials ({STARTS} starts): median {median:.0?}, slowest {slowest:.0?}"
    );
}

async fn throughput(rig: &Rig) {
    let mut engine = Engine::pair(rig).await;
    let (pod, _) = rig.paired_pod().await;
    let friend = rig.phone().await;
    // Sessions with the friend's devices are set up before anything is measured.
    engine.rate(&friend).await;
    pod_rate(&pod, &friend, CALLERS).await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push([
            engine.rate(&friend).await,
            pod_rate(&pod, &friend, 1).await,
            pod_rate(&pod, &friend, CALLERS).await,
            request_rate(&pod).await,
        ]);
    }
    let rate = |place: usize| median(rounds.iter().map(|round| round[place]));
    // Each round against its own bare engine: what else the machine does changes from round to round.
    let share = |place: usize| median(rounds.iter().map(|round| round[place] / round[0]));
    println!("Texts per second to the server's ack (medians of {ROUNDS} rounds of {TEXTS} texts):");
    println!("  bare engine, one after another     {:>7.0}", rate(0));
    println!("  session-pod, one caller            {:>7.0}  ({:.2} of the bare engine)", rate(1), share(1));
    println!(
        "  session-pod, {CALLERS} callers at once     {:>7.0}  ({:.2} of the bare engine)",
        rate(2),
        share(2)
    );
    println!("  requests that send nothing, one caller {:>3.0}", rate(3));
}

/// Requests per second that ask for nothing but an answer, one after another: what HTTP alone costs one caller.
async fn request_rate(pod: &Pod) -> f64 {
    let start = Instant::now();
    for _ in 0..TEXTS {
        assert_eq!(pod.get(routes::LIVEZ).await.status, 200);
    }
    f64::from(TEXTS) / start.elapsed().as_secs_f64()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures the parts that are wanted.
///
/// # Panics
/// When something does not work, or takes longer than a quarter of an hour.
pub(crate) async fn measure(wanted: impl Fn(&str) -> bool) {
    let rig = Rig::start_program().await;
    let all = async {
        if wanted("memory") {
            memory(&rig).await;
        }
        if wanted("start") {
            start_up(&rig).await;
        }
        if wanted("throughput") {
            throughput(&rig).await;
        }
    };
    tokio::time::timeout(LIMIT, all).await.expect("the bench ends within 15 minutes");
}
