//! One `session-pod` process: started, its address learned, its log lines passed on, ended.
//!
//! Comes in: a [`ChildSpec`]. Goes out: an address and an [`Exit`]. It decides nothing: that is the supervisor's.
//! The process's standard input is held open, and closes with the gateway, however that ends: then the process stops itself.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tracing::Level;

use super::backoff::Exit;
use crate::session_name::SessionName;

/// Longest log line that is passed on, in bytes; the rest of it is left out.
const LONGEST_LINE: usize = 8 * 1024;
/// How often the address file is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// How to start a session's process.
#[derive(Debug, Clone)]
pub struct ChildSpec {
    /// The session.
    pub id: SessionName,
    /// The program.
    pub program: PathBuf,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Where it writes its address.
    pub address_file: PathBuf,
}

/// A running process.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    #[cfg_attr(not(test), expect(dead_code, reason = "held so that it stays open"))]
    stdin: Option<ChildStdin>,
}

impl ChildProcess {
    /// Starts it.
    pub fn spawn(spec: &ChildSpec) -> io::Result<Self> {
        match std::fs::remove_file(&spec.address_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut command = Command::new(&spec.program);
        command.env_clear().envs(spec.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C in a terminal is for the gateway: a session that hears it too would take the gateway's wish for a second one,
        // and end at once.
        command.process_group(0);
        let mut child = command.spawn()?;
        forward(child.stdout.take(), &spec.id);
        forward(child.stderr.take(), &spec.id);
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// Waits until it ends.
    pub async fn ended(&mut self) -> Exit {
        self.child.wait().await.map_or_else(|error| Exit::NotStarted(error.to_string()), exit)
    }

    /// Ends it: politely, and after `grace` with force. Comes back once it is gone.
    pub async fn stop(&mut self, grace: Duration) {
        self.terminate();
        let patience = tokio::time::timeout(grace, self.child.wait()).await;
        if patience.is_err()
            && let Err(error) = self.child.kill().await
        {
            tracing::error!(%error, "a session's process could not be killed");
        }
    }

    fn terminate(&self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, Signal::TERM)
        {
            tracing::debug!(%error, "a session's process was gone before it was told to stop");
        }
    }
}

/// Waits until a process has written its address to this file: `host:port`.
pub async fn announced(address_file: &Path) -> String {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let text = tokio::fs::read_to_string(address_file).await.unwrap_or_default();
        if let Some(address) = text.strip_suffix('\n') {
            return address.to_owned();
        }
    }
}

fn exit(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or_default()), Exit::Code)
}

/// Passes lines on to our own log, with the session's name and one time and level: ours has them too.
fn forward(output: Option<impl AsyncRead + Unpin + Send + 'static>, id: &SessionName) {
    let Some(output) = output else { return };
    let id = id.clone();
    tokio::spawn(async move {
        let mut reader = BufReader::new(output);
        while let Ok(Some(line)) = next_line(&mut reader).await {
            match meant(&line) {
                (Level::ERROR, text) => tracing::error!(target: "session", session = %id, "{text}"),
                (Level::WARN, text) => tracing::warn!(target: "session", session = %id, "{text}"),
                // How much a session tells below that is its own setting, and is not filtered twice.
                (_, text) => tracing::info!(target: "session", session = %id, "{text}"),
            }
        }
    });
}

/// A line's level, and the line without its time and level. A line of another form is passed on whole.
fn meant(line: &str) -> (Level, &str) {
    let dated = || {
        let (time, rest) = line.split_once(' ')?;
        let (level, text) = rest.trim_start().split_once(' ')?;
        let is_time = time.starts_with(|first: char| first.is_ascii_digit()) && time.ends_with('Z');
        Some((level.parse().ok().filter(|_| is_time)?, text))
    };
    dated().unwrap_or((Level::INFO, line))
}

/// The next line, cut at [`LONGEST_LINE`] bytes; none at the end.
async fn next_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned()));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let room = LONGEST_LINE.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(&part[..room]);
        let used = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    /// A shell script as a session's program. `$HOME` is its folder.
    fn spec(folder: &Path, script: &str) -> ChildSpec {
        let program = testing::program(folder, script);
        let home = folder.to_str().unwrap().to_owned();
        let environment = vec![("HOME".to_owned(), home), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        ChildSpec { id: "shop".parse().unwrap(), program, environment, address_file: folder.join("address") }
    }

    #[tokio::test]
    async fn lines_are_bounded() {
        let long = "x".repeat(3 * LONGEST_LINE);
        let text = format!("one\r\n\n{long}\nlast");
        let mut reader = BufReader::with_capacity(1000, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut reader).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, ["one", "", &long[..LONGEST_LINE], "last"]);
    }

    #[test]
    fn a_line_has_one_time_and_level() {
        let line = "2026-11-22T17:59:00.123456Z  WARN session_pod::app: slow disk=full";
        assert_eq!(meant(line), (Level::WARN, "session_pod::app: slow disk=full"));
        for other in ["thread 'main' panicked at src/x.rs:1:1:", "", "2026-11-22T17:59:00Z later", "7 INFO a"]
        {
            assert_eq!(meant(other), (Level::INFO, other));
        }
    }

    #[tokio::test]
    async fn standard_input_closes_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = ChildProcess::spawn(&spec(folder.path(), "cat; exit 7")).unwrap();
        child.stdin = None;
        assert_eq!(
            tokio::time::timeout(Duration::from_secs(10), child.ended()).await.unwrap(),
            Exit::Code(7)
        );
    }

    #[tokio::test]
    async fn a_stubborn_process_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo ready > $HOME/address; while :; do sleep 0.05; done";
        let mut child = ChildProcess::spawn(&spec(folder.path(), script)).unwrap();
        assert_eq!(announced(&folder.path().join("address")).await, "ready");
        child.stop(Duration::from_millis(100)).await;
        assert_eq!(child.ended().await, Exit::Signal(9));
    }

    #[tokio::test]
    async fn a_terminals_signals_are_the_gateways_alone() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo $$ $(cut -d' ' -f5 /proc/$$/stat) > $HOME/groups";
        ChildProcess::spawn(&spec(folder.path(), script)).unwrap().ended().await;
        let groups = std::fs::read_to_string(folder.path().join("groups")).unwrap();
        let (process, group) = groups.trim().split_once(' ').unwrap();
        assert_eq!(process, group, "it leads a group of its own");
    }

    #[tokio::test]
    async fn a_process_sees_no_environment_but_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut child =
            ChildProcess::spawn(&spec(folder.path(), "env | cut -d= -f1 | sort > $HOME/names")).unwrap();
        child.ended().await;
        let names = std::fs::read_to_string(folder.path().join("names")).unwrap();
        let ours: Vec<_> =
            names.lines().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
        assert_eq!(ours, ["HOME", "PATH"]);
    }
}
