//! The service account's token and the API server's authority are replaced while operator and gateway run, as a kubelet replaces
//! the files of a pod: they go on without a restart. An authority that changes without notice is told, and nothing is lost by it.

use crds::conditions::{READY, reason};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount as Account};
use kube::api::{DeleteParams, PostParams};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::api_proxy::ApiProxy;
use system_tests::gateway::{ADMIN, ClusterGateway};
use system_tests::http;
use system_tests::service_account::ServiceAccount;
use system_tests::stack::Stack;
use system_tests::tls_front::{Authority, TlsFront};
use system_tests::wait::eventually;

use crate::clocks::Clock;
use crate::late::LEASE;

const OPERATOR: &str = "warest-operator";
const GATEWAY: &str = "warest-gateway";

/// kube-client looks at its files again after a minute, by the wall clock (token) and by the monotonic one (authority).
const READ_AGAIN: i64 = 61;

/// A lease that outlives the jump of the clock.
const PATIENT: [(&str, &str); 3] = [
    ("WAREST_LEASE_DURATION_SECONDS", "3600"),
    ("WAREST_LEASE_RENEW_DEADLINE_SECONDS", "3000"),
    ("WAREST_LEASE_RETRY_SECONDS", "1"),
];

/// A token of a service account that is good for as long as this Secret is there.
async fn token(stack: &Stack, account: &str, secret: &str) -> String {
    let secrets = stack.api::<Secret>();
    let object: Secret = serde_json::from_value(json!({"metadata": {"name": secret}})).unwrap();
    let object = secrets.create(&PostParams::default(), &object).await.unwrap();
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        name: Some(secret.to_owned()),
        uid: object.metadata.uid,
    };
    let spec = TokenRequestSpec { bound_object_ref: Some(bound), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let accounts = stack.api::<Account>();
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
    answer.status.unwrap().token
}

/// An API server whose certificate can change, and what programs in pods know of it.
struct Inside {
    stack: Stack,
    proxy: ApiProxy,
    front: TlsFront,
    clock: Clock,
    operator: ServiceAccount,
    gateway: ServiceAccount,
    tokens: [String; 2],
}

impl Inside {
    async fn new(authority: &Authority) -> Self {
        let stack = Stack::without_operator().await;
        let proxy = stack.proxy().await;
        let front = TlsFront::start(proxy.address(), authority).await;
        let tokens =
            [token(&stack, OPERATOR, "operator-first").await, token(&stack, GATEWAY, "gateway-first").await];
        let [operator, gateway] = tokens
            .each_ref()
            .map(|token| ServiceAccount::new(front.address(), stack.namespace(), token, authority.pem()));
        Self { clock: Clock::new().await, stack, proxy, front, operator, gateway, tokens }
    }

    /// Starts the operator and waits until a session waits for pairing.
    async fn operate(&mut self, lease: &[(&str, &str)]) {
        let clock = self.clock.environment();
        self.stack.start_operator_as(&self.operator, &[&clock[..], lease].concat()).await;
        self.stack.apply("old", json!({})).await;
        self.stack.reaches("old", READY, "False", reason::AWAITING_PAIRING).await;
    }

    async fn serve(&self) -> ClusterGateway {
        let clock = self.clock.environment();
        let more = [&clock[..], &[("ADMIN_API_KEY", ADMIN)]].concat();
        ClusterGateway::in_pod(&self.gateway, self.stack.namespace(), &more).await.ready().await
    }

    fn trust(&self, authorities: &[&Authority]) {
        let bundle: String = authorities.iter().map(|authority| authority.pem()).collect();
        for account in [&self.operator, &self.gateway] {
            account.replace("ca.crt", &bundle);
        }
    }

