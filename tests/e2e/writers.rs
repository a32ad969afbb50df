//! A witness of who has a session's volume open: looked at from the node, process by process.
//!
//! Comes in: `/proc` of the namespace that the node is in. Goes out: the processes that had it open, and a panic if two had at once.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Name of the program.
const PROGRAM: &str = "session-pod";

/// Between two looks. A start of the program takes longer.
const INTERVAL: Duration = Duration::from_millis(20);

/// Device and inode.
type File = (u64, u64);

/// See the file's comment.
#[derive(Debug)]
pub(crate) struct Writers {
    // The thread goes on as long as this is there.
    going: Sender<()>,
    thread: JoinHandle<Result<BTreeSet<u32>, String>>,
}

impl Writers {
    /// Looks from now on, until it is stopped.
    pub(crate) fn watch() -> Self {
        let (going, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                look(&mut seen)?;
            }
            Ok(seen)
        });
        Self { going, thread }
    }

    /// All processes that had a volume open, one after the other.
    pub(crate) fn stop(self) -> BTreeSet<u32> {
        let Self { going, thread } = self;
        drop(going);
        let seen = thread.join().expect("it ends");
        seen.unwrap_or_else(|two| panic!("{two}"))
    }
}

/// One look. Two processes count as two writers when the first still has the file after the second was seen with it.
fn look(seen: &mut BTreeSet<u32>) -> Result<(), String> {
    let mut holders: BTreeMap<File, u32> = BTreeMap::new();
    for process in processes() {
        for file in open_files(process) {
            seen.insert(process);
            if let Some(other) = holders.insert(file, process).filter(|other| *other != process)
                && open_files(other).contains(&file)
            {
                return Err(format!("the processes {other} and {process} have a volume open"));
            }
        }
    }
    Ok(())
}

fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ours = |id: &u32| {
        std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == PROGRAM)
    };
    ids.filter(ours).collect()
}

/// What a process has open below `/data`.
fn open_files(process: u32) -> BTreeSet<File> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return BTreeSet::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let data = |path: &Path| std::fs::read_link(path).is_ok_and(|target| target.starts_with("/data"));
    let files = paths.filter(|path| data(path)).filter_map(|path| std::fs::metadata(path).ok());
    files.map(|file| (file.dev(), file.ino())).collect()
}
