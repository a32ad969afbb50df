//! Probes: their plan and their verdict are pure; one function asks.
//!
//! Comes in: a probe of a container. Goes out: [`Verdict`]s once its thresholds are reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::plan::{ContainerPlan, PlanError};

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    /// `GET`; 200 to 399 is a success.
    Get { host: String, port: u16, request: String },
    /// A connection is a success.
    Connect(SocketAddr),
}

/// A probe with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbePlan {
    action: Action,
    pub(super) delay: Duration,
    pub(super) period: Duration,
    timeout: Duration,
    successes: u32,
    failures: u32,
}

/// What a probe has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As often in a row as it takes.
    Success,
    /// As often in a row as it takes.
    Failure,
}

/// Counts answers in a row.
#[derive(Debug, Default)]
pub(super) struct Counter {
    last: Option<bool>,
    row: u32,
}

impl Counter {
    /// Takes an answer; a verdict once the row is long enough.
    pub(super) fn take(&mut self, plan: &ProbePlan, answer: bool) -> Option<Verdict> {
        self.row = if self.last == Some(answer) { self.row.saturating_add(1) } else { 1 };
        self.last = Some(answer);
        match answer {
            true if self.row >= plan.successes => Some(Verdict::Success),
            false if self.row >= plan.failures => Some(Verdict::Failure),
            _ => None,
        }
    }
}

/// The plan of a probe of this container.
pub(super) fn probe(probe: &Probe, container: &Container, pod_ip: Ipv4Addr) -> Result<ProbePlan, PlanError> {
    let count =
        |value: Option<i32>, default: u32| value.and_then(|it| u32::try_from(it).ok()).unwrap_or(default);
    let seconds = |value, default| Duration::from_secs(u64::from(count(value, default)));
    Ok(ProbePlan {
        action: action(probe, container, pod_ip)?,
        delay: seconds(probe.initial_delay_seconds, 0),
        period: seconds(probe.period_seconds, 10),
        timeout: seconds(probe.timeout_seconds, 1),
        successes: count(probe.success_threshold, 1),
        failures: count(probe.failure_threshold, 3),
    })
}

fn action(probe: &Probe, container: &Container, pod_ip: Ipv4Addr) -> Result<Action, PlanError> {
    if let Some(get) = &probe.http_get {
        let scheme = get.scheme.as_deref().unwrap_or("HTTP");
        if scheme != "HTTP" {
            return Err(PlanError::Unsupported(format!("a probe by {scheme}")));
        }
        let host = get.host.clone().unwrap_or_else(|| pod_ip.to_string());
        let path = get.path.as_deref().unwrap_or("/").trim_start_matches('/');
        let port = port(&get.port, container)?;
        let headers = get.http_headers.iter().flatten().map(|it| format!("{}: {}\r\n", it.name, it.value));
        let headers: String = headers.collect();
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: kube-probe/process-node\r\n{headers}Connection: close\r\n\r\n"
        );
        return Ok(Action::Get { host, port, request });
    }
    let socket = probe.tcp_socket.as_ref();
    let socket =
        socket.ok_or_else(|| PlanError::Unsupported("a probe other than httpGet and tcpSocket".into()))?;
    Ok(Action::Connect((IpAddr::V4(pod_ip), port(&socket.port, container)?).into()))
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, PlanError> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            ports.find(|it| it.name.as_ref() == Some(name)).map(|it| it.container_port)
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| PlanError::Config(format!("a probe names an unknown port: {port:?}")))
}

/// Asks once, over a connection of its own.
pub(super) async fn ask(plan: &ProbePlan) -> bool {
    let asked = async {
        match &plan.action {
            Action::Connect(address) => TcpStream::connect(address).await.is_ok(),
            Action::Get { host, port, request } => {
                get(host, *port, request).await.is_some_and(|code| succeeds(&code))
            }
        }
    };
    tokio::time::timeout(plan.timeout, asked).await.unwrap_or(false)
}

