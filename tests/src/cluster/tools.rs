//! kubectl and helm, as a person would run them against a cluster.
//!
//! Comes in: arguments. Goes out: what they printed and how they ended.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Cluster, component, janitor};

/// Longest run of a tool.
const LIMIT: Duration = Duration::from_mins(3);

/// What a tool printed, and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a success.
    ///
    /// # Panics
    /// When it failed; shows all that it printed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error of a failure.
    ///
    /// # Panics
    /// When it succeeded.
    #[track_caller]
    pub fn error(self) -> String {
        assert!(!self.status.success(), "it succeeded:\n{}\n{}", self.stdout, self.stderr);
        self.stderr
    }
}

impl Cluster {
    /// `kubectl` as the administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Output {
        self.tool("kubectl", arguments, &self.kubeconfig(), "").await
    }

    /// `kubectl` as the administrator, with standard input: `kubectl_in(&["apply", "-f", "-"], manifest)`.
    pub async fn kubectl_in(&self, arguments: &[&str], input: &str) -> Output {
        self.tool("kubectl", arguments, &self.kubeconfig(), input).await
    }

    /// `kubectl` as whom a kubeconfig file names.
    pub async fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str]) -> Output {
        self.tool("kubectl", arguments, kubeconfig, "").await
    }

    /// `helm` as the administrator.
    pub async fn helm(&self, arguments: &[&str]) -> Output {
        self.tool("helm", arguments, &self.kubeconfig(), "").await
    }

    async fn tool(&self, name: &str, arguments: &[&str], kubeconfig: &Path, input: &str) -> Output {
        let (mark, run) = janitor::mark();
        let mut child = Command::new(component::program(name))
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", self.folder())
            .env("KUBECACHEDIR", self.folder().join("kubectl-cache"))
            .env("HELM_CACHE_HOME", self.folder().join("helm/cache"))
            .env("HELM_CONFIG_HOME", self.folder().join("helm/config"))
            .env("HELM_DATA_HOME", self.folder().join("helm/data"))
            .env(mark, run)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the tool starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let answer = async {
            // A tool that ends without reading its input is no failure of this.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(LIMIT, answer).await;
        let output =
            output.unwrap_or_else(|_| panic!("{name} {arguments:?} still runs")).expect("its output");
        Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
