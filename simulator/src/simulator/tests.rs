//! The whole server on real sockets, with a scripted client.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

mod files;

use super::*;
use crate::testing::Companion;
use crate::testing::client::{Client, Options, http, http_text};
use crate::testing::iq;
use crate::xml;
use rand::SeedableRng;
use rand::rngs::StdRng;

async fn start() -> Simulator {
    Simulator::start(Config::default()).await.unwrap()
}

fn active() -> Node {
    iq("set", "passive").children([NodeBuilder::new("active").build()]).build()
}

#[tokio::test]
async fn a_client_pairs_logs_in_and_gets_what_a_phone_writes() {
    let simulator = start().await;
    let (mut client, companion) = Client::pair(&simulator, 1).await;
    client.send(&companion.upload(20, &mut StdRng::seed_from_u64(5))).await;
    client.send(&active()).await;
    let end = loop {
        let ib = client.until("ib").await;
        if xml::first_tag(&ib) == "offline" {
            break ib;
        }
    };
    assert!(end.children().unwrap()[0].attrs.get("count").is_some());
    let (_, phone) = http(&simulator, "POST", "/phones", Some(json!({ "name": "Bob" }))).await;
    let path = format!("/phones/{}/messages", phone["number"].as_str().unwrap());
    let body = json!({ "to": companion.id.number, "text": "hello" });
    let (status, sent) = http(&simulator, "POST", &path, Some(body)).await;
    assert_eq!(status, 200, "{sent}");
    let message = loop {
        let message = client.until("message").await;
        if !xml::is(&message, "category", "peer") {
            break message;
        }
    };
    assert!(xml::is(&message, "id", sent["id"].as_str().unwrap()));
    assert!(xml::is(&message, "notify", "Bob"));
    // The phone that shares the account reads the text itself.
    let path = format!("/phones/{}/messages?since=0&wait=30", companion.id.number);
    let (_, inbox) = http(&simulator, "GET", &path, None).await;
    assert_eq!(inbox["items"][0]["text"], "hello");
    assert_eq!(inbox["next"], 1);
    assert_eq!(http(&simulator, "GET", "/unknown", None).await.1["items"], json!([]));
    simulator.shutdown().await;
}

#[tokio::test]
async fn every_handshake_works_plain_and_over_tls() {
    let simulator = start().await;
    let (first, companion) = Client::pair(&simulator, 2).await;
    let server_static = Some(first.server_static);
    for tls in [false, true] {
        for (server_static, routed, accepted_ik) in [
            (None, true, false),
            (server_static, false, true),
            // A key that is not the server's: the client must be led back to XX.
            (Some([9; 32]), false, false),
        ] {
            let options = Options { tls, server_static, routed };
            let client = Client::log_in(&simulator, &companion, options).await;
            assert_eq!(client.accepted_ik, accepted_ik);
            assert_eq!(client.server_static, first.server_static);
        }
    }
}

#[tokio::test]
async fn garbage_does_not_disturb_the_others() {
    let simulator = start().await;
    let (mut client, _) = Client::pair(&simulator, 3).await;
    let address = simulator.ws_url().replace("ws://", "").replace("/ws/chat", "");
    for garbage in ["\0\0\0", "GET /elsewhere HTTP/1.1\r\n\r\n", "POST / HTTP/1.0\r\n\r\n"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(garbage.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    }
    client.send(&iq("get", "w:p").build()).await;
    assert!(xml::is(&client.until("iq").await, "type", "result"));
}

#[tokio::test]
async fn sessions_survive_a_restart_with_a_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { state_dir: Some(dir.path().to_owned()), ..Config::default() };
    let simulator = Simulator::start(config.clone()).await.unwrap();
    let (client, companion) = Client::pair(&simulator, 4).await;
    let known = (simulator.root_public_key(), simulator.ca_pem().to_owned(), client.server_static);
    simulator.shutdown().await;
    let simulator = Simulator::start(config.clone()).await.unwrap();
    let options = Options { server_static: Some(known.2), ..Options::default() };
    let client = Client::log_in(&simulator, &companion, options).await;
    assert!(client.accepted_ik);
    assert_eq!((simulator.root_public_key(), simulator.ca_pem()), (known.0, known.1.as_str()));
    assert!(simulator.ca_file().unwrap().is_file());
    simulator.shutdown().await;
    std::fs::write(dir.path().join("world.json"), "{").unwrap();
    let error = Simulator::start(config).await.unwrap_err().to_string();
    assert!(error.contains("world.json") && error.contains("remove the file"), "{error}");
}

