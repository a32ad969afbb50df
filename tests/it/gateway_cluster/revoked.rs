//! Connections of a key that is taken out of the Secret, or replaced in it, while the gateway runs. The client is one of plain
//! requests, so that every packet is seen.

use std::time::Duration;

use serde_json::{Value, json};
use system_tests::http;

use super::gateway::{ALICE, Gateway, KEYS, keys};
use super::prepared;

/// Engine.IO's packet for "are you there".
const PING: &str = "2";
/// How long a packet is waited for.
const IN_TIME: Duration = Duration::from_secs(30);

/// A Socket.IO client over long polls.
struct Polling {
    url: String,
}

impl Polling {
    /// Opens a connection and presents a key; gives the client and how the gateway answered.
    async fn present(gateway: &Gateway, key: &str) -> (Self, String) {
        let url = format!("{}/socket.io/?EIO=4&transport=polling", gateway.url());
        let open = http::client().get(&url).send().await.unwrap().text().await.unwrap();
        let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        let client = Self { url: format!("{url}&sid={}", open["sid"].as_str().unwrap()) };
        client.says(&format!("40{}", json!({"apiKey": key}))).await;
        let answer = client.hears("4").await;
        (client, answer)
    }

    async fn connected(gateway: &Gateway, key: &str) -> Self {
        let (client, answer) = Self::present(gateway, key).await;
        assert!(answer.starts_with("40{"), "{answer}");
        client
    }

    async fn says(&self, packet: &str) {
        let sent = http::client().post(&self.url).body(packet.to_owned()).send().await.unwrap();
        assert_eq!(sent.text().await.unwrap(), "ok", "{packet}");
    }

    /// The next packet that begins so.
    async fn hears(&self, begin: &str) -> String {
        let listening = async {
            loop {
                let text = http::client().get(&self.url).send().await.unwrap().text().await.unwrap();
                let mut packets = text.split('\u{1e}');
                if let Some(found) = packets.clone().find(|packet| packet.starts_with(begin)) {
                    return found.to_owned();
                }
                if packets.any(|packet| packet == PING) {
                    self.says("3").await;
                }
            }
        };
        tokio::time::timeout(IN_TIME, listening).await.unwrap_or_else(|_| panic!("{begin} in time"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_a_revoked_key_are_closed_and_no_others() {
    let stack = prepared().await;
    let (cluster, namespace) = (stack.cluster(), stack.namespace());
    let gateway = Gateway::start(cluster, namespace).await.ready().await;
    let (alice, bob) =
        (Polling::connected(&gateway, ALICE).await, Polling::connected(&gateway, "bob-key").await);
    keys(cluster, namespace, &KEYS.replace("alice-key", "new-key")).await;
    assert_eq!(alice.hears("41").await, "41", "replaced: the old one's connection is closed");
    let (_, refused) = Polling::present(&gateway, ALICE).await;
    assert!(refused.starts_with("44") && refused.contains("unauthorized"), "{refused}");
    let replaced = Polling::connected(&gateway, "new-key").await;
    bob.says(r#"421["join",{"room":"nothing"}]"#).await;
    let answer = bob.hears("431").await;
    assert!(answer.contains("session_not_found"), "bob's goes on: {answer}");
    let without_bob: Vec<&str> = KEYS.lines().filter(|line| !line.contains("bob")).collect();
    keys(cluster, namespace, &without_bob.join("\n").replace("alice-key", "new-key")).await;
    assert_eq!(bob.hears("41").await, "41", "removed");
    replaced.says(r#"422["join",{"room":"nothing"}]"#).await;
    assert!(replaced.hears("432").await.contains("session_not_found"));
}
