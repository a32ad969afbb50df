//! What the README promises, through the gateway as a web developer sees it: create, scan, send, be answered, resume.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::gateway::{ADMIN, Gateway, OTHER, USER};
use system_tests::rig::{Phone, Rig};
use system_tests::wait::eventually;

/// A session of the gateway that is open on a new phone.
async fn open_session(rig: &Rig, gateway: &Gateway, id: &str) -> Phone {
    gateway.post("/api/sessions", &json!({"id": id})).await.ok();
    let phone = rig.phone().await;
    phone.scan(&gateway.qr(id).await).await;
    gateway.session_is(id, "open").await;
    phone
}

/// `SIGTERM`, with sessions open: the gateway ends well, and nothing in it panics on the way.
async fn stops_gracefully(gateway: &mut Gateway) {
    gateway.process().terminate();
    assert!(gateway.process().ended().await.success());
    let output = gateway.process().output();
    assert!(output.contains("stopping") && !output.contains("panicked"), "{output}");
}

/// Process ids of the session pods that work below this gateway's data directory.
fn pods_of(gateway: &Gateway) -> Vec<u32> {
    let folder = gateway.data_dir();
    let folder = folder.to_string_lossy();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|p| p.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let command = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let all = [environment, command].concat();
        let text = String::from_utf8_lossy(&all);
        text.contains(folder.as_ref())
            && text.contains("session-pod")
            && !stat.contains(") Z ")
            && stat.contains("(session-pod)")
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_scan_send_and_be_answered() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    let shop = open_session(&rig, &gateway, "demo").await;
    let customer = rig.phone().await;

    let sent = gateway.send_text("demo", &customer.number, "Halo @kamu").await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    let sent = sent.ok();
    assert_eq!((&sent["ok"], &sent["status"]), (&json!(true), &json!("sent")));
    let shown = customer.receives("Halo @kamu").await;
    assert_eq!(shown["id"], sent["id"]);
    assert_eq!(shown["from"], format!("{}@s.whatsapp.net", shop.number));

    let id = customer.send(&shop.number, "Terima kasih").await;
    let event = eventually("the answer in the session's log", || async {
        let page = gateway.get("/api/sessions/demo/events").await.ok();
        page["items"].as_array()?.iter().find(|e| e["data"]["text"] == "Terima kasih").cloned()
    })
    .await;
    assert_eq!(event["event"], "message_received");
    assert_eq!(event["data"]["id"], json!(id));
    assert_eq!(event["data"]["from"], format!("{}@s.whatsapp.net", customer.number));
    let session = gateway.get("/api/sessions/demo").await.ok();
    assert_eq!(session["me"]["id"], format!("{}@s.whatsapp.net", shop.number), "{session}");
    rig.nothing_unknown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_resume_without_a_new_qr() {
    let rig = Rig::start().await;
    let mut gateway = Gateway::start(&rig.ws_url()).await;
    let shop = open_session(&rig, &gateway, "resume").await;
    let customer = rig.phone().await;

    stops_gracefully(&mut gateway).await;
    customer.send(&shop.number, "while you were away").await;
    gateway.start_again().await;
    gateway.session_is("resume", "open").await;
    eventually("the message that waited", || async {
        let page = gateway.get("/api/sessions/resume/events").await.ok();
        page["items"].as_array()?.iter().find(|e| e["data"]["text"] == "while you were away").cloned()
    })
    .await;
    gateway.send_text("resume", &customer.number, "back again").await.ok();
    customer.receives("back again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_leaves_no_session_behind() {
    let rig = Rig::start().await;
    let mut gateway = Gateway::start(&rig.ws_url()).await;
    open_session(&rig, &gateway, "one").await;
    open_session(&rig, &gateway, "two").await;
    assert_eq!(pods_of(&gateway).len(), 2);
    gateway.process().kill().await;
    eventually("both session pods to end", || async { pods_of(&gateway).is_empty().then_some(()) }).await;
    gateway.start_again().await;
    gateway.session_is("one", "open").await;
    gateway.session_is("two", "open").await;
    stops_gracefully(&mut gateway).await;
    assert_eq!(pods_of(&gateway), Vec::<u32>::new(), "all stop with the gateway");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_one_session_never_touches_another() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    open_session(&rig, &gateway, "left").await;
    let [left] = pods_of(&gateway)[..] else { panic!("one pod") };
    open_session(&rig, &gateway, "right").await;
    let right = pods_of(&gateway).into_iter().find(|id| *id != left).unwrap();

    let pid = rustix::process::Pid::from_raw(left.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("a new pod for the crashed session", || async {
        let pods = pods_of(&gateway);
        (pods.len() == 2 && !pods.contains(&left)).then_some(())
    })
    .await;
    gateway.session_is("left", "open").await;
    assert!(pods_of(&gateway).contains(&right), "the other session's process goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_session_comes_back_without_a_new_qr_unless_wiped() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    let phone = open_session(&rig, &gateway, "shop").await;

    let delete = |mode: &'static str| {
        let gateway = &gateway;
        async move {
            gateway.call(ADMIN, Method::DELETE, &format!("/api/sessions/shop{mode}"), &Value::Null).await
        }
    };
    let deleted = delete("").await.ok();
    assert_eq!(
        (&deleted["ok"], &deleted["id"], &deleted["mode"]),
        (&json!(true), &json!("shop"), &json!("meta"))
    );
    assert_eq!(gateway.get("/api/sessions").await.ok()["items"], json!([]));
    gateway.get("/api/sessions/shop").await.error(404, "session_not_found");
    gateway.post("/api/sessions", &json!({"id": "shop"})).await.ok();
    gateway.session_is("shop", "open").await;

    delete("?mode=runtime").await.ok();
    gateway.session_is("shop", "suspended").await;
    gateway.post("/api/sessions/shop/start", &Value::Null).await.ok();
    gateway.session_is("shop", "open").await;

    delete("?mode=all").await.ok();
    let phones = rig.control(Method::GET, "/phones", &Value::Null).await.ok();
    let devices = phones["items"].as_array().unwrap().iter().find(|p| p["number"] == phone.number.as_str());
    assert_eq!(devices.unwrap()["devices"], json!([]), "the device is logged out");
    gateway.post("/api/sessions", &json!({"id": "shop"})).await.ok();
    gateway.session_is("shop", "qr").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_sees_only_its_own_sessions() {
    let rig = Rig::start().await;
    let gateway = Gateway::start(&rig.ws_url()).await;
    let as_user = |key: &'static str, method: Method, path: &'static str, body: Value| {
        let gateway = &gateway;
        async move { gateway.call(key, method, path, &body).await }
    };
    as_user(USER, Method::POST, "/api/sessions", json!({"id": "mine"})).await.ok();
    let all = |answer: Value| {
        let items = answer["items"].as_array().unwrap().clone();
        items.into_iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(all(as_user(USER, Method::GET, "/api/sessions", Value::Null).await.ok()), ["mine"]);
    assert_eq!(all(as_user(ADMIN, Method::GET, "/api/sessions", Value::Null).await.ok()), ["mine"]);
    assert_eq!(all(as_user(OTHER, Method::GET, "/api/sessions", Value::Null).await.ok()), [""; 0]);
    for (method, path, body) in [
        (Method::GET, "/api/sessions/mine", Value::Null),
        (Method::GET, "/api/sessions/mine/qr", Value::Null),
        (Method::GET, "/api/sessions/mine/events", Value::Null),
        (Method::DELETE, "/api/sessions/mine", Value::Null),
        (Method::POST, "/api/sessions/mine/stop", Value::Null),
        (Method::POST, "/api/sessions/mine/start", Value::Null),
        (Method::POST, "/api/sessions/mine/restart", Value::Null),
        (Method::POST, "/api/sessions/mine/logout", Value::Null),
        (Method::POST, "/api/sessions/mine/pairing-code", json!({"phone": "6281234567890"})),
        (
            Method::POST,
            "/api/messages/text",
            json!({"sessionId": "mine", "to": "6281234567890", "text": "x"}),
        ),
    ] {
        as_user(OTHER, method.clone(), path, body.clone()).await.error(404, "session_not_found");
        as_user("wrong", method.clone(), path, body.clone()).await.error(401, "unauthorized");
    }
    assert_eq!(
        all(as_user(USER, Method::GET, "/api/sessions", Value::Null).await.ok()),
        ["mine"],
        "nothing changed"
    );
}
