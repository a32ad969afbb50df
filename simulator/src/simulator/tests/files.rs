//! Groups and files through the control API and the media server, on real sockets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::client::media;
use crate::world::media::token;

/// Two phones.
async fn two_phones(simulator: &Simulator) -> [String; 2] {
    let mut numbers = [String::new(), String::new()];
    for number in &mut numbers {
        let (_, phone) = http(simulator, "POST", "/phones", Some(json!({}))).await;
        phone["number"].as_str().unwrap().clone_into(number);
    }
    numbers
}

async fn sends(simulator: &Simulator, number: &str, body: Value) -> (u16, Value) {
    http(simulator, "POST", &format!("/phones/{number}/messages"), Some(body)).await
}

async fn inbox(simulator: &Simulator, number: &str) -> Vec<Value> {
    let (_, page) = http(simulator, "GET", &format!("/phones/{number}/messages"), None).await;
    page["items"].as_array().unwrap().clone()
}

/// What a linked device is told to show to the media server.
async fn auth(simulator: &Simulator, seed: u64) -> (Client, String) {
    let (mut client, _) = Client::pair(simulator, seed).await;
    let ask = iq("set", "w:m").children([NodeBuilder::new("media_conn").build()]).build();
    client.send(&ask).await;
    let answer = client.until("iq").await;
    let conn = answer.get_optional_child("media_conn").unwrap();
    for name in ["ttl", "auth_ttl", "max_buckets"] {
        assert!(conn.attrs.get(name).is_some(), "whatsmeow insists on {name}");
    }
    let host = xml::text(conn.get_optional_child("host").unwrap(), "hostname").unwrap().into_owned();
    assert_eq!(format!("https://{host}"), simulator.media_url());
    (client, xml::text(conn, "auth").unwrap().into_owned())
}

#[tokio::test]
async fn phones_send_each_other_files_and_anything_else() {
    let simulator = start().await;
    let [ann, ben] = two_phones(&simulator).await;
    let bytes = vec![42_u8; 100_000];
    let file = json!({ "kind": "document", "mimeType": "application/pdf", "base64": STANDARD.encode(&bytes),
        "caption": "read this", "fileName": "a.pdf" });
    let (status, sent) = sends(&simulator, &ann, json!({ "to": ben, "media": file })).await;
    assert_eq!(status, 200, "{sent}");
    let raw = json!({ "locationMessage": { "degreesLatitude": 1.5, "name": "here" } });
    sends(&simulator, &ann, json!({ "to": ben, "message": raw })).await;
    let entries = inbox(&simulator, &ben).await;
    let expected = json!({ "kind": "document", "mimeType": "application/pdf", "fileName": "a.pdf",
        "caption": "read this", "size": bytes.len(), "sha256": hex::encode(Sha256::digest(&bytes)) });
    assert_eq!((&entries[0]["media"], &entries[0]["text"]), (&expected, &json!("read this")));
    assert_eq!((&entries[1]["type"], &entries[1]["message"]), (&json!("location"), &raw));
    assert_eq!(inbox(&simulator, &ann).await[0]["media"], expected, "the writer's phone, too");
    let (status, shown) = http_text(&simulator, "GET", &format!("/phones/{ben}/media/1"), "").await;
    assert_eq!((status, shown.as_bytes()), (200, bytes.as_slice()));
    let (_, deleted) = http(&simulator, "DELETE", "/media", None).await;
    assert_eq!(deleted["removed"], 1);
    let (status, gone) = http(&simulator, "GET", &format!("/phones/{ben}/media/1"), None).await;
    assert_eq!((status, &gone["code"]), (410, &json!("gone")));
}

