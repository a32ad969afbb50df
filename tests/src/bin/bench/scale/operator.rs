//! The operator as a process, as the chart runs it: watching the whole cluster, electing a leader, with its own defaults.
//!
//! Comes in: a [`Ground`] and the port that sessions answer at. Goes out: what it takes of the machine, and when it has come to rest.

use std::time::{Duration, Instant};

use reqwest::Method;
use system_tests::http;
use system_tests::memory::Memory;
use system_tests::process::{Process, program};
use tempfile::TempDir;
use tokio::process::Command;

use super::ground::Ground;
use super::processors::Processors;

/// For so long nothing must have happened to count as rest.
const QUIET: Duration = Duration::from_secs(5);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The longest that it may take to come to rest.
const LIMIT: Duration = Duration::from_mins(5);

/// See the file's comment. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Operator {
    process: Process,
    url: String,
    _folder: TempDir,
}

impl Operator {
    pub(super) async fn start(ground: &Ground, session_port: u16) -> Self {
        let folder = TempDir::new().expect("a folder");
        let address = folder.path().join("address");
        let mut command = Command::new(program("operator"));
        command
            .env("KUBECONFIG", ground.kubeconfig())
            .env("WAREST_NAMESPACE", ground.namespace())
            .env("WAREST_SESSION_IMAGE", "warest/session-pod:bench")
            .env("WAREST_SESSION_PORT", session_port.to_string())
            // kwok's pods go without a reported end.
            .env("WAREST_NODE_GRACE_SECONDS", "0")
            .env("WAREST_LISTEN", "127.0.0.1:0")
            .env("WAREST_ADDRESS_FILE", &address);
        let mut process = Process::start(command, &folder.path().join("log"));
        let url = format!("http://{}", process.announced(&address).await);
        Self { process, url, _folder: folder }
    }

    /// Ends it, and starts another one.
    pub(super) async fn restart(&mut self, ground: &Ground, session_port: u16) {
        self.stop().await;
        *self = Self::start(ground, session_port).await;
    }

    /// `SIGTERM`, and waits for its end.
    pub(super) async fn stop(&mut self) {
        self.process.terminate();
        assert!(self.process.ended().await.success(), "{}", self.process.output());
    }

    fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    pub(super) fn memory(&self) -> Memory {
        Memory::of(self.id()).expect("it runs")
    }

    /// Its memory once it does not change any more.
    pub(super) async fn settled(&self) -> Memory {
        Memory::settled(self.id()).await.expect("it runs")
    }

    /// Its processor seconds so far.
    pub(super) fn processors(&self) -> Processors {
        Processors::of([("operator", self.id())].into_iter())
    }

    /// Waits until it polls so many sessions, has no status to write later and asks nothing of the API server; gives the time since
    /// when. It may look at sessions: that it does every ten minutes or so, of thousands all the time.
    ///
    /// # Panics
    /// When it does not come to rest.
    pub(super) async fn rests(&self, ground: &Ground, polls: usize) -> Instant {
        let end = Instant::now() + LIMIT;
        let (mut last, mut since) = (None, Instant::now());
        while since.elapsed() < QUIET {
            let all_polled = self.figure("warest_operator_polls").await == polls;
            let all_told = self.figure(r#"warest_operator_remembered{what="deferrals"}"#).await == 0;
            let now = (all_polled && all_told).then(|| ground.audit_size());
            if now.is_none() || now != last {
                (last, since) = (now, Instant::now());
            }
            assert!(
                Instant::now() < end,
                "the operator does not come to rest: {now:?}, {} s",
                LIMIT.as_secs()
            );
            tokio::time::sleep(LOOK).await;
        }
        since
    }

    /// Sum of a metric over its labels, or over those that are not named.
    async fn figure(&self, name: &str) -> usize {
        let url = format!("{}/metrics", self.url);
        let text = http::client().request(Method::GET, url).send().await.expect("an answer");
        let text = text.text().await.expect("text");
        sum(&text, name)
    }
}

fn sum(text: &str, name: &str) -> usize {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    let values = text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_metric_is_summed_over_its_labels_and_over_nothing_else() {
        let text = "# HELP a x\na{r=\"ok\"} 3\na{r=\"error\"} 4\na_b 9\nc 1\n";
        assert_eq!((super::sum(text, "a"), super::sum(text, "c"), super::sum(text, "d")), (7, 1, 0));
    }
}
