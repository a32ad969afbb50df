//! Child processes: found beside the test, killed with it, their output shown when a test fails.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::wait::eventually;

/// Path of one of our programs: in `$WAREST_PROGRAMS` (`make bench`), else in the target directory that this test was built into.
///
/// # Panics
/// When it was not built: `make test` builds them first.
pub fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("WAREST_PROGRAMS") {
        return Path::new(&folder).join(name);
    }
    let test = std::env::current_exe().expect("the test has a path");
    let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: build it with `make build`", path.display());
    path
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with its output in `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).expect("the log opens");
        let err = out.try_clone().expect("the log opens");
        command.stdout(out).stderr(err).kill_on_drop(true);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
        let child = command.spawn().expect("the program starts");
        Self { child, log: log.to_owned() }
    }

    /// Like [`Process::start`], with a pipe as standard input that stays open as long as the handle.
    pub fn start_with_stdin(mut command: Command, log: &Path) -> Self {
        command.stdin(Stdio::piped());
        Self::start(command, log)
    }

    /// The process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// `kill -9`, and waits for the end.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// `SIGTERM`.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) {
        let id = self.id().expect("it still runs");
        kill_process(Pid::from_raw(id.cast_signed()).expect("a process id"), signal).expect("it is sent");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it goes on beyond the deadline.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(crate::wait::DEADLINE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("it still runs\n{}", self.output()))
            .expect("its status can be read")
    }

    /// What it printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `file`, which the program writes atomically, is there and gives its text.
    ///
    /// # Panics
    /// When the process ends before, or the deadline passes; shows what it printed.
    pub async fn announced(&mut self, file: &Path) -> String {
        let child = std::cell::RefCell::new(&mut self.child);
        let log = &self.log;
        eventually("the program's address", || async {
            if let Ok(Some(status)) = child.borrow_mut().try_wait() {
                panic!("it ended with {status}:\n{}", std::fs::read_to_string(log).unwrap_or_default());
            }
            std::fs::read_to_string(file).ok().filter(|text| !text.is_empty())
        })
        .await
        .trim()
        .to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = self.output();
            let tail: Vec<_> = text.lines().rev().take(60).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            let _ = std::io::Write::write_all(&mut std::io::stderr(), tail.join("\n").as_bytes());
        }
    }
}