#[tokio::test]
async fn files_that_nobody_can_send_are_refused() {
    let simulator = start().await;
    let [ann, ben] = two_phones(&simulator).await;
    for (media, status, code) in [
        (json!({ "kind": "image", "mimeType": "image/png", "base64": "%" }), 400, "bad_request"),
        (json!({ "kind": "image", "mimeType": "image/png", "base64": "" }), 400, "bad_request"),
        (json!({ "kind": "hologram", "mimeType": "x/y", "base64": "AAAA" }), 400, "bad_request"),
        (json!({ "kind": "image", "mimeType": "", "base64": "AAAA" }), 400, "bad_request"),
        (json!({ "kind": "ptt", "mimeType": "a/b", "base64": "AAAA", "caption": "x" }), 400, "bad_request"),
        (
            json!({ "kind": "image", "mimeType": "a/b", "base64": "AAAA", "fileName": "x" }),
            400,
            "bad_request",
        ),
        (
            json!({ "kind": "image", "mimeType": "a/b", "base64": STANDARD.encode(vec![0; (64 << 20) + 1]) }),
            413,
            "too_large",
        ),
    ] {
        let (found, answer) = sends(&simulator, &ann, json!({ "to": ben, "media": media })).await;
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{answer}");
    }
    let fault = json!({ "kind": "refuse_media", "number": ann, "count": 1, "transfer": "upload" });
    http(&simulator, "POST", "/faults", Some(fault)).await;
    let image = json!({ "kind": "image", "mimeType": "a/b", "base64": "AAAA" });
    let (status, refused) = sends(&simulator, &ann, json!({ "to": ben, "media": image })).await;
    assert_eq!((status, refused["code"].as_str()), (503, Some("media_refused")));
    let fault = json!({ "kind": "refuse_media", "number": ben, "count": 1, "code": 404 });
    http(&simulator, "POST", "/faults", Some(fault)).await;
    sends(&simulator, &ann, json!({ "to": ben, "media": image })).await;
    let entry = inbox(&simulator, &ben).await[0]["media"].clone();
    assert!(entry["sha256"].is_null() && entry["error"].as_str().unwrap().contains("404"), "{entry}");
}

