//! What the steps hand on to each other.
//!
//! Comes in: nothing. Goes out: handles that read as the scenario.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::external::socketio::SocketIo;
use system_tests::gateway::Rest;
use system_tests::http;
use system_tests::rig::{Phone, Rig};
use system_tests::wait::within;
use system_tests::witness::Witness;

use crate::kubernetes::{Kubernetes, LIMIT, NAMESPACE};
use crate::pairings::Pairings;
use crate::writers::Writers;

/// The session of `examples/session.yaml`.
pub(crate) const SESSION: &str = "toko";

/// See the file's comment. A step may rely on what the steps before it have set.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) kubernetes: Kubernetes,
    rig: Option<Rig>,
    phone: Option<Phone>,
    friend: Option<Phone>,
    device: Option<u64>,
    texts: u32,
    /// How often the session's volume was opened so far, as the scenario has it.
    pub(crate) opened: i64,
    pub(crate) pods: Option<Witness>,
    pub(crate) pairings: Option<Pairings>,
    pub(crate) writers: Option<Writers>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            kubernetes: Kubernetes::new(),
            rig: None,
            phone: None,
            friend: None,
            device: None,
            texts: 0,
            opened: 0,
            pods: None,
            pairings: None,
            writers: None,
        }
    }

    /// Finds the simulator's Service and the phones, anew after its pod or the network may have changed.
    pub(crate) async fn call_phones(&mut self) {
        let address = self.kubernetes.service("simulator", "simulator", 4001).await;
        answers(&format!("http://{address}/phones")).await;
        self.rig = Some(Rig::at(&format!("http://{address}"), "ws://simulator.simulator:4002/ws/chat"));
        let rig = self.rig();
        let phone = self.phone.as_ref().map(|phone| rig.known(&phone.number));
        let friend = match &self.friend {
            Some(friend) => rig.known(&friend.number),
            None => rig.phone().await,
        };
        (self.phone, self.friend) = (phone, Some(friend));
    }

    /// The session's phone is the one that says this of its scan.
    pub(crate) fn linked(&mut self, scanned: &Value) {
        self.phone = Some(self.rig().known(scanned["number"].as_str().expect("a number")));
        self.device = scanned["deviceId"].as_u64();
    }

    pub(crate) fn rig(&self) -> &Rig {
        self.rig.as_ref().expect("the simulator runs")
    }

    /// The session's phone.
    pub(crate) fn phone(&self) -> &Phone {
        self.phone.as_ref().expect("the session is linked")
    }

    /// Somebody else's.
    pub(crate) fn friend(&self) -> &Phone {
        self.friend.as_ref().expect("the simulator runs")
    }

    /// The gateway's Service and its admin's key, as the README has it.
    pub(crate) async fn gateway(&mut self) -> (Rest, String) {
        let key = self.kubernetes.kubectl(
            r#"get secret warest-api-keys -o go-template='{{index .data "admin-api-key" | base64decode}}'"#,
        );
        let key = key.await;
        let address = self.kubernetes.service(NAMESPACE, "warest-gateway", 4000).await;
        answers(&format!("http://{address}/health/ready")).await;
        (Rest::at(&address, &key), key)
    }

    /// A Socket.IO client in a session's room.
    pub(crate) async fn socket(&mut self, session: &str) -> SocketIo {
        let (gateway, key) = self.gateway().await;
        let mut socket = SocketIo::connected(&gateway, &key).await;
        let joined = socket.join(&json!(session)).await;
        assert_eq!(joined["ok"], true, "{joined}");
        socket
    }

    /// `kubectl wait --for=condition=Ready`.
    pub(crate) async fn ready(&self) {
        self.kubernetes.kubectl(&format!("wait --for=condition=Ready was/{SESSION} --timeout=180s")).await;
    }

    /// UID of the session's pod.
    pub(crate) async fn pod_uid(&self) -> String {
        let pod = self.kubernetes.get(&format!("pod/{SESSION}")).await;
        pod["metadata"]["uid"].as_str().expect("a UID").to_owned()
    }

    /// Waits until the session's pod is another one, and the session Ready.
    pub(crate) async fn replaced(&self, before: &str) {
        within(LIMIT, "another pod of the session", || async {
            let pod = self.kubernetes.find(&format!("pod/{SESSION}")).await?;
            (pod["metadata"]["uid"] != before).then_some(())
        })
        .await;
        self.ready().await;
    }

    /// The session took up where it was: a text arrives, and the phone has the one device that it linked.
    pub(crate) async fn resumed(&mut self) {
        self.sends().await;
        let phones = self.rig().control(Method::GET, "/phones", &Value::Null).await.ok();
        let number = &self.phone().number;
        let ours =
            phones["items"].as_array().expect("phones").iter().find(|phone| phone["number"] == **number);
        let devices = ours.expect("the session's phone")["devices"].as_array().expect("devices");
        assert_eq!(devices.len(), 1, "linked once: {devices:?}");
        assert_eq!(devices[0]["id"].as_u64(), self.device, "{devices:?}");
        assert_eq!(devices[0]["online"], true, "{devices:?}");
    }

    /// Sends a text of its own through the gateway; the friend's phone shows it.
    pub(crate) async fn sends(&mut self) {
        self.texts += 1;
        let (gateway, _) = self.gateway().await;
        gateway.session_is(SESSION, "open").await;
        let text = format!("Halo {}", self.texts);
        let body = json!({"sessionId": SESSION, "to": self.friend().number, "text": text});
        gateway.post("/api/messages/text", &body).await.ok();
        self.friend().receives(&text).await;
    }

    /// Asserts that the operator counts as many openings of the volume as there were reasons for one.
    pub(crate) async fn opened_once_more(&mut self) {
        self.opened += 1;
        let wanted = self.opened;
        within(LIMIT, &format!("writer epoch {wanted}"), || async {
            let session = self.kubernetes.get(&format!("was/{SESSION}")).await;
            let epoch = session["status"]["writerEpoch"].as_i64().unwrap_or_default();
            assert!(epoch <= wanted, "the volume was opened {epoch} times, with {wanted} reasons");
            (epoch == wanted).then_some(())
        })
        .await;
    }
}

/// Waits until a Service leads to a pod that is ready: the node's packet filter follows the pods a moment later.
async fn answers(url: &str) {
    within(LIMIT, &format!("{url} to answer"), || async {
        http::client().get(url).send().await.ok().filter(|answer| answer.status().is_success())
    })
    .await;
}
