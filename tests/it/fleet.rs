//! Many sessions at once, on nodes that only play their pods: exact counts of what the operator asks of the API server. How
//! long it takes with thousands is for `make bench`.

use axum::http::{Method, StatusCode};
use crds::WhatsAppSession;
use futures_util::{StreamExt as _, stream};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use system_tests::api_proxy::{ApiProxy, Fault, Rule};
use system_tests::cluster::kwok::{Kwok, STAGES};
use system_tests::cluster::{Cluster, ClusterConfig};
use system_tests::stack::Stack;
use system_tests::wait::eventually;
use system_tests::witness::Witness;

use crate::evidence::{Population, Writes, figure};

/// More than one page of a list.
const MANY: usize = 110;

/// Requests that are under way at the same time.
const AT_ONCE: usize = 16;

/// A cluster whose nodes only play pods.
struct Fleet {
    stack: Stack,
    proxy: ApiProxy,
    population: Population,
    _kwok: Kwok,
}

impl Fleet {
    async fn start() -> Self {
        let stack = Stack::on_own_cluster(Cluster::start(ClusterConfig::default()).await).await;
        let kwok = stack.cluster().start_kwok(2, STAGES).await;
        let proxy = stack.proxy().await;
        Self { population: Population::of(&stack), stack, proxy, _kwok: kwok }
    }

    /// Starts the operator; nothing is known of how a played pod ended, and nobody is waited for.
    async fn operate(&mut self) {
        let more = [("WAREST_LEADER_ELECT", "false"), ("WAREST_NODE_GRACE_SECONDS", "0")];
        self.stack.start_operator_through(&self.proxy, &more).await;
    }

    async fn create(&self, names: impl Iterator<Item = String>) {
        let api: Api<WhatsAppSession> = self.stack.api();
        let made = stream::iter(names).map(|name| {
            let api = api.clone();
            async move {
                let spec =
                    json!({"retentionPolicy": "Delete", "scheduling": {"nodeSelector": {"type": "kwok"}}});
                let session = WhatsAppSession::new(&name, serde_json::from_value(spec).unwrap());
                api.create(&PostParams::default(), &session).await.expect("it is taken");
            }
        });
        made.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    }

    async fn delete(&self, names: impl Iterator<Item = String>) {
        let api: Api<WhatsAppSession> = self.stack.api();
        let gone = stream::iter(names).map(|name| {
            let api = api.clone();
            async move { api.delete(&name, &DeleteParams::background()).await.expect("it is taken") }
        });
        gone.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    }

    /// Waits until exactly so many pods are there, and all of them work.
    async fn work(&self, count: usize) {
        self.population.working(count).await;
    }

    /// Waits until the operator of this moment has looked at so many sessions.
    async fn looked_at(&mut self, count: usize) {
        let operator = &*self.stack.operator();
        eventually("the operator to look at all sessions", || async {
            (figure(operator, "warest_operator_reconciles_total").await >= count).then_some(())
        })
        .await;
    }
}

fn names(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{prefix}-{number}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_session_gets_one_pod_and_a_restarted_operator_touches_none() {
    let mut fleet = Fleet::start().await;
    let witness = Witness::of(&fleet.stack).await;
    fleet.operate().await;
    let made = {
        let writes = Writes::from_now(&fleet.stack);
        fleet.create(names("first", MANY)).await;
        fleet.work(MANY).await;
        assert_eq!((writes.count("create", "pods"), writes.count("delete", "pods")), (MANY, 0));
        writes.count("create", "persistentvolumeclaims")
    };
    assert_eq!((made, witness.pods()), (MANY, MANY));

    // Etcd forgets between two pages of each list: they are begun anew.
    fleet.stack.kill_operator().await;
    let before = fleet.stack.cluster().audit().len();
    fleet.proxy.add(Rule::next(Method::GET, "continue=", 4, Fault::Refuse(StatusCode::GONE)));
    fleet.operate().await;
    fleet.looked_at(MANY).await;
    assert_eq!(fleet.proxy.pending(), 0, "all of them have happened");
    let writes = Writes::since(&fleet.stack, before);
    assert_eq!(writes.made_or_deleted(), [""; 0]);
    assert_eq!(writes.all().iter().filter(|entry| entry.resource == "pods").count(), 0);

    // Deletions and creations at once: neither waits for the others.
    let half = MANY / 2;
    tokio::join!(fleet.delete(names("first", half)), fleet.create(names("second", half)));
    fleet.work(MANY).await;
    let sessions: Api<WhatsAppSession> = fleet.stack.api();
    eventually("the deleted sessions to be gone", || async {
        let there = sessions.list_metadata(&ListParams::default()).await.ok()?.items.len();
        (there == MANY).then_some(())
    })
    .await;
    // As many pods as before work also before the first one is made or gone.
    eventually("the new sessions' pods", || async { (witness.pods() >= MANY + half).then_some(()) }).await;
    fleet.work(MANY).await;
    assert_eq!(writes.count("create", "pods"), half);
    assert_eq!(witness.pods(), MANY + half);
}
