//! Two gateways behind a load balancer are replaced one after the other while people read and send: nobody notices.
//!
//! The load balancer is what a Service is: connections go in turn to the gateways that said last that they are ready. It tries
//! nothing twice, and does not know HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use system_tests::gateway::{ADMIN, ClusterGateway as Gateway};
use system_tests::http;
use system_tests::rig::Phone;
use system_tests::stack::Stack;
use system_tests::wait::{eventually, within};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How often the load balancer asks who is ready: for so long it believes in a gateway that has been told to end.
const PROBES: Duration = Duration::from_secs(1);
/// How long a caller waits between two of its calls, so that the session keeps up.
const PACE: Duration = Duration::from_millis(20);
/// Answers that are awaited before, between and after the restarts.
const SOME: usize = 60;
/// How long a gateway that stops leaves its port open: several of [`PROBES`], on a machine that is busy.
const DRAIN: (&str, &str) = ("WAREST_DRAIN_SECONDS", "4");

/// Gateways by address, and whether they are ready.
type Members = Arc<Mutex<BTreeMap<String, bool>>>;

struct Balancer {
    url: String,
    members: Members,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Balancer {
    async fn start() -> Self {
        let members = Members::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tasks = [tokio::spawn(probe(members.clone())), tokio::spawn(spread(listener, members.clone()))];
        Self { url, members, tasks }
    }

    /// Adds a gateway, and waits until it gets its share.
    async fn add(&self, gateway: &Gateway) {
        let address = gateway.url().trim_start_matches("http://").to_owned();
        self.members.lock().unwrap().insert(address.clone(), false);
        eventually("the gateway to be ready", || async {
            self.members.lock().unwrap()[&address].then_some(())
        })
        .await;
    }

    /// Forgets a gateway that has ended.
    fn remove(&self, gateway: &Gateway) {
        self.members.lock().unwrap().remove(gateway.url().trim_start_matches("http://"));
    }
}

async fn probe(members: Members) {
    let mut tick = tokio::time::interval(PROBES);
    loop {
        tick.tick().await;
        let addresses: Vec<_> = members.lock().unwrap().keys().cloned().collect();
        for address in addresses {
            let answer = http::client().get(format!("http://{address}/health/ready")).send().await;
            let ready = answer.is_ok_and(|answer| answer.status().is_success());
            if let Some(known) = members.lock().unwrap().get_mut(&address) {
                *known = ready;
            }
        }
    }
}

async fn spread(listener: TcpListener, members: Members) {
    for turn in 0_usize.. {
        let Ok((mut client, _)) = listener.accept().await else { return };
        let ready: Vec<String> = {
            let members = members.lock().unwrap();
            members.iter().filter(|(_, ready)| **ready).map(|(address, _)| address.clone()).collect()
        };
        let Some(address) = ready.get(turn % ready.len().max(1)).cloned() else { continue };
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(&address).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

/// What callers have got.
#[derive(Default)]
struct Answers {
    stop: AtomicBool,
    count: AtomicUsize,
    texts: AtomicUsize,
    lost: Mutex<Vec<String>>,
}

/// Calls one after the other until it is told to stop: it reads, or it sends.
async fn caller(url: String, client: Client, to: Option<String>, answers: Arc<Answers>) {
    while !answers.stop.load(Ordering::Relaxed) {
        let request = match &to {
            None => client.get(format!("{url}/api/sessions/toko")),
            Some(to) => {
                let text = format!("text {}", answers.texts.fetch_add(1, Ordering::Relaxed));
                let body = json!({"sessionId": "toko", "to": to, "text": text});
                client.post(format!("{url}/api/messages/text")).json(&body)
            }
        };
        let lost = match request.header("X-API-Key", ADMIN).send().await {
            Err(error) => Some(format!("{error:?}")),
            Ok(answer) if answer.status().is_success() => {
                answer.bytes().await.err().map(|error| format!("half an answer: {error:?}"))
            }
            Ok(answer) => Some(format!("{}: {:?}", answer.status(), answer.text().await)),
        };
        answers.lost.lock().unwrap().extend(lost);
        answers.count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PACE).await;
    }
}

async fn more_answers(answers: &Answers) {
    let goal = answers.count.load(Ordering::Relaxed) + SOME;
    eventually("more answers", || async { (answers.count.load(Ordering::Relaxed) >= goal).then_some(()) })
        .await;
}

/// A client that keeps its connection, or one that makes a new one for each call.
fn client(keeps: bool) -> Client {
    let builder = Client::builder().no_proxy().timeout(Duration::from_secs(30));
    builder.pool_max_idle_per_host(if keeps { 4 } else { 0 }).build().unwrap()
}

async fn another(stack: &Stack, balancer: &Balancer) -> Gateway {
    let account = "warest-gateway";
    let kubeconfig = stack.cluster().kubeconfig_for_service_account(stack.namespace(), account).await;
    let more = [("ADMIN_API_KEY", ADMIN), DRAIN, ("RATE_LIMIT_MAX", "1000000")];
    let gateway = Gateway::with(stack.namespace(), &kubeconfig, &more).await;
    balancer.add(&gateway).await;
    gateway
}

/// Every text once.
async fn got_all_once(friend: &Phone, count: usize) {
    let texts = || async {
        let mut texts = BTreeMap::<String, usize>::new();
        for entry in friend.inbox().await {
            *texts.entry(entry["text"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        texts
    };
    within(Duration::from_secs(30), "the friend to get everything", || async {
        (texts().await.len() >= count).then_some(())
    })
    .await;
    let twice: Vec<_> = texts().await.into_iter().filter(|(_, times)| *times != 1).collect();
    assert_eq!(twice, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_are_replaced_under_load_and_no_answer_is_lost() {
    let stack = Stack::start().await;
    stack.paired("toko", json!({})).await;
    let balancer = Balancer::start().await;
    let (one, two) = (another(&stack, &balancer).await, another(&stack, &balancer).await);
    one.session_is("toko", "open").await;
    let friend = stack.rig().phone().await;
    let answers = Arc::new(Answers::default());
    let readers = [(true, None), (false, None), (false, None), (false, None)];
    let senders = [(true, Some(&friend)), (false, Some(&friend))];
    let callers = readers.into_iter().chain(senders).map(|(keeps, friend)| {
        let to = friend.map(|friend| friend.number.clone());
        tokio::spawn(caller(balancer.url.clone(), client(keeps), to, answers.clone()))
    });
    let callers: Vec<_> = callers.collect();
    more_answers(&answers).await;
    let mut fresh = Vec::new();
    for mut old in [one, two] {
        old.process().terminate();
        assert_eq!(old.process().ended().await.code(), Some(0));
        balancer.remove(&old);
        more_answers(&answers).await;
        fresh.push(another(&stack, &balancer).await);
        more_answers(&answers).await;
    }
    answers.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(*answers.lost.lock().unwrap(), [""; 0]);
    let sent = answers.texts.load(Ordering::Relaxed);
    assert!(sent >= SOME, "they did send: {sent}");
    got_all_once(&friend, sent).await;
    let status = fresh[0].call(ADMIN, Method::GET, "/api/sessions/toko", &Value::Null).await.ok();
    assert_eq!(status["status"], "open");
}