    /// Gives both programs another token; when they use it, the old one is no good any more.
    async fn replace_tokens(&self, rest: &ClusterGateway) {
        let stack = &self.stack;
        let new =
            [token(stack, OPERATOR, "operator-second").await, token(stack, GATEWAY, "gateway-second").await];
        self.operator.replace("token", &new[0]);
        self.gateway.replace("token", &new[1]);
        self.a_minute_later(rest).await;
        self.proxy.break_watches();
        eventually("the new tokens to be used", || async {
            new.iter().all(|token| self.proxy.saw_token(token)).then_some(())
        })
        .await;
        for secret in ["operator-first", "gateway-first"] {
            stack.api::<Secret>().delete(secret, &DeleteParams::default()).await.unwrap();
        }
        let path = format!("/apis/warest.io/v1alpha1/namespaces/{}/whatsappsessions", stack.namespace());
        let url = format!("{}{path}", self.proxy.url());
        for old in &self.tokens {
            eventually("the old token to be refused", || async {
                (http::send(http::client().get(&url).bearer_auth(old)).await.status == 401).then_some(())
            })
            .await;
        }
    }

    /// Lets the minute pass after which files are read again; connections that the gateway has for callers end with it.
    async fn a_minute_later(&self, rest: &ClusterGateway) {
        self.clock.step(READ_AGAIN);
        let url = format!("{}/health", rest.url());
        eventually("the gateway to answer", || async { http::client().get(&url).send().await.ok() }).await;
    }

    /// Both programs do what they are there for.
    async fn works(&self, rest: &ClusterGateway, name: &str) {
        // The gateway learns of it, the operator makes its pod, the gateway sees that end again.
        rest.post("/api/sessions", &json!({"id": name})).await.ok();
        eventually("the new session's pod", || async { self.stack.pod(name).await }).await;
        self.stack.patch(name, json!({"operatingMode": "Suspended"})).await;
        self.stack.reaches(name, READY, "False", reason::SUSPENDED).await;
        rest.session_is(name, "suspended").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_an_authority_that_are_replaced_are_used() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut inside = Inside::new(&old).await;
    inside.operate(&PATIENT).await;
    let mut rest = inside.serve().await;
    let before = (inside.stack.operator().process().id(), rest.process().id());
    inside.replace_tokens(&rest).await;
    inside.works(&rest, "with-a-new-token").await;

    // First both are trusted, then the server presents the new one's, then the old one is gone.
    inside.trust(&[&old, &new]);
    inside.a_minute_later(&rest).await;
    inside.front.present(&new);
    inside.works(&rest, "with-a-new-authority").await;
    inside.trust(&[&new]);
    inside.a_minute_later(&rest).await;
    inside.front.present(&new);
    inside.works(&rest, "with-no-other").await;
    assert!(inside.front.convinced() >= 2, "operator and gateway have connected anew");
    assert_eq!(
        (inside.stack.operator().process().id(), rest.process().id()),
        before,
        "neither was restarted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_changes_without_notice_is_told_and_ends_no_session() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut inside = Inside::new(&old).await;
    inside.operate(&LEASE).await;
    let rest = inside.serve().await;
    let pod = inside.stack.pod_uid("old").await;
    inside.front.present(&new);
    let operator = inside.stack.operator().process();
    assert_eq!(operator.ended().await.code(), Some(1), "another may lead");
    let told = operator.output();
    assert!(told.contains("invalid peer certificate"), "{told}");
    let health =
        || async { http::json(Method::GET, &format!("{}/health", rest.url()), &Value::Null).await.ok() };
    eventually("the gateway to notice", || async {
        (health().await["knowledge"]["state"] == "stale").then_some(())
    })
    .await;
    assert_eq!(inside.front.convinced(), 0);
    let shown = rest.get("/api/sessions/old").await.ok();
    assert_eq!(shown["status"], "qr", "the session is served all the same: {shown}");

    // The kubelet catches up. The operator is started again; the gateway goes on.
    inside.trust(&[&new]);
    inside.a_minute_later(&rest).await;
    inside.operate(&LEASE).await;
    inside.works(&rest, "after").await;
    assert_eq!(health().await["knowledge"]["state"], "current");
    assert_eq!(inside.stack.pod_uid("old").await, pod);
}