/// The first line of the answer.
async fn get(host: &str, port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect((host, port)).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.ok()?;
    Some(line)
}

/// Whether `HTTP/1.1 200 OK` is a success: 200 to 399.
fn succeeds(line: &str) -> bool {
    let code = line.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
    code.is_some_and(|code| (200..400).contains(&code))
}

/// What probes find.
#[derive(Debug)]
pub(super) enum Finding {
    Started,
    Ready(bool),
    Unhealthy,
}

/// Runs the probes of a container for as long as it runs.
pub(super) async fn follow(plan: ContainerPlan, findings: mpsc::UnboundedSender<Finding>) {
    if let Some(startup) = &plan.startup {
        let mut counter = Counter::default();
        match verdict(startup, &mut counter, startup.delay).await {
            Verdict::Success => findings.send(Finding::Started),
            Verdict::Failure => findings.send(Finding::Unhealthy),
        }
        .unwrap_or_default();
    }
    let readiness = repeat(plan.readiness.as_ref(), |verdict| {
        let _ = findings.send(Finding::Ready(verdict == Verdict::Success));
    });
    let liveness = repeat(plan.liveness.as_ref(), |verdict| {
        if verdict == Verdict::Failure {
            let _ = findings.send(Finding::Unhealthy);
        }
    });
    tokio::join!(readiness, liveness);
}

async fn repeat(plan: Option<&ProbePlan>, found: impl Fn(Verdict)) {
    let Some(plan) = plan else { return };
    let (mut counter, mut delay) = (Counter::default(), plan.delay);
    loop {
        found(verdict(plan, &mut counter, delay).await);
        delay = plan.period;
    }
}

/// Asks until there is a verdict.
async fn verdict(plan: &ProbePlan, counter: &mut Counter, mut delay: Duration) -> Verdict {
    loop {
        tokio::time::sleep(delay).await;
        if let Some(verdict) = counter.take(plan, ask(plan).await) {
            return verdict;
        }
        delay = plan.period;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn planned(given: serde_json::Value) -> Result<ProbePlan, PlanError> {
        let container = json!({"name": "c", "ports": [{"name": "http", "containerPort": 8080}]});
        let container = serde_json::from_value(container).unwrap();
        probe(&serde_json::from_value(given).unwrap(), &container, Ipv4Addr::new(127, 1, 1, 1))
    }

    #[test]
    fn ports_are_found_by_name_and_defaults_are_kubernetes_own() {
        let plan = planned(json!({"httpGet": {"path": "/readyz", "port": "http"}})).unwrap();
        let Action::Get { host, port, request } = &plan.action else { panic!("{plan:?}") };
        assert_eq!((host.as_str(), *port), ("127.1.1.1", 8080));
        assert!(request.starts_with("GET /readyz HTTP/1.1\r\nHost: 127.1.1.1:8080\r\n"), "{request}");
        assert_eq!((plan.period, plan.failures, plan.successes), (Duration::from_secs(10), 3, 1));
        assert!(matches!(planned(json!({"httpGet": {"port": "other"}})), Err(PlanError::Config(_))));
        assert!(matches!(planned(json!({"exec": {"command": ["x"]}})), Err(PlanError::Unsupported(_))));
    }

    #[test]
    fn two_and_three_hundreds_are_successes() {
        assert!(succeeds("HTTP/1.1 200 OK\r\n") && succeeds("HTTP/1.1 302 Found\r\n"));
        assert!(!succeeds("HTTP/1.1 503 Service Unavailable\r\n") && !succeeds(""));
    }

    #[test]
    fn a_verdict_takes_a_whole_row() {
        let plan = planned(json!({"tcpSocket": {"port": 1}, "failureThreshold": 2})).unwrap();
        let mut counter = Counter::default();
        let answers = [false, true, false, false, false, true];
        let verdicts = answers.map(|answer| counter.take(&plan, answer));
        let (success, failure) = (Some(Verdict::Success), Some(Verdict::Failure));
        assert_eq!(verdicts, [None, success, None, failure, failure, success]);
    }
}