#[tokio::test]
async fn clients_upload_and_fetch_and_go_on_after_a_break() {
    let simulator = start().await;
    let (_client, auth) = auth(&simulator, 21).await;
    let file = (0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let name = token(&file);
    let path = format!("/mms/image/{name}?auth={auth}&token={name}");
    media(&simulator, "POST", &path, &file, Some(300_000)).await;
    let resume = format!("{path}&resume=1");
    let progress = async || {
        let (_, answer) = media(&simulator, "POST", &resume, b"", None).await;
        serde_json::from_slice::<Value>(&answer).unwrap()
    };
    let begun = async || progress().await["resume"].as_str()?.parse::<usize>().ok().filter(|at| *at > 0);
    let offset = loop {
        match begun().await {
            Some(offset) => break offset,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(offset <= 300_000, "{offset}");
    let rest = format!("{path}&file_offset={offset}");
    let (status, answer) = media(&simulator, "POST", &rest, &file[offset..], None).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(status, 200, "{answer}");
    let direct_path = answer["direct_path"].as_str().unwrap();
    assert_eq!(answer["url"], format!("{}{direct_path}", simulator.media_url()));
    assert_eq!(progress().await["resume"], "complete");
    // As whatsmeow, as whatsapp-rust and as Baileys ask for it.
    for query in [
        format!("&hash={name}=&mms-type=image&__wa-mms="),
        format!("?auth={auth}&token={name}"),
        String::new(),
    ] {
        let (status, got) = media(&simulator, "GET", &format!("{direct_path}{query}"), b"", None).await;
        assert!(status == 200 && got == file, "{query}");
    }
}

#[tokio::test]
async fn the_media_server_refuses_what_is_wrong() {
    let simulator = start().await;
    let (_client, auth) = auth(&simulator, 22).await;
    let (name, other) = (token(b"file"), token(b"other"));
    let post = |path: String| {
        let simulator = &simulator;
        async move { media(simulator, "POST", &path, b"file", None).await.0 }
    };
    assert_eq!(post(format!("/mms/image/{name}?auth=x")).await, 401);
    assert_eq!(post(format!("/mms/image/{name}")).await, 401);
    assert_eq!(post(format!("/mms/image/{other}?auth={auth}")).await, 400, "another hash");
    assert_eq!(post(format!("/mms/image/short?auth={auth}")).await, 400);
    assert_eq!(post(format!("/mms/spell/{name}?auth={auth}")).await, 404);
    assert_eq!(post(format!("/mms/image/{name}?auth={auth}&file_offset=9")).await, 416);
    assert_eq!(post(format!("/mms/image/{name}?auth={auth}")).await, 200);
    let path = format!("/v/image/{name}?ccb=1");
    let get = |query: String| {
        let (simulator, path) = (&simulator, &path);
        async move { media(simulator, "GET", &format!("{path}{query}"), b"", None).await.0 }
    };
    assert_eq!(get(format!("&hash={other}")).await, 400);
    assert_eq!(get(format!("&hash={name}")).await, 200);
    assert_eq!(media(&simulator, "GET", &format!("/v/image/{other}"), b"", None).await.0, 404);
    for (transfer, refused) in [("upload", 403), ("download", 410)] {
        let fault = json!({ "kind": "refuse_media", "code": refused, "transfer": transfer, "count": 1 });
        http(&simulator, "POST", "/faults", Some(fault)).await;
    }
    assert_eq!(get(String::new()).await, 410);
    assert_eq!(post(format!("/mms/image/{name}?auth={auth}")).await, 403);
    assert_eq!(get(String::new()).await, 200, "once each");
    http(&simulator, "DELETE", "/media", None).await;
    assert_eq!(get(String::new()).await, 410, "gone");
}

#[tokio::test]
async fn groups_and_files_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { state_dir: Some(dir.path().to_owned()), ..Config::default() };
    let simulator = Simulator::start(config.clone()).await.unwrap();
    let [ann, ben] = two_phones(&simulator).await;
    let new = json!({ "subject": "Crew", "members": [ann, ben] });
    let (status, group) = http(&simulator, "POST", "/groups", Some(new)).await;
    assert_eq!(status, 200, "{group}");
    let image = json!({ "kind": "image", "mimeType": "image/png", "base64": "AAAA" });
    let to = group["id"].clone();
    sends(&simulator, &ann, json!({ "to": to, "media": image })).await;
    simulator.shutdown().await;
    std::fs::write(dir.path().join("media").join("cut-off"), "x").unwrap();
    let simulator = Simulator::start(config).await.unwrap();
    assert_eq!(http(&simulator, "GET", "/groups", None).await.1["items"], json!([group]));
    let (status, _) = sends(&simulator, &ben, json!({ "to": to, "text": "nice" })).await;
    assert_eq!(status, 200);
    assert_eq!(inbox(&simulator, &ann).await[1]["text"], "nice");
    let (status, _) = http_text(&simulator, "GET", &format!("/phones/{ben}/media/1"), "").await;
    assert_eq!(status, 200);
    http(&simulator, "DELETE", "/media", None).await;
    assert_eq!(std::fs::read_dir(dir.path().join("media")).unwrap().count(), 1, "what is not ours stays");
}

#[tokio::test]
async fn groups_are_made_and_changed_by_the_control_api() {
    let simulator = start().await;
    let [ann, ben] = two_phones(&simulator).await;
    let (_, cat) = http(&simulator, "POST", "/phones", Some(json!({}))).await;
    let new = json!({ "subject": "Crew", "members": [ben], "creator": ann });
    let (_, group) = http(&simulator, "POST", "/groups", Some(new)).await;
    let id = group["id"].as_str().unwrap();
    assert!(id.starts_with("120363") && id.ends_with("@g.us"), "{id}");
    let roles = |group: &Value| -> Vec<(String, Value)> {
        let members = group["members"].as_array().unwrap().iter();
        members.map(|m| (m["number"].as_str().unwrap().to_owned(), m["admin"].clone())).collect()
    };
    let mut expected = vec![(ann.clone(), json!("superadmin")), (ben.clone(), Value::Null)];
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(roles(&group), expected);
    let change = |action: &str, member: &Value, by: Option<&str>| {
        let body = json!({ "action": action, "members": [member], "by": by });
        let (simulator, path) = (&simulator, format!("/groups/{id}/members"));
        async move { http(simulator, "POST", &path, Some(body)).await }
    };
    assert_eq!(change("add", &cat["number"], None).await.1["members"].as_array().unwrap().len(), 3);
    let (status, refused) = change("remove", &cat["number"], Some(&ben)).await;
    assert_eq!((status, refused["code"].as_str()), (403, Some("not_an_admin")));
    let (status, refused) = change("add", &cat["number"], None).await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("conflict")));
    assert_eq!(change("promote", &json!(ben), None).await.0, 200);
    assert_eq!(change("remove", &cat["number"], Some(&ben)).await.0, 200);
    let (status, refused) =
        sends(&simulator, cat["number"].as_str().unwrap(), json!({ "to": id, "text": "x" })).await;
    assert_eq!((status, refused["code"].as_str()), (403, Some("not_a_member")));
    let path = format!("/groups/{id}");
    let (_, renamed) = http(&simulator, "PATCH", &path, Some(json!({ "subject": "Club" }))).await;
    assert_eq!(renamed["subject"], "Club");
    assert_eq!(http(&simulator, "GET", &path, None).await.1, renamed);
}
