//! A proxy that is changed back while its session is suspended and the operator away: the one that was in between is not
//! dialled again. A text through the wrong exit can cost a number.

use crds::conditions::{SUSPENDED, reason};
use serde_json::json;
use system_tests::stack::Stack;
use system_tests::wait::eventually;

use super::servers::{Kind, Proxy};
use crate::lifecycle::secret;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_comes_back_dials_only_the_proxy_that_is_asked_for_now() {
    let mut stack = Stack::start().await;
    let (first, second) = (Proxy::start(Kind::Connect).await, Proxy::start(Kind::Socks).await);
    secret(&stack, "exit", "url", &first.url).await;
    stack.paired("toko", json!({"proxy": {"secretRef": {"name": "exit", "key": "url"}}})).await;
    secret(&stack, "exit", "url", &second.url).await;
    eventually("the other proxy", || async { (second.tunnels() > 0).then_some(()) }).await;
    stack.ready("toko").await;
    stack.patch("toko", json!({"operatingMode": "Suspended"})).await;
    stack.reaches("toko", SUSPENDED, "True", reason::SUSPENDED).await;

    stack.kill_operator().await;
    secret(&stack, "exit", "url", &first.url).await;
    stack.patch("toko", json!({"operatingMode": "Running"})).await;
    let before = (first.tunnels(), second.tunnels());
    stack.start_operator(&[]).await;
    stack.ready("toko").await;
    stack.sends("toko", "through the first again").await;
    assert!(first.tunnels() > before.0, "{}", first.tunnels());
    assert_eq!(second.tunnels(), before.1, "what was pushed to the former pod is dialled no more");
}
