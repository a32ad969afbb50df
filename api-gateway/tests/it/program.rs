//! The program: its settings, its key, its data directory, its end, however that comes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::process::{Child, Command};

use crate::rig::{ADMIN, eventually, pod_script};

fn gateway(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-gateway"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOST", "127.0.0.1").env("PORT", "0");
    command.env("DATA_DIR", folder.join("data")).env("WAREST_ADDRESS_FILE", folder.join("address"));
    command.env("SESSION_POD_BIN", folder.join("session-pod"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn ended(mut command: Command) -> Output {
    tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap()
}

async fn listening(folder: &Path, mut command: Command) -> (Child, String) {
    let _old = std::fs::remove_file(folder.join("address"));
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let address = eventually("address", async || std::fs::read_to_string(folder.join("address")).ok()).await;
    (child, format!("http://{}", address.trim()))
}

fn client() -> reqwest::Client {
    api_gateway::pod_client::PodClient::new().unwrap();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_told_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value, told) in [
        ("PORT", "many", "PORT"),
        ("NODE_ENV", "production", "ADMIN_API_KEY"),
        ("USER_API_KEYS", "changeme-admin-key", "ADMIN_API_KEY is also listed"),
    ] {
        let mut command = gateway(folder.path());
        command.env("ADMIN_API_KEY", "changeme-admin-key").env(name, value);
        let output = ended(command).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{name}: {said}");
        assert!(said.contains(told), "{name}: {said}");
    }
    assert!(!folder.path().join("address").exists());
}

#[tokio::test]
async fn a_key_is_made_kept_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    // A port that cannot be had ends the program after the key is made.
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = async || {
        let mut command = gateway(folder.path());
        command.env("PORT", &port);
        let output = ended(command).await;
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            told.contains("set PORT") && told.matches("in use").count() == 1,
            "once and for people: {told}"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run().await;
    let file = folder.path().join("data/admin-api-key");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.starts_with("wk_") && kept.trim().len() == 67, "256 bits");
    assert!(said.contains(kept.trim()), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(run().await, "", "not told again");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);
}

#[tokio::test]
async fn a_data_directory_has_one_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = listening(folder.path(), gateway(folder.path())).await;
    let output = ended(gateway(folder.path())).await;
    assert_eq!(output.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&output.stderr).contains("used by another gateway"));
    drop(first);
}

/// A gateway with two sessions, and their processes' ids.
async fn with_two_sessions(folder: &Path) -> (Child, Vec<u32>) {
    pod_script(folder, "echo $$ >> \"$WAREST_DATA_DIR/pids\"; echo 127.0.0.1:9");
    let mut command = gateway(folder);
    command.env("ADMIN_API_KEY", ADMIN);
    let (child, url) = listening(folder, command).await;
    let mut pids = Vec::new();
    for id in ["one", "two"] {
        let request = client().post(format!("{url}/api/sessions")).header("X-API-Key", ADMIN);
        assert!(request.json(&json!({"id": id})).send().await.unwrap().status().is_success());
        let file = folder.join(format!("data/volumes/{id}/pids"));
        let text =
            eventually("process", async || std::fs::read_to_string(&file).ok().filter(|t| t.ends_with('\n')))
                .await;
        pids.push(text.trim().parse().unwrap());
    }
    (child, pids)
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn a_killed_gateway_leaves_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (mut gateway, pids) = with_two_sessions(folder.path()).await;
    assert!(pids.iter().all(|pid| lives(*pid)));
    gateway.kill().await.unwrap();
    eventually("end of all", async || pids.iter().all(|pid| !lives(*pid)).then_some(())).await;
}

#[tokio::test]
async fn a_stopped_gateway_ends_its_sessions_first() {
    let folder = tempfile::tempdir().unwrap();
    let (mut gateway, pids) = with_two_sessions(folder.path()).await;
    terminate(&gateway);
    let status = tokio::time::timeout(Duration::from_secs(20), gateway.wait()).await.unwrap().unwrap();
    assert!(status.success() && pids.iter().all(|pid| !lives(*pid)), "{status}");
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("stopping") && !log.contains("panicked"), "{log}");
}

fn terminate(gateway: &Child) {
    let own = rustix::process::Pid::from_raw(gateway.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
}

#[tokio::test]
async fn a_gateway_that_is_told_to_stop_goes_on_for_its_drain_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = gateway(folder.path());
    command.env("ADMIN_API_KEY", ADMIN).env("WAREST_DRAIN_SECONDS", "3600");
    let (mut gateway, url) = listening(folder.path(), command).await;
    let ready = || client().get(format!("{url}/health/ready")).send();
    assert_eq!(ready().await.unwrap().status(), 200);
    terminate(&gateway);
    let answer = eventually("an answer that it stops", async || {
        Some(ready().await.unwrap()).filter(|answer| answer.status() == 503)
    });
    let answer = answer.await;
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["code"], "stopping");
    let list = client().get(format!("{url}/api/sessions")).header("X-API-Key", ADMIN).send().await.unwrap();
    assert!(list.status().is_success(), "requests are still answered: {}", list.status());
    terminate(&gateway);
    let status = tokio::time::timeout(Duration::from_secs(20), gateway.wait()).await.unwrap().unwrap();
    assert!(status.success() && ready().await.unwrap_err().is_connect(), "told twice, it ends: {status}");
}
