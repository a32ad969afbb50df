//! A person with a browser: opens the page, enters the key, creates a session, holds a phone's camera to the screen, writes, is answered.

use std::path::{Path, PathBuf};

use serde_json::json;
use system_tests::external::browser::Browser;
use system_tests::gateway::{ADMIN, Gateway, OTHER};
use system_tests::rig::Rig;

const SESSION: &str = "[data-session=\"demo\"]";

/// `target/screenshots/<name>.png` of the target directory that this test was built into.
fn screenshot(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).map(Path::to_owned).unwrap();
    target.join("screenshots").join(format!("{name}.png"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_pairs_and_writes_on_the_page() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    let (phone, friend) = (rig.phone().await, rig.phone().await);

    let mut browser = Browser::start();
    browser.open(&format!("{}/ui", gateway.url())).await;
    browser.fill("body", "API key", ADMIN).await;
    browser.click("body", "Sign in").await;
    browser.fill("body", "New session", "demo").await;
    browser.click("body", "Create").await;

    let qr = browser.scan(None).await;
    assert_eq!(qr, gateway.get("/api/sessions/demo").await.ok()["qr"], "the pixels are the session's code");
    browser.screenshot(&screenshot("ui-qr")).await;
    phone.scan(&qr).await;
    browser.see_element(&format!("{SESSION}[data-status=\"open\"]")).await;

    browser.fill(SESSION, "To", &friend.number).await;
    browser.fill(SESSION, "Text", "Halo dari halaman").await;
    browser.click(SESSION, "Send").await;
    friend.receives("Halo dari halaman").await;
    browser.see(&format!("{SESSION} [role=log]"), "Halo dari halaman").await;
    friend.send(&phone.number, "<b>Terima kasih</b> & sampai jumpa").await;
    browser.see(&format!("{SESSION} [role=log]"), "<b>Terima kasih</b> & sampai jumpa").await;
    let url = browser.screenshot(&screenshot("ui-open")).await;
    assert!(!url.contains(ADMIN), "the key is not in the address: {url}");
    browser.stop().await;
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_told_and_another_key_sees_nothing() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    gateway.post("/api/sessions", &json!({"id": "demo"})).await.ok();
    let mut browser = Browser::start();
    browser.open(&format!("{}/ui", gateway.url())).await;
    browser.fill("body", "API key", "no-such-key").await;
    browser.click("body", "Sign in").await;
    browser.see_element("[role=alert]").await;
    browser.screenshot(&screenshot("ui-wrong-key")).await;

    browser.fill("body", "API key", ADMIN).await;
    browser.click("body", "Sign in").await;
    browser.see_element(SESSION).await;

    let mut other = Browser::start();
    other.open(&format!("{}/ui", gateway.url())).await;
    other.fill("body", "API key", OTHER).await;
    other.click("body", "Sign in").await;
    other.fill("body", "New session", "demo-2").await;
    other.click("body", "Create").await;
    other.see_element("[data-session=\"demo-2\"]").await;
    other.missing(SESSION).await;
}
