//! Pages, documents, figures and the headers of every answer.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::rig::{ADMIN, Rig};

async fn without_key(rig: &Rig, path: &str) -> crate::rig::Answer {
    rig.send(Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_page_runs_its_own_scripts_only() {
    let rig = Rig::start();
    assert_eq!(without_key(&rig, "/").await.headers["location"], "/ui");
    let page = without_key(&rig, "/ui").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'self' https://shop.example"), "{policy}");
    let html = String::from_utf8(page.bytes).unwrap();
    assert!(
        !html.contains("onclick") && !html.contains("style=") && !html.contains("<script>"),
        "nothing inline"
    );
    for (attribute, kind) in [("src=\"", "text/javascript"), ("href=\"/ui", "text/css")] {
        for part in html.split(attribute).skip(1).filter(|part| !part.starts_with("data:")) {
            let name = part.split('"').next().unwrap();
            let path = if attribute.starts_with("href") { format!("/ui{name}") } else { name.to_owned() };
            let file = without_key(&rig, &path).await;
            assert!(file.status.is_success() && !file.bytes.is_empty(), "{path}");
            assert!(file.headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        }
    }
    let script = String::from_utf8(without_key(&rig, "/ui/app.js").await.bytes).unwrap();
    assert!(!script.contains("innerHTML") && !script.contains("insertAdjacentHTML"));
}

#[tokio::test]
async fn the_documentation_is_complete_and_local() {
    let rig = Rig::start();
    let document = without_key(&rig, "/openapi.json").await.ok();
    let kept = include_str!("../../openapi.json");
    let kept: Value = serde_json::from_str(kept).unwrap();
    assert!(document == kept, "the document that is served is the one that is kept");
    assert_eq!(without_key(&rig, "/docs").await.headers["location"], "/docs/");
    let page = String::from_utf8(without_key(&rig, "/docs/").await.bytes).unwrap();
    assert!(page.contains("swagger-ui") && !page.contains("https://"), "{page}");
    let script = String::from_utf8(without_key(&rig, "/docs/swagger-initializer.js").await.bytes).unwrap();
    assert!(script.contains("/openapi.json"), "{script}");
}

#[tokio::test]
async fn every_answer_has_an_id_and_careful_headers() {
    let rig = Rig::start();
    for path in ["/ping", "/api/sessions", "/nothing"] {
        let answer = rig.get(path).await;
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["x-request-id"].len(), 36, "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
    let request = Request::get("/ping").header("X-Request-Id", "mine-1").body(Body::empty()).unwrap();
    assert_eq!(rig.send(request).await.headers["x-request-id"], "mine-1");
}

#[tokio::test]
async fn only_allowed_origins_may_call() {
    let rig = Rig::start();
    let asked = async |origin: &str| {
        let request = Request::builder().method("OPTIONS").uri("/api/sessions");
        let request = request.header("Origin", origin).header("Access-Control-Request-Method", "POST");
        let request = request.header("Access-Control-Request-Headers", "x-api-key,content-type");
        rig.send(request.body(Body::empty()).unwrap())
            .await
            .headers
            .get("access-control-allow-origin")
            .cloned()
    };
    assert_eq!(asked("https://shop.example").await.unwrap(), "https://shop.example");
    for other in ["https://shop.example.evil.com", "http://shop.example", "https://shop.example:8443", "null"]
    {
        assert_eq!(asked(other).await, None, "{other}");
    }
}

#[tokio::test]
async fn figures_name_no_session_without_the_admins_key() {
    let rig = Rig::start();
    rig.post("/api/sessions", json!({"id": "secret-name"})).await.ok();
    std::fs::write(rig.folder.path().join("x"), "").unwrap();
    for path in ["/health", "/health/live", "/health/ready", "/health/misc?full=1", "/metrics", "/ping"] {
        let answer = without_key(&rig, path).await;
        assert!(answer.status.is_success(), "{path}");
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("secret-name"), "{path}");
    }
    let health = without_key(&rig, "/health").await.ok();
    assert_eq!((&health["status"], &health["sessions"]["total"]), (&json!("ok"), &json!(1)));
    assert!(health["memory"]["rss"].as_u64().unwrap() > 1_000_000 && health["loadavg"].is_array());
    let misc = without_key(&rig, "/health/misc?full=1").await.ok();
    assert!(
        misc["interfaces"].is_array()
            && misc["cpu"]["count"].as_u64() > Some(0)
            && misc["sessionList"].is_null()
    );
    assert!(without_key(&rig, "/health/misc").await.ok()["interfaces"].is_null());
    let misc = rig.get("/health/misc").await.ok();
    assert_eq!(misc["sessionList"][0]["id"], "secret-name");
    rig.call("wrong", "GET", "/health/misc", Value::Null).await.error(401, "unauthorized");
    let pong = without_key(&rig, "/ping").await.ok();
    assert!(pong["pong"] == true && pong["ts"].as_u64() > Some(1_700_000_000_000));
}

#[tokio::test]
async fn any_text_becomes_a_picture() {
    let rig = Rig::start();
    let png = without_key(&rig, "/utils/qr.png?data=2%40abc%2Cdef").await;
    assert_eq!(
        (&png.bytes[..4], &png.headers["content-type"]),
        (&b"\x89PNG"[..], &"image/png".parse().unwrap())
    );
}

#[tokio::test]
async fn deleting_tells_what_was_done() {
    let rig = Rig::start();
    rig.post("/api/sessions", json!({"id": "shop"})).await.ok();
    let deleted = rig.call(ADMIN, "DELETE", "/api/sessions/shop?mode=creds", Value::Null).await.ok();
    assert_eq!(
        deleted,
        json!({"ok": true, "id": "shop", "mode": "creds",
            "steps": {"loggedOut": false, "credentialsRemoved": true, "resourceRemoved": false}})
    );
    assert_eq!(rig.get("/api/sessions/shop").await.ok()["status"], "suspended");
    let deleted = rig.call(ADMIN, "DELETE", "/api/sessions/shop", Value::Null).await.ok();
    assert_eq!((&deleted["mode"], &deleted["steps"]["resourceRemoved"]), (&json!("meta"), &json!(true)));
    rig.get("/api/sessions/shop").await.error(404, "session_not_found");
}
