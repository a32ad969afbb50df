//! The program itself: what it refuses before a port opens, and what it says of a volume that is not the session's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const TOKEN: &str = "0123456789abcdef";

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-pod"));
    command
        .env_clear()
        .env("WAREST_SESSION_ID", "alice")
        .env("WAREST_SESSION_UID", "uid-1")
        .env("WAREST_TOKEN", TOKEN)
        .env("WAREST_LISTEN", "127.0.0.1:0")
        // Nobody listens there.
        .env("WAREST_WHATSAPP_URL", "ws://127.0.0.1:9/ws/chat")
        .env("WAREST_DATA_DIR", folder.join("data"))
        .env("WAREST_ADDRESS_FILE", folder.join("address"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A running process and where it listens.
struct Pod {
    process: Child,
    address: String,
}

impl Pod {
    async fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let file = folder.join("address");
        let _absent = std::fs::remove_file(&file);
        let process = command(folder).envs(environment.iter().copied()).spawn().unwrap();
        let address = wait(|| async { std::fs::read_to_string(&file).ok() }).await;
        Self { process, address: address.trim().to_owned() }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = client().get(format!("http://{}{path}", self.address)).bearer_auth(TOKEN);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn put_config(&self, push: &Value) -> Value {
        let request = client().put(format!("http://{}/v1/config", self.address)).bearer_auth(TOKEN);
        request.json(push).send().await.unwrap().json().await.unwrap()
    }

    /// Hash of the configuration in force.
    async fn config(&self) -> Value {
        self.get("/v1/status").await.1["configHash"].take()
    }

    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

fn client() -> reqwest::Client {
    // The tests of this file share a process: only the first installs it.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn wait<T, F: Future<Output = Option<T>>>(look: impl Fn() -> F) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.expect("it happens in time")
}

async fn refused(folder: &Path, file: &Path) -> String {
    let Output { status, stdout, stderr } =
        command(folder).env("WAREST_CONFIG_FILE", file).output().await.unwrap();
    let told = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert_eq!(status.code(), Some(64), "{told}");
    assert!(!folder.join("address").exists(), "no port was opened");
    told
}

#[tokio::test]
async fn a_configuration_file_that_cannot_be_used_is_refused_before_a_port_opens() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("config.json");
    assert!(refused(folder.path(), &file).await.contains("cannot read the configuration from"));
    std::fs::write(&file, r#"{"hash":"h","policy":{},"proxy":"hunter2"}"#).unwrap();
    let told = refused(folder.path(), &file).await;
    assert!(told.contains("proxy must be http://host:port") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn the_file_is_in_force_from_the_start_unless_a_push_was_newer() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, r#"{"hash":"from-file","policy":{"paceMs":5}}"#).unwrap();
    let given = [("WAREST_CONFIG_FILE", file.to_str().unwrap())];
    let pod = Pod::start(folder.path(), &given).await;
    assert_eq!(pod.config().await, "from-file");
    let push = json!({"hash": "pushed", "policy": {}, "webhooks": [{"url": "https://x/y", "secret": "k"}]});
    let status = pod.put_config(&push).await;
    assert_eq!(status["configHash"], "pushed", "a push wins while the process lives: {status}");
    pod.kill().await;
    let pod = Pod::start(folder.path(), &[]).await;
    assert_eq!(pod.config().await, "pushed", "without a file it is kept");
    pod.kill().await;
    for (text, in_force) in [
        (r#"{"hash":"from-file","policy":{"paceMs":5}}"#, "pushed"),
        (r#"{"hash":"newer","policy":{}}"#, "newer"),
        (r#"{"hash":"pushed","policy":{}}"#, "newer"),
    ] {
        std::fs::write(&file, text).unwrap();
        let pod = Pod::start(folder.path(), &given).await;
        assert_eq!(pod.config().await, in_force, "with the file {text}");
        pod.kill().await;
    }
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?} holds secrets", entry.file_name());
    }
}

#[tokio::test]
async fn in_a_new_pod_the_file_wins_over_what_was_pushed_to_another() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, r#"{"hash":"first","policy":{}}"#).unwrap();
    let given = ("WAREST_CONFIG_FILE", file.to_str().unwrap());
    let pod = Pod::start(folder.path(), &[given]).await;
    pod.put_config(&json!({"hash": "second", "policy": {}})).await;
    pod.kill().await;
    // One process is known of: this is another pod, and the file says "first" again.
    let new_pod = [given, ("WAREST_MIN_WRITER_EPOCH", "1")];
    let pod = Pod::start(folder.path(), &new_pod).await;
    assert_eq!(pod.config().await, "first");
    pod.put_config(&json!({"hash": "second", "policy": {}})).await;
    pod.kill().await;
    let pod = Pod::start(folder.path(), &new_pod).await;
    assert_eq!(pod.config().await, "second", "a restart in the same pod, whose file lags behind");
    pod.kill().await;
    let new_session = [given, ("WAREST_SESSION_UID", "uid-2")];
    let pod = Pod::start(folder.path(), &new_session).await;
    assert_eq!(pod.config().await, "first", "a session that takes up a former one's volume");
    pod.kill().await;
}

#[tokio::test]
async fn an_emptied_volume_is_told_and_nothing_hides_it() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    Pod::start(folder.path(), &[]).await.kill().await;
    let known = Pod::start(folder.path(), &[("WAREST_MIN_WRITER_EPOCH", "1")]).await;
    assert_eq!(known.get("/v1/status").await.1["writerEpoch"], 2, "the right volume is no problem");
    known.kill().await;
    std::fs::remove_dir_all(&data).unwrap();
    for _ in 0..2 {
        let mut pod = Pod::start(folder.path(), &[("WAREST_MIN_WRITER_EPOCH", "2")]).await;
        let (code, ready) = pod.get("/readyz").await;
        let reason = (code, &ready["state"], &ready["reason"]["code"]);
        assert_eq!(reason, (503, &json!("failed"), &json!("volume_lost")), "{ready}");
        assert_eq!(pod.get("/livez").await.0, 200, "a restart would not help");
        let (code, answer) = pod.get("/v1/events").await;
        assert_eq!((code, &answer["code"]), (503, &json!("volume_lost")), "{answer}");
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing is written");
        assert!(pod.process.try_wait().unwrap().is_none(), "it stays alive");
        pod.kill().await;
    }
}
