//! One program of a control plane, as a process.
//!
//! Comes in: a program from `tests/cluster/bin` and its arguments. Goes out: a handle that kills it when dropped.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::janitor;

/// Path of a program of the control plane: `etcd`, `kube-apiserver`, `kubectl`, `helm`, `helm-unittest`, `kwok` …
///
/// # Panics
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/bin").join(name);
    assert!(path.exists(), "{} is missing: run scripts/setup test", path.display());
    path
}

/// See the file's comment.
#[derive(Debug)]
pub(super) struct Component {
    name: &'static str,
    arguments: Vec<String>,
    folder: PathBuf,
    child: Option<Child>,
}

impl Component {
    /// Starts a program whose log and working directory lie in `folder`.
    pub(super) fn start(name: &'static str, arguments: Vec<String>, folder: &Path) -> Self {
        let mut component = Self { name, arguments, folder: folder.to_owned(), child: None };
        component.run();
        component
    }

    /// Starts it (again), unless it runs.
    ///
    /// # Panics
    /// When it cannot be started.
    pub(super) fn run(&mut self) {
        if self.child.is_some() {
            return;
        }
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log");
        let (mark, run) = janitor::mark();
        let child = Command::new(program(self.name))
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("HOME", &self.folder)
            // A node's programs call others: runc, iptables.
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env(mark, run)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.name)));
    }

    /// `SIGKILL`, and waits for its end.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub(super) fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name)).id();
        kill_process(Pid::from_raw(id.cast_signed()).expect("a process id"), signal)
            .expect("the signal is sent");
    }

    /// Process id while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Asserts that it has not ended by itself.
    ///
    /// # Panics
    /// When it has; shows what it printed last.
    pub(super) fn check(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        if let Some(status) = ended {
            panic!("{} ended with {status}:\n{}", self.name, self.tail());
        }
    }

    /// The last lines that it printed.
    pub(super) fn tail(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.kill();
    }
}
