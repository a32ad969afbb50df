//! Clients that we did not write, as separate processes that speak one line protocol (`tests/clients/README.md`).
//!
//! Comes in: JSON events, one per line of their stdout. Goes out: JSON commands, one per line of their stdin.
//! It must not sleep, link any of them, or leave one behind: dropping the handle kills the process.

pub mod browser;
pub mod judge;
pub mod socketio;

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use crate::wait::DEADLINE;

/// The sources of the clients; `scripts/setup test` puts their packages and programs beside them.
pub fn folder(client: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(client)
}

/// A client written for Node.js.
///
/// # Panics
/// When its packages were not installed.
pub fn node(client: &str) -> Command {
    let folder = folder(client);
    assert!(
        folder.join("node_modules").exists(),
        "{} has no packages: run scripts/setup test",
        folder.display()
    );
    let mut command = Command::new("node");
    command.arg(folder.join("main.mjs"));
    command
}

/// A running client. What it reported and nobody took yet is kept in order.
#[derive(Debug)]
pub struct Client {
    child: Child,
    commands: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    kept: VecDeque<Value>,
    log: PathBuf,
    fatal: Vec<&'static str>,
}

impl Client {
    /// Starts it; its stderr goes to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let stderr = File::options().create(true).append(true).open(log).expect("the log opens");
        command
            .env_remove("HTTPS_PROXY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the client starts");
        let commands = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self {
            child,
            commands,
            lines,
            kept: VecDeque::new(),
            log: log.to_owned(),
            fatal: vec!["error", "undecryptable"],
        }
    }

    /// The process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Gives a command.
    ///
    /// # Panics
    /// When it does not listen any more; shows what it logged.
    pub async fn command(&mut self, command: &Value) {
        let line = format!("{command}\n");
        let commands = self.commands.as_mut().expect("it was not stopped");
        if let Err(error) = commands.write_all(line.as_bytes()).await {
            let shown: String = line.chars().take(200).collect();
            self.fail(&format!("{shown} could not be given: {error}"));
        }
    }

    /// Waits for the first event for which `pick` has an answer and takes it; the others stay for later calls.
    ///
    /// # Panics
    /// On an `error` or `undecryptable` event that was not waited for (see [`Client::tolerate`]), at the end of the process, or at the deadline; shows what was reported and logged.
    pub async fn expect<T>(&mut self, what: &str, pick: impl Fn(&Value) -> Option<T>) -> T {
        if let Some((index, found)) = self.kept.iter().enumerate().find_map(|(i, e)| Some((i, pick(e)?))) {
            self.kept.remove(index);
            return found;
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            let event = self.next(deadline, what).await;
            if let Some(found) = pick(&event) {
                return found;
            }
            if self.fatal.iter().any(|name| event["event"] == *name) {
                self.fail(&format!("waited for {what}, got {event}"));
            }
            self.kept.push_back(event);
        }
    }

    /// From now on, events of this name fail no wait.
    pub fn tolerate(&mut self, name: &str) {
        self.fatal.retain(|fatal| *fatal != name);
    }

    /// Everything that it reported and nobody took.
    pub fn kept(&self) -> impl Iterator<Item = &Value> {
        self.kept.iter()
    }

    /// Closes its stdin, which every client takes as `stop`, and waits for its end.
    ///
    /// # Panics
    /// When it goes on or fails.
    pub async fn stop(&mut self) {
        self.commands = None;
        match tokio::time::timeout(DEADLINE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            other => self.fail(&format!("it did not stop well: {other:?}")),
        }
    }

    async fn next(&mut self, deadline: Instant, what: &str) -> Value {
        match tokio::time::timeout_at(deadline, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => {
                serde_json::from_str(&line).unwrap_or_else(|_| self.fail(&format!("no event: {line}")))
            }
            Ok(end) => self.fail(&format!("waited for {what}, it ended: {end:?}")),
            Err(_) => self.fail(&format!("waited {DEADLINE:?} for {what}")),
        }
    }

    fn fail(&self, sentence: &str) -> ! {
        let kept = self.kept.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let log =
            log.lines().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        panic!("{sentence}\nreported and not taken:\n{kept}\nlogged:\n{log}");
    }
}

/// A text field of an event of this name.
pub fn field(event: &Value, name: &str, field: &str) -> Option<String> {
    (event["event"] == name).then(|| event[field].as_str().map(str::to_owned))?
}
