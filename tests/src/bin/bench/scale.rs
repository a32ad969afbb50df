//! Thousands of sessions on kwok: how long, how many requests and how much memory it takes the operator, beside a bare client that
//! creates the same objects.
//!
//! Comes in: how many sessions. Goes out: a table, and whether every count that has to be exact is. Pods are played by kwok and
//! their sessions by one [`Listener`]; all else is real. It must not assert a time or a size.

use std::ops::Range;
use std::time::{Duration, Instant};

use crds::WhatsAppSession;
use kube::Api;
use system_tests::cluster::AuditEntry;

mod asked;
mod bare;
mod cost;
mod ground;
mod listener;
mod operator;
mod processors;
mod table;
mod view;

use asked::Percentiles;
use bare::{Applied, Bare, Objects};
use cost::{Cost, Creation};
use ground::{Ground, at_once, delete};
use listener::Listener;
use operator::Operator;
use processors::Processors;
use table::{Table, mebibytes, milliseconds, seconds, thousands};

/// The one session whose objects are copied, and its batch.
const SAMPLE: (&str, &str) = ("sample-0", "sample");
/// Another one that goes again, and its batch.
const GONE: (&str, &str) = ("gone-0", "gone");
/// Sessions that come one after another.
const PACED: usize = 100;
/// How far apart they come.
const PACE: Duration = Duration::from_millis(100);
/// Most sessions that are deleted and created at the same time.
const MIXED: usize = 1_000;
/// For so long an idle operator is watched.
const IDLE: Duration = Duration::from_mins(1);

/// Measures with so many sessions. The bare client is measured before and after the operator, and the mean is compared: a machine
/// is not equally fast for minutes on end.
pub(crate) async fn measure(count: usize) -> bool {
    system_tests::memory::allow_many_files();
    let title = format!("{} sessions on kwok (the control plane shares the processors):", thousands(count));
    table::title(&title);
    let objects = sample().await;
    let before = bare::creation(&objects, count, Applied::Sessions).await;
    let mut run = Run::start(count).await;
    run.paced().await;
    let operators = run.burst().await;
    run.idle().await;
    run.restarted().await;
    run.mixed().await;
    let table = run.end().await;
    let after = bare::creation(&objects, count, Applied::Sessions).await;
    table.figure("bare client that creates the sessions, too: all pods ready", format!("{before} / {after}"));
    table.figure("  processor time until then, the second time", &after.processors);
    let Cost { clock, processors } = before.cost().midpoint(after.cost()).over(operators.cost());
    table.goal("  its time (the mean) / operator's time", format!("{clock:.2}"), ("≥ 0.8", clock >= 0.8));
    table.figure("  the same of the processor time", format!("{processors:.2}"));
    let children = bare::creation(&objects, count, Applied::Nothing).await;
    let Cost { clock, processors } = children.cost().over(operators.cost());
    table.figure("bare client without the sessions themselves, once", &children);
    table.figure("  its time, its processor time / operator's", format!("{clock:.2}, {processors:.2}"));
    table.end()
}

/// The objects that an operator makes of a session.
async fn sample() -> Objects {
    let mut run = Run::start(0).await;
    let objects = Bare::new(&run.ground.client(), run.ground.namespace()).objects(SAMPLE.0).await;
    run.operator.stop().await;
    objects
}

/// An operator and its sessions.
struct Run {
    operator: Operator,
    listener: Listener,
    ground: Ground,
    table: Table,
    count: usize,
}

impl Run {
    /// Begins with two sessions, so that nothing is done for the first time when it is measured. One of them goes again: the
    /// garbage collector looks for new kinds of owners every half a minute only, and errs until then.
    async fn start(count: usize) -> Self {
        let (listener, ground) = (Listener::start().await, Ground::start().await);
        let operator = Operator::start(&ground, listener.port()).await;
        let run = Self { operator, listener, ground, table: Table::default(), count };
        let (view, sessions) = (run.ground.view(), run.ground.sessions());
        for (number, (name, batch)) in [SAMPLE, GONE].into_iter().enumerate() {
            run.create_one(&sessions, name).await;
            view.reached(batch, |batch| batch.ready == 1).await;
            run.operator.rests(&run.ground, number + 1).await;
        }
        delete(&sessions, GONE.0).await;
        view.reached(GONE.1, |batch| batch.pods == 0).await;
        run.listener.forget_pushes();
        run
    }

    async fn create_one(&self, sessions: &Api<WhatsAppSession>, name: &str) {
        let uid = self.ground.create(sessions, name).await;
        self.listener.introduce(name, &uid);
    }

    async fn create(&self, batch: &str, numbers: Range<usize>) {
        let sessions = &self.ground.sessions();
        at_once(numbers.map(|number| async move { self.create_one(sessions, &name(batch, number)).await }))
            .await;
    }

    /// What the operator has asked since the audit log was so long.
    fn asked(&self, since: usize) -> Vec<AuditEntry> {
        let entries = self.ground.audit().split_off(since);
        entries.into_iter().filter(|entry| self.ground.is_operators(entry)).collect()
    }

    /// How long a session's pod takes when sessions come one by one.
    async fn paced(&self) {
        let sessions = self.ground.sessions();
        let mut pace = tokio::time::interval(PACE);
        for number in 0..PACED {
            pace.tick().await;
            self.create_one(&sessions, &name("paced", number)).await;
        }
        self.ground.view().reached("paced", |batch| batch.ready == PACED).await;
        let Percentiles { p50, p99 } = asked::delays(&self.ground.audit(), "paced");
        let met = p50 <= Duration::from_millis(100) && p99 <= Duration::from_millis(500);
        let found = format!("{} / {}", milliseconds(p50), milliseconds(p99));
        self.table.goal("session to pod POST at 10 a second, p50 / p99", found, ("≤ 100 / ≤ 500 ms", met));
    }

