//! A process as a container would see it: its own mounts, a root of its own, its user, its environment and nothing else.
//!
//! Comes in: a [`ContainerPlan`] and folders for its mounts. Goes out: a [`Running`] process. Needs root.
//! The root is a small tmpfs with this machine's programs and libraries in it, read-only; what is mounted lies in it.
//! There is no network namespace: every pod has a loopback address of its own instead.

use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::watch;

use super::plan::{ContainerPlan, inside};
use crate::cluster::janitor;

/// Exit code of a container that could not be set up.
pub(super) const START_ERROR: i32 = 128;

/// Root, user, groups, whether the root is read-only, working folder, program, its name inside, number of mounts; then source,
/// target and `ro` or `rw` of each mount; then the command. What it starts has the shell's process id.
const SCRIPT: &str = r#"
set -e
trap 'exit 128' ERR
root=$1 user=$2 groups=$3 read_only=$4 folder=$5 program=$6 inside=$7 count=$8
shift 8
mount -t tmpfs -o mode=755 tmpfs "$root"
for entry in /usr /bin /sbin /lib /lib32 /lib64 /libx32; do
  if [ -L "$entry" ]; then cp -P "$entry" "$root$entry"
  elif [ -d "$entry" ]; then mkdir "$root$entry"; mount --rbind -o ro "$entry" "$root$entry"; fi
done
for entry in /dev /proc /sys /etc/ssl; do
  if [ -d "$entry" ]; then mkdir -p "$root$entry"; mount --rbind "$entry" "$root$entry"; fi
done
for entry in /etc/hosts /etc/resolv.conf /etc/nsswitch.conf; do
  if [ -e "$entry" ]; then touch "$root$entry"; mount --bind "$entry" "$root$entry"; fi
done
mkdir "$root/program"
touch "$root$inside"
mount --bind -o ro "$program" "$root$inside"
while [ "$count" -gt 0 ]; do
  if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$(dirname "$root$2")"; touch "$root$2"; fi
  mount --bind "$1" "$root$2"
  if [ "$3" = ro ]; then mount -o remount,bind,ro "$root$2"; fi
  shift 3
  count=$((count - 1))
done
if [ "$read_only" = ro ]; then mount -o remount,ro "$root"; fi
cd /
if [ -n "$folder" ]; then set -- env -C "$folder" -- "$@"; fi
unset _ PWD OLDPWD SHLVL
exec setpriv --no-new-privs chroot --userspec="$user" --groups="$groups" "$root" "$@"
"#;

/// A folder or file of this machine and where the container sees it.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) source: PathBuf,
    pub(super) target: String,
    pub(super) read_only: bool,
}

/// A process that runs, or has run.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) since: Instant,
    /// The file that gets its output.
    pub(super) log: PathBuf,
    ended: watch::Receiver<Option<i32>>,
    reaped: Arc<(Mutex<bool>, Condvar)>,
}

/// Starts a process; `root` is an empty folder, its output goes into the file `log`. `on_end` is called once it was reaped.
pub(super) fn start(
    plan: &ContainerPlan,
    binds: &[Bind],
    root: &Path,
    log: &Path,
    on_end: impl FnOnce(u32, Instant) + Send + 'static,
) -> io::Result<Running> {
    let since = Instant::now();
    let output = File::options().create(true).append(true).open(log)?;
    let mut child = command(plan, binds, root).stdout(output.try_clone()?).stderr(output).spawn()?;
    let (pid, (sender, ended)) = (child.id(), watch::channel(None));
    let reaped = Arc::new((Mutex::new(false), Condvar::new()));
    let running = Running { pid, since, log: log.to_owned(), ended, reaped: Arc::clone(&reaped) };
    // A thread of its own, so that processes are reaped whatever becomes of the node's runtime.
    std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
        let code = child.wait().map_or(START_ERROR, code);
        signal_group(pid, Signal::KILL);
        on_end(pid, Instant::now());
        *reaped.0.lock().unwrap() = true;
        reaped.1.notify_all();
        sender.send_replace(Some(code));
    })?;
    Ok(running)
}

fn command(plan: &ContainerPlan, binds: &[Bind], root: &Path) -> Command {
    let groups: Vec<String> = plan.user.groups.iter().map(ToString::to_string).collect();
    let access = |read_only| if read_only { "ro" } else { "rw" };
    let (mark, run) = janitor::mark();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "bash", "-c", SCRIPT, "sandbox"])
        .arg(root)
        .arg(format!("{}:{}", plan.user.uid, plan.user.gid))
        .arg(groups.join(","))
        .arg(access(plan.read_only_root))
        .arg(plan.folder.as_deref().unwrap_or_default())
        .arg(&plan.program)
        .arg(inside(&plan.program))
        .arg(binds.len().to_string());
    for bind in binds {
        command.arg(&bind.source).arg(&bind.target).arg(access(bind.read_only));
    }
    command
        .args(&plan.command)
        .env_clear()
        .env("PATH", "/program:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .env(mark, run)
        .stdin(Stdio::null())
        .process_group(0);
    command
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

impl Running {
    /// Waits for the end; gives the exit code (128 and the signal's number for a signal).
    pub(super) async fn ended(&mut self) -> i32 {
        let ended = self.ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|code| *code).unwrap_or(START_ERROR)
    }

    /// `SIGTERM` to the process.
    pub(super) fn terminate(&self) {
        if let Some(pid) = self.alive() {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// `SIGKILL` to it and all that it started.
    pub(super) fn kill(&self) {
        if self.alive().is_some() {
            signal_group(self.pid, Signal::KILL);
        }
    }

    /// Blocks until it was reaped, for a while.
    pub(super) fn wait_reaped(&self, limit: Duration) {
        let reaped = self.reaped.0.lock().unwrap();
        let _ = self.reaped.1.wait_timeout_while(reaped, limit, |reaped| !*reaped);
    }

    fn alive(&self) -> Option<Pid> {
        let alive = !*self.reaped.0.lock().unwrap();
        Pid::from_raw(self.pid.cast_signed()).filter(|_| alive)
    }
}

fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process_group(pid, signal);
    }
}
