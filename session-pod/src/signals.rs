//! What asks the process to stop: SIGTERM, SIGINT, or stdin that closes. A second signal ends it at once; so does a bug.

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// Exit code of a process whose stop hung, or that found a bug in itself.
const EXIT_STUCK: i32 = 1;
/// Exit code of a process that was told twice.
const EXIT_AT_ONCE: i32 = 130;

/// Longest time from the first signal to the end of the process: the drain, the client's own end, the open requests.
const DEADLINE: Duration = Duration::from_secs(25);

/// Starts to watch. The receiver hears once what it was.
///
/// # Errors
/// The system refuses a signal handler.
pub(crate) fn watch(stdin: bool) -> anyhow::Result<oneshot::Receiver<&'static str>> {
    let terminate = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let interrupt = signal(SignalKind::interrupt()).context("watch for SIGINT")?;
    let (closed, stdin_closed) = mpsc::channel(1);
    if stdin {
        // A read of stdin cannot be broken off, so it has a thread of its own that the process need not wait for.
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || wait_for_end(&closed))
            .context("start the thread that watches stdin")?;
    }
    let (first, heard) = oneshot::channel();
    tokio::spawn(listen(terminate, interrupt, stdin_closed, first));
    Ok(heard)
}

/// A bug ends the process, in every build: nothing may run on without the task that broke. The message may name a number.
pub(crate) fn end_on_panic(bug: &std::panic::PanicHookInfo<'_>) {
    tracing::error!(place = bug.location().map(ToString::to_string), "a bug ends this process");
    std::process::exit(EXIT_STUCK);
}

fn wait_for_end(closed: &mpsc::Sender<()>) {
    let mut ignored = [0; 256];
    let mut stdin = std::io::stdin().lock();
    loop {
        match stdin.read(&mut ignored) {
            Ok(0) => break,
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => break,
            Ok(_) | Err(_) => {}
        }
    }
    // Nobody listens any more when the process is ending already.
    let _ending = closed.blocking_send(());
}

/// Whatever hangs, the process ends. On a thread of its own: the runtime may be what hangs.
fn end_at_the_latest() {
    let watchdog = std::thread::Builder::new().name("deadline".to_owned()).stack_size(64 * 1024);
    let started = watchdog.spawn(|| {
        let end = Instant::now() + DEADLINE;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        std::process::exit(EXIT_STUCK);
    });
    if let Err(error) = started {
        tracing::warn!(%error, "nothing ends this process if its stop hangs");
    }
}

async fn listen(
    mut terminate: Signal,
    mut interrupt: Signal,
    mut stdin_closed: mpsc::Receiver<()>,
    first: oneshot::Sender<&'static str>,
) {
    let why = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        Some(()) = stdin_closed.recv() => "stdin closed",
    };
    let _running = first.send(why);
    end_at_the_latest();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    std::process::exit(EXIT_AT_ONCE);
}
