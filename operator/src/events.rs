//! What is told as Kubernetes Events. Best effort: an Event that cannot be written delays nothing and fails nothing.
//!
//! Comes in: what has happened. Goes out: Events, warnings first, one at a time and with pauses between them: they are many when
//! hundreds of sessions start, and the API server has better things to do then. It must not keep anybody waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tracing::debug;

use crate::call::call;
use crate::metrics::Metrics;

/// How many warnings may wait, and how many others; more are dropped.
const WAITING: (usize, usize) = (1_024, 2_400);
/// A warning and another Event that have waited for so long are dropped: an Event bears the time at which it is written.
const WORTH_TELLING: (Duration, Duration) = (Duration::from_mins(10), Duration::from_mins(2));
/// The pause after each: at most twenty are written a second.
const PAUSE: Duration = Duration::from_millis(50);
/// The pause after one that is no warning, in terms of the time that the API server took for it: a busy one is left alone.
const BUSY: u32 = 4;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A recorder keeps each of its Events for six minutes, to count how often it is told again. After so many another one begins.
const RECORDED: usize = 500;
/// Longest text of an Event, bytes (Kubernetes takes 1,024).
const LONGEST: usize = 1_000;

/// Where Events are handed in.
#[derive(Debug, Clone)]
pub struct Events {
    warnings: mpsc::Sender<News>,
    others: mpsc::Sender<News>,
    metrics: Arc<Metrics>,
}

/// What an Event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// It is a warning.
    pub warning: bool,
    /// What happened, in one CamelCase word.
    pub reason: String,
    /// The same for people.
    pub words: String,
}

/// An Event that waits.
#[derive(Debug)]
struct News {
    told: Told,
    about: ObjectReference,
    since: Instant,
}

/// What waits to be written.
struct Queue {
    warnings: mpsc::Receiver<News>,
    others: mpsc::Receiver<News>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// Begins to write what is handed in.
    pub fn new(client: Client, instance: &str, metrics: Arc<Metrics>) -> Self {
        let (events, mut queue) = Self::queue(WAITING, metrics);
        let reporter =
            Reporter { controller: "warest-operator".to_owned(), instance: Some(instance.to_owned()) };
        tokio::spawn(async move {
            let begin = || Recorder::new(client.clone(), reporter.clone());
            let (mut recorder, mut count) = (begin(), 0);
            while let Some(news) = queue.next().await {
                if count == RECORDED {
                    (recorder, count) = (begin(), 0);
                }
                count += 1;
                let (start, warning) = (Instant::now(), news.told.warning);
                write(&recorder, news).await;
                tokio::time::sleep(pause(warning, start.elapsed())).await;
            }
        });
        events
    }

    fn queue((most_warnings, most_others): (usize, usize), metrics: Arc<Metrics>) -> (Self, Queue) {
        let (warnings, serious) = mpsc::channel(most_warnings);
        let (others, harmless) = mpsc::channel(most_others);
        let queue = Queue { warnings: serious, others: harmless, metrics: Arc::clone(&metrics) };
        (Self { warnings, others, metrics }, queue)
    }

    /// Hands an Event in.
    pub fn tell(&self, told: Told, about: ObjectReference) {
        let queue = if told.warning { &self.warnings } else { &self.others };
        if queue.try_send(News { told, about, since: Instant::now() }).is_err() {
            self.metrics.event_dropped();
        }
    }
}

impl News {
    fn is_worth_telling(&self, now: Instant) -> bool {
        let (warning, other) = WORTH_TELLING;
        now.saturating_duration_since(self.since) < if self.told.warning { warning } else { other }
    }
}

impl Queue {
    /// The next Event that is worth telling; none when nobody can hand anything in any more.
    async fn next(&mut self) -> Option<News> {
        loop {
            let news = tokio::select! {
                biased;
                Some(news) = self.warnings.recv() => news,
                Some(news) = self.others.recv() => news,
                else => return None,
            };
            if news.is_worth_telling(Instant::now()) {
                return Some(news);
            }
            self.metrics.event_dropped();
        }
    }

    #[cfg(test)]
    async fn reasons(mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(news) = self.next().await {
            all.push(news.told.reason);
        }
        all
    }
}

async fn write(recorder: &Recorder, news: News) {
    if let Err(error) = call(recorder.publish(&event(news.told), &news.about)).await {
        debug!("an Event was not written: {error}");
    }
}

/// After an Event that took the API server so long.
fn pause(warning: bool, took: Duration) -> Duration {
    if warning { PAUSE } else { took.saturating_mul(BUSY).clamp(PAUSE, LONGEST_PAUSE) }
}

fn event(mut told: Told) -> Event {
    told.words.truncate(told.words.floor_char_boundary(LONGEST));
    Event {
        type_: if told.warning { EventType::Warning } else { EventType::Normal },
        action: told.reason.clone(),
        reason: told.reason,
        note: Some(told.words),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(warning: bool, reason: &str) -> Told {
        Told { warning, reason: reason.to_owned(), words: String::new() }
    }

    #[test]
    fn a_busy_server_is_left_alone_for_longer_and_never_for_long() {
        let pauses = [2, 50, 60_000].map(|took| pause(false, Duration::from_millis(took)).as_millis());
        assert_eq!(pauses, [50, 200, 1_000]);
        assert_eq!(pause(true, Duration::from_mins(1)), PAUSE, "warnings do not wait for that");
    }

    #[test]
    fn old_news_are_not_told() {
        let since = Instant::now();
        let at = |warning, seconds| {
            let news = News { told: told(warning, "x"), about: ObjectReference::default(), since };
            news.is_worth_telling(since + Duration::from_secs(seconds))
        };
        assert_eq!(
            [at(false, 119), at(false, 120), at(true, 599), at(true, 600)],
            [true, false, true, false]
        );
    }

    #[tokio::test]
    async fn warnings_come_first_and_a_full_queue_keeps_nobody_waiting() {
        let metrics = Arc::new(Metrics::new());
        let (events, queue) = Events::queue((2, 2), Arc::clone(&metrics));
        for (warning, reason) in [(false, "1"), (false, "2"), (false, "3"), (true, "4"), (true, "5")] {
            events.tell(told(warning, reason), ObjectReference::default());
        }
        drop(events);
        assert_eq!(queue.reasons().await, ["4", "5", "1", "2"]);
        assert!(metrics.text().contains("warest_operator_events_dropped_total 1\n"));
    }

    #[tokio::test]
    async fn what_has_become_old_in_the_queue_is_passed_over() {
        let metrics = Arc::new(Metrics::new());
        let (events, queue) = Events::queue((1, 2), Arc::clone(&metrics));
        let since = Instant::now().checked_sub(WORTH_TELLING.1).expect("a machine that has run for minutes");
        let old = News { told: told(false, "old"), about: ObjectReference::default(), since };
        events.others.try_send(old).unwrap();
        events.tell(told(false, "new"), ObjectReference::default());
        drop(events);
        assert_eq!(queue.reasons().await, ["new"]);
        assert!(metrics.text().contains("warest_operator_events_dropped_total 1\n"));
    }
}
