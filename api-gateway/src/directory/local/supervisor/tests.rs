//! The supervisor with real, trivial programs: shell scripts that announce an address and end as they are told.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::testing;
use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    supervisor: Supervisor,
    ends: Arc<AtomicUsize>,
}

/// A supervisor of a script. `$HOME` is its folder; `announce` writes its address, its process id standing for the port.
fn supervise(script: &str) -> Fixture {
    begin(script, false)
}

fn begin(script: &str, runs: bool) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let announce =
        "announce() { echo \"127.0.0.1:$$\" > \"$HOME/new\"; mv \"$HOME/new\" \"$HOME/address\"; }";
    let program = testing::program(folder.path(), &format!("{announce}\n{script}"));
    let home = folder.path().to_str().unwrap().to_owned();
    let spec = ChildSpec {
        id: "shop".parse().unwrap(),
        program,
        environment: vec![("HOME".to_owned(), home), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        address_file: folder.path().join("address"),
    };
    let ends = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ends);
    let notify: Notify = Arc::new(move |ended| {
        count.fetch_add(usize::from(ended), Ordering::SeqCst);
    });
    let supervisor = Supervisor::start(spec, "uid".to_owned(), "token".to_owned(), notify, runs);
    Fixture { folder, supervisor, ends }
}

impl Fixture {
    async fn reaches(&self, what: impl Fn(&Runtime) -> bool) -> Runtime {
        let mut runtime = self.supervisor.runtime.clone();
        let reached = tokio::time::timeout(Duration::from_secs(20), runtime.wait_for(what)).await;
        reached.expect("in time").expect("the supervisor lives").clone()
    }

    /// Waits for a running process (another than `not`) and gives its id.
    async fn runs(&self, not: u32) -> u32 {
        let runs = |runtime: &Runtime| pid(runtime).is_some_and(|pid| pid != not);
        pid(&self.reaches(runs).await).unwrap()
    }

    fn starts(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("starts")).unwrap_or_default().lines().count()
    }
}

fn pid(runtime: &Runtime) -> Option<u32> {
    runtime.pod()?.address.strip_prefix("127.0.0.1:")?.parse().ok()
}

fn lives(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

const FOREVER: &str = "echo $$ >> $HOME/starts; announce; exec cat";

#[tokio::test]
async fn a_killed_process_is_replaced_after_a_wait() {
    let fixture = supervise(FOREVER);
    fixture.supervisor.run();
    let first = fixture.runs(0).await;
    kill(first);
    let waiting = fixture.reaches(|runtime| matches!(runtime, Runtime::Waiting { .. })).await;
    let Runtime::Waiting { reason, until, since } = waiting else { unreachable!() };
    assert_eq!((reason.code.as_str(), until - since), ("process_crashed", 1000));
    let second = fixture.runs(first).await;
    assert!(!lives(first) && lives(second), "never two at once");
    assert_eq!((fixture.starts(), fixture.ends.load(Ordering::SeqCst)), (2, 1));
    fixture.supervisor.stop().await;
    assert!(!lives(second), "stopped means gone");
    assert!(matches!(fixture.supervisor.runtime(), Runtime::Stopped { .. }));
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_restart_ends_the_old_process_before_the_new_one_starts() {
    // It is ready for the signal before it says where it is.
    let script = "if [ -e $HOME/lives ]; then exit 99; fi; touch $HOME/lives; \
                  trap 'rm $HOME/lives; exit 0' TERM; announce; while :; do sleep 0.05; done";
    let fixture = supervise(script);
    fixture.supervisor.run();
    let first = fixture.runs(0).await;
    fixture.supervisor.restart().await;
    let second = fixture.runs(first).await;
    assert!(lives(second));
    assert_eq!(fixture.ends.load(Ordering::SeqCst), 0, "none ended by itself, not even with 99");
    fixture.supervisor.gone().await;
    assert!(!lives(second));
}

#[tokio::test]
async fn a_refused_configuration_is_not_tried_endlessly() {
    let fixture = supervise("echo $$ >> $HOME/starts; exit 64");
    fixture.supervisor.run();
    let failed = fixture.reaches(|runtime| matches!(runtime, Runtime::Failed { .. })).await;
    assert!(matches!(failed, Runtime::Failed { reason, .. } if reason.code == "bad_configuration"));
    assert_eq!(fixture.starts(), 1);
    fixture.supervisor.restart().await;
    fixture.reaches(|runtime| matches!(runtime, Runtime::Failed { .. })).await;
    assert_eq!(fixture.starts(), 2, "but again when somebody acts");
}

#[tokio::test]
async fn a_missing_program_is_told() {
    let fixture = supervise("");
    std::fs::remove_file(fixture.folder.path().join("program")).unwrap();
    fixture.supervisor.run();
    let failed = fixture.reaches(|runtime| matches!(runtime, Runtime::Failed { .. })).await;
    assert!(matches!(failed, Runtime::Failed { reason, .. } if reason.code == "cannot_start"));
}

#[tokio::test]
async fn what_shall_run_never_looks_stopped() {
    let fixture = begin("announce; exec sleep 60", true);
    assert!(matches!(fixture.supervisor.runtime(), Runtime::Starting { .. }), "before the task has begun");
    fixture.reaches(|runtime| matches!(runtime, Runtime::Running { .. })).await;
    fixture.supervisor.stop().await;
    assert!(matches!(fixture.supervisor.runtime(), Runtime::Stopped { .. }));
}
