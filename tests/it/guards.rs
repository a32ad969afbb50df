//! The two guards of the feature `simulator`: what ships never trusts the simulator, and what trusts it never talks to WhatsApp.

use std::process::Command;

use system_tests::process::program;
use system_tests::rig::Rig;
use system_tests::wait::eventually;

fn run(binary: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::TempDir::new().unwrap();
    let output = Command::new(program(binary))
        .env_remove("HTTPS_PROXY")
        .env("WAREST_SESSION_ID", "guard")
        .env("WAREST_SESSION_UID", "uid")
        .env("WAREST_DATA_DIR", folder.path())
        .env("WAREST_LISTEN", "127.0.0.1:0")
        .env("WAREST_TOKEN", "0123456789abcdef0123456789abcdef")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn version(binary: &str) -> String {
    let output = Command::new(program(binary)).arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_simulator_build_refuses_whatsapps_hosts() {
    for url in [
        "wss://web.whatsapp.com/ws/chat",
        "wss://WEB.WHATSAPP.COM./ws/chat",
        "wss://web.whatsapp.com:5222/ws/chat",
        "wss://g.whatsapp.net/ws/chat",
        "wss://mmg.whatsapp.net/ws/chat",
    ] {
        let (code, output) = run("session-pod", &[("WAREST_WHATSAPP_URL", url)]);
        assert_eq!(code, Some(64), "{url}: {output}");
        assert!(output.contains("simulator"), "it says why: {output}");
    }
    let (code, output) = run("session-pod", &[]);
    assert_eq!(code, Some(64), "without a URL it would be WhatsApp's: {output}");
}

#[test]
fn the_version_tells_the_builds_apart() {
    assert!(version("session-pod").contains("simulator"));
    assert!(!version("session-pod-production").contains("simulator"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ships_refuses_the_simulators_certificate() {
    use session_api::SessionState;
    let rig = Rig::start().await;
    let pod = system_tests::pod::Pod::start_as("session-pod-production", &rig.ws_url(), &[]).await;
    let reason = eventually("a reason", || async { pod.status().await.reason }).await;
    assert_ne!(
        pod.status().await.state,
        SessionState::AwaitingPairing,
        "it must not get as far as a QR code"
    );
    assert!(!reason.message.is_empty(), "{reason:?}");
}
