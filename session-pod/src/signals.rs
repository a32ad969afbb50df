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
fn end_at_the_latest(deadline: Duration, exit: impl FnOnce(i32) + Send + 'static) {
    let watchdog = std::thread::Builder::new().name("deadline".to_owned()).stack_size(64 * 1024);
    let started = watchdog.spawn(move || {
        let end = Instant::now() + deadline;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        exit(EXIT_STUCK);
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
    end_at_the_latest(DEADLINE, |code| std::process::exit(code));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    std::process::exit(EXIT_AT_ONCE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_that_hangs_ends_at_the_deadline() {
        let (exit, exited) = std::sync::mpsc::channel();
        let started = Instant::now();
        end_at_the_latest(Duration::from_millis(50), move |code| exit.send(code).unwrap());
        assert_eq!(exited.recv_timeout(Duration::from_secs(20)), Ok(EXIT_STUCK));
        assert!(started.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn a_bug_in_any_thread_ends_the_process_and_its_message_is_not_told() {
        const BREAK: &str = "WAREST_TEST_BREAK";
        if std::env::var_os(BREAK).is_some() {
            std::panic::set_hook(Box::new(end_on_panic));
            std::thread::spawn(|| panic!("628123456789")).join().unwrap();
        }
        let name = "signals::tests::a_bug_in_any_thread_ends_the_process_and_its_message_is_not_told";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", name, "--nocapture"]).env(BREAK, "").output().unwrap();
        assert_eq!(output.status.code(), Some(EXIT_STUCK));
        let told = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&told).contains("628123456789"));
    }
}