    /// All at once.
    async fn burst(&mut self) -> Creation {
        let (mark, processors) = (self.ground.audit().len(), self.processors());
        let (start, count, view) = (Instant::now(), self.count, self.ground.view());
        let create = async {
            self.create("burst", 0..count).await;
            Instant::now()
        };
        let (created, pods, pod_ready, ready) = tokio::join!(
            create,
            view.reached("burst", |batch| batch.ready_pods == count),
            view.reached("burst", |batch| batch.pod_ready == count),
            view.reached("burst", |batch| batch.ready == count),
        );
        let took = self.processors().since(&processors);
        self.table.figure("all sessions created", seconds(created - start));
        self.table.figure("all pods ready", seconds(pods - start));
        self.table.figure("all sessions PodReady", seconds(pod_ready - start));
        let total = ready - start;
        let goal = ("≤ 60 s for 1,000", count != 1_000 || total <= Duration::from_mins(1));
        self.table.goal("all sessions Ready", seconds(total), goal);
        self.table.figure("  processor time until then", &took);
        self.burst_asked(mark, ready).await;
        Creation { time: pods - start, processors: took }
    }

    /// What the burst has asked of the API server, once the operator rests.
    async fn burst_asked(&mut self, mark: usize, ready: Instant) {
        let rest = self.operator.rests(&self.ground, 1 + PACED + self.count).await;
        self.table
            .figure("from there until the operator rests", seconds(rest.saturating_duration_since(ready)));
        let all = self.ground.audit();
        let Percentiles { p50, p99 } = asked::delays(&all, "burst");
        let found = format!("{} / {}", milliseconds(p50), milliseconds(p99));
        self.table.figure("session to pod POST, p50 / p99", found);
        self.table.exact("pod POSTs", asked::pod_posts(&all, "burst"), self.count);
        self.table_of_requests(&self.asked(mark));
        let peak = self.operator.memory().peak;
        let goal = ("≤ 100 MiB at 5,000", peak <= 100 * 1_024);
        self.table.goal("operator's memory (RSS), peak", mebibytes(peak), goal);
    }

    fn table_of_requests(&self, asked: &[AuditEntry]) {
        let kinds = asked::by_kind(asked.iter());
        let each = |requests: usize| per_session(requests, self.count);
        let all: usize = kinds.iter().map(|(_, requests)| requests).sum();
        self.table.figure("requests per session", each(all));
        for (kind, requests) in kinds.iter().filter(|(_, requests)| requests * 100 >= self.count) {
            self.table.figure(&format!("  {kind}"), each(*requests));
        }
    }

    fn processors(&self) -> Processors {
        self.operator.processors().and(self.ground.processors())
    }

    async fn idle(&mut self) {
        let mark = self.ground.audit().len();
        let (memory, ()) = tokio::join!(self.operator.settled(), tokio::time::sleep(IDLE));
        self.table.figure("operator's memory (RSS), settled", mebibytes(memory.rss));
        let writes = self.asked(mark).iter().filter(|entry| entry.writes()).count();
        self.table.exact("writes of an idle minute", writes, 0);
    }

    /// An operator that finds all sessions running.
    async fn restarted(&mut self) {
        let (mark, start) = (self.ground.audit().len(), Instant::now());
        self.operator.restart(&self.ground, self.listener.port()).await;
        let rest = self.operator.rests(&self.ground, 1 + PACED + self.count).await;
        self.table
            .figure("operator restarted, until it rests", seconds(rest.saturating_duration_since(start)));
        let asked = self.asked(mark);
        self.table.exact("  its writes to pods", asked::pod_writes(asked.iter()), 0);
        self.table.figure("  all its writes", asked.iter().filter(|entry| entry.writes()).count());
        let settled = self.operator.settled().await;
        self.table.figure("  its memory (RSS), peak", mebibytes(settled.peak));
        self.table.figure("  its memory (RSS), settled", mebibytes(settled.rss));
    }

    /// As many sessions go as others come.
    async fn mixed(&mut self) {
        let (some, sessions) = (self.count.min(MIXED), &self.ground.sessions());
        let (start, left, view) = (Instant::now(), self.count - some, self.ground.view());
        let run = &*self;
        let each = (0..some).map(|number| async move {
            delete(sessions, &name("burst", number)).await;
            run.create_one(sessions, &name("mixed", number)).await;
        });
        let (gone, ready, ()) = tokio::join!(
            view.reached("burst", |batch| (batch.sessions, batch.pods) == (left, left)),
            view.reached("mixed", |batch| batch.ready == some),
            at_once(each),
        );
        let what = format!("{} deletes mixed with as many creates", thousands(some));
        self.table.figure(&format!("{what}: all gone"), seconds(gone - start));
        self.table.figure(&format!("{what}: all Ready"), seconds(ready - start));
        self.table.exact("  pod POSTs", asked::pod_posts(&self.ground.audit(), "mixed"), some);
    }

    async fn end(mut self) -> Table {
        self.table.exact("configuration pushes", self.listener.pushes(), 0);
        self.table.exact("questions with a token that is no session's", self.listener.strangers(), 0);
        self.operator.stop().await;
        self.table
    }
}

fn name(batch: &str, number: usize) -> String {
    format!("{batch}-{number:05}")
}

fn per_session(requests: usize, sessions: usize) -> String {
    let hundredths = requests * 100 / sessions;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