#[tokio::test]
async fn the_control_api_answers_bad_input_clearly() {
    let simulator = start().await;
    let (_, phone) = http(&simulator, "POST", "/phones", Some(json!({ "number": "6281234567" }))).await;
    assert_eq!(phone["number"], "6281234567");
    for (method, path, body, status, code) in [
        ("POST", "/phones", "{", 400, "bad_request"),
        ("POST", "/phones", "{\"nmae\":1}", 400, "bad_request"),
        ("POST", "/phones", "{\"number\":\"x\"}", 400, "bad_request"),
        ("POST", "/phones", "{\"number\":\"6281234567\"}", 409, "conflict"),
        ("POST", "/phones/scan", "{\"qr\":\"hello\"}", 400, "bad_request"),
        ("POST", "/phones/6281234567/scan", "{\"qr\":\"hello\"}", 400, "bad_request"),
        ("POST", "/phones/6281234567/link-code", "{\"code\":\"ABCD1234\"}", 404, "not_found"),
        ("GET", "/phones/999999/messages", "", 404, "not_found"),
        ("POST", "/phones/6281234567/messages", "{\"to\":\"6281111111\",\"text\":\"x\"}", 404, "not_found"),
        ("POST", "/phones/6281234567/messages", "{\"to\":\"6281234567\",\"text\":\"\"}", 400, "bad_request"),
        ("POST", "/phones/6281234567/messages", "{\"to\":\"6281234567\"}", 400, "bad_request"),
        (
            "POST",
            "/phones/6281234567/messages",
            "{\"to\":\"6281234567\",\"text\":\"x\",\"message\":{\"conversation\":\"y\"}}",
            400,
            "bad_request",
        ),
        (
            "POST",
            "/phones/6281234567/messages",
            "{\"to\":\"6281234567\",\"message\":{\"konversation\":\"y\"}}",
            400,
            "bad_request",
        ),
        ("POST", "/phones/6281234567/messages", "{\"to\":\"1@g.us\",\"text\":\"x\"}", 404, "not_found"),
        ("GET", "/phones/6281234567/media/1", "", 404, "not_found"),
        ("POST", "/groups", "{\"subject\":\"x\",\"members\":[]}", 400, "bad_request"),
        ("POST", "/groups", "{\"subject\":\"\",\"members\":[\"6281234567\"]}", 400, "bad_request"),
        ("POST", "/groups", "{\"subject\":\"x\",\"members\":[\"6281111111\"]}", 404, "not_found"),
        ("GET", "/groups/1", "", 404, "not_found"),
        ("POST", "/groups/1/members", "{\"action\":\"kick\",\"members\":[\"1\"]}", 400, "bad_request"),
        ("POST", "/groups/1/members", "{\"action\":\"add\",\"members\":[\"1\"]}", 404, "not_found"),
        ("POST", "/faults", "{\"kind\":\"refuse_media\",\"code\":200}", 400, "bad_request"),
        ("POST", "/phones/6281234567/read", "{\"ids\":[]}", 400, "bad_request"),
        ("DELETE", "/phones/6281234567/devices/1", "", 404, "not_found"),
        ("DELETE", "/phones/6281234567/devices/x", "", 400, "bad_request"),
        ("GET", "/phones/6281234567/messages?since=x", "", 400, "bad_request"),
        ("POST", "/faults", "{\"kind\":\"nack\"}", 400, "bad_request"),
        ("POST", "/faults", "{\"kind\":\"flood\"}", 400, "bad_request"),
        ("POST", "/faults", "{\"kind\":\"stream_error\"}", 400, "bad_request"),
        ("PUT", "/phones", "", 405, "method_not_allowed"),
        ("GET", "/nowhere", "", 404, "not_found"),
    ] {
        let (found, answer) = http_text(&simulator, method, path, body).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{method} {path} {body}");
        assert_eq!(answer["ok"], false);
        assert!(answer["error"].as_str().is_some_and(|text| text.len() > 10));
    }
    let (_, phones) = http(&simulator, "GET", "/phones", None).await;
    assert_eq!(phones["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_control_api_shows_the_server_itself() {
    let simulator = start().await;
    let (_, root) = http(&simulator, "GET", "/root", None).await;
    assert_eq!(root["rootPublicKey"], hex::encode(simulator.root_public_key()));
    assert_eq!(root["caPem"], simulator.ca_pem());
    let (status, page) = http_text(&simulator, "GET", "/", "").await;
    assert!(status == 200 && page.contains("<title>WhatsApp simulator"));
    let (_client, _) = Client::pair(&simulator, 5).await;
    let (_, metrics) = http_text(&simulator, "GET", "/metrics", "").await;
    assert!(metrics.contains("simulator_devices_online 1\n"), "{metrics}");
    assert!(metrics.contains("simulator_stanzas_sent_total{tag=\"success\"} 1\n"), "{metrics}");
    let fault = json!({ "kind": "latency", "ms": 5, "device": 1 });
    http(&simulator, "POST", "/faults", Some(fault.clone())).await;
    assert_eq!(http(&simulator, "GET", "/faults", None).await.1["items"], json!([fault]));
    http(&simulator, "DELETE", "/faults", None).await;
    assert_eq!(http(&simulator, "GET", "/faults", None).await.1["items"], json!([]));
}

#[tokio::test]
async fn a_device_that_does_not_sign_is_reported_to_the_one_who_scans() {
    let simulator = start().await;
    let mut companion = Companion::new(&mut StdRng::seed_from_u64(6));
    let registration = companion.registration();
    let mut client = Client::connect(&simulator, &companion, &registration, Options::default()).await;
    companion.read_references(&client.next().await.unwrap());
    let body = json!({ "qr": companion.qr(0) });
    let ((status, answer), ()) = tokio::join!(http(&simulator, "POST", "/phones/scan", Some(body)), async {
        client.until("iq").await;
        drop(client);
    });
    assert_eq!((status, answer["code"].as_str()), (409, Some("not_linked")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_sessions_stay_connected() {
    let simulator = Arc::new(start().await);
    let mut clients = Vec::new();
    for wave in 0..10 {
        let wave = (0..50).map(|index| {
            let simulator = Arc::clone(&simulator);
            tokio::spawn(async move {
                let (mut client, _) = Client::pair(&simulator, 1000 + wave * 50 + index).await;
                client.send(&active()).await;
                client
            })
        });
        for client in wave.collect::<Vec<_>>() {
            clients.push(client.await.unwrap());
        }
    }
    for client in &mut clients {
        client.send(&iq("get", "w:p").attr("id", "ping").build()).await;
    }
    for client in &mut clients {
        loop {
            let answer = client.until("iq").await;
            if xml::is(&answer, "id", "ping") {
                assert!(xml::is(&answer, "type", "result"));
                break;
            }
        }
    }
    let (_, metrics) = http_text(&simulator, "GET", "/metrics", "").await;
    assert!(metrics.contains("simulator_devices_online 500\n"), "{metrics}");
}
