//! Pairing by code in a cluster: the operator asks for the code, the gateway shows it, and it is written down nowhere.

use crds::conditions::{READY, reason};
use serde_json::{Value, json};
use system_tests::stack::Stack;
use system_tests::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_the_operator_asked_for_links_the_phone() {
    let stack = Stack::start().await;
    let gateway = stack.gateway().await;
    let phone = stack.rig().phone().await;
    stack.apply("toko", json!({"phoneNumber": phone.number, "pairing": {"method": "PairingCode"}})).await;
    let message = stack.reaches("toko", READY, "False", reason::AWAITING_PAIRING).await;
    assert!(message.contains("gateway"), "it says where the code is to be had: {message}");
    let shown = || async {
        let session = gateway.get("/api/sessions/toko").await.body;
        session["pairingCode"].as_str().map(str::to_owned)
    };
    let code = eventually("the code", shown).await;
    // Also one that was not there when the code was made.
    let later = stack.gateway().await;
    let same = || async {
        let session: Value = later.get("/api/sessions/toko").await.body;
        session["pairingCode"].as_str().map(str::to_owned)
    };
    assert_eq!(eventually("the code, from a gateway that has just started", same).await, code);

    let resource = serde_json::to_string(&stack.session("toko").await).unwrap();
    let events = stack.cluster().kubectl(&["-n", stack.namespace(), "events"]).await.ok();
    let log = std::fs::read_to_string(stack.operator_log()).unwrap();
    for (place, text) in [("resource", resource), ("events", events), ("log", log)] {
        let plain = text.replace('-', "");
        assert!(!plain.contains(&code.replace('-', "")), "the code is in the {place}: {text}");
    }
    phone.link_code(&code).await.ok();
    stack.ready("toko").await;
    stack.sends("toko", "linked by code").await;
}
