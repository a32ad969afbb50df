//! What a test process starts and writes for its clusters ends with it, even when it is killed.
//!
//! Comes in: nothing. Goes out: one folder per test process for everything on disk, and a mark for the environment of every
//! child. A shell beside the test process waits for the end of a pipe that only the test process holds; then it kills all
//! processes that bear the mark (their children inherit it) and removes the folder.
//! It must not be needed while the test process lives: whoever started something stops it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// Environment variable of every child: the folder of the test process.
const MARK: &str = "WAREST_TEST_RUN";

/// `$0` is the folder, `$1` the mark. Two passes without a find: a process that was just forked has no mark yet.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
clean=0
while [ "$clean" -lt 2 ]; do
  found=0
  for file in $(grep -lszxF -- "$1=$0" /proc/[0-9]*/environ); do
    pid=${file#/proc/}
    kill -9 "${pid%/environ}" 2>/dev/null && found=1
  done
  [ "$found" = 1 ] && clean=0 || clean=$((clean + 1))
done
rm -rf "$0"
"#;

struct Janitor {
    folder: PathBuf,
    // Its standard input is the pipe; it outlives this process.
    _shell: Child,
}

fn janitor() -> &'static Janitor {
    static JANITOR: OnceLock<Janitor> = OnceLock::new();
    JANITOR.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("warest-cluster-").tempdir().expect("a folder").keep();
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .arg(&folder)
            .arg(MARK)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a shell");
        Janitor { folder, _shell: shell }
    })
}

/// A new folder inside the test process's own.
pub(super) fn folder(prefix: &str) -> TempDir {
    tempfile::Builder::new().prefix(prefix).tempdir_in(&janitor().folder).expect("a folder")
}

/// The mark for the environment of a child.
pub(super) fn mark() -> (&'static str, &'static Path) {
    (MARK, &janitor().folder)
}

/// Every process on this machine that this test process started for its clusters, as process ids.
///
/// # Panics
/// When `/proc` cannot be read.
pub fn processes() -> Vec<u32> {
    let wanted = format!("{MARK}={}", janitor().folder.display());
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    })
    .collect()
}

/// The folder that holds everything that the clusters of this test process have on disk.
pub fn run_folder() -> &'static Path {
    &janitor().folder
}
