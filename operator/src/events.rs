//! What is told as Kubernetes Events. Best effort: an Event that cannot be written delays nothing and fails nothing.
//!
//! Comes in: what has happened. Goes out: Events, warnings first, one at a time and with pauses between them: they are many when
//! hundreds of sessions start, and the API server has better things to do then. It must not keep anybody waiting.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tracing::debug;

/// How many Events of each type may wait; more are dropped.
const WAITING: usize = 4_096;
/// What is no warning and has waited for so long is dropped: an Event bears the time at which it is written.
const WORTH_TELLING: Duration = Duration::from_mins(1);
/// The pause after each, in terms of the time that the API server took for it: a busy one is left alone for longer.
const PAUSE: u32 = 4;
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

impl Events {
    /// Begins to write what is handed in.
    pub fn new(client: Client, instance: &str) -> Self {
        let ((warnings, serious), (others, harmless)) = (mpsc::channel(WAITING), mpsc::channel(WAITING));
        let reporter =
            Reporter { controller: "warest-operator".to_owned(), instance: Some(instance.to_owned()) };
        tokio::spawn(write((serious, harmless), move || Recorder::new(client.clone(), reporter.clone())));
        Self { warnings, others }
    }

    /// Hands an Event in.
    pub fn tell(&self, told: Told, about: ObjectReference) {
        let queue = if told.warning { &self.warnings } else { &self.others };
        let _full = queue.try_send(News { told, about, since: Instant::now() });
    }
}

impl News {
    fn is_worth_telling(&self, now: Instant) -> bool {
        self.told.warning || now.saturating_duration_since(self.since) < WORTH_TELLING
    }
}

/// Writes until nobody can hand anything in any more.
async fn write(
    (mut warnings, mut others): (mpsc::Receiver<News>, mpsc::Receiver<News>),
    recorder: impl Fn() -> Recorder,
) {
    let (mut count, mut current) = (0, recorder());
    loop {
        let next = tokio::select! {
            biased;
            Some(news) = warnings.recv() => news,
            Some(news) = others.recv() => news,
            else => return,
        };
        let start = Instant::now();
        if !next.is_worth_telling(start) {
            continue;
        }
        if let Err(error) = current.publish(&event(next.told), &next.about).await {
            debug!("an Event was not written: {error}");
        }
        count += 1;
        if count == RECORDED {
            (count, current) = (0, recorder());
        }
        tokio::time::sleep(pause(start.elapsed())).await;
    }
}

/// After an Event that took the API server so long.
fn pause(took: Duration) -> Duration {
    took.saturating_mul(PAUSE).min(LONGEST_PAUSE)
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

    #[test]
    fn a_busy_server_is_left_alone_for_longer_and_never_for_long() {
        let pauses = [2, 50, 60_000].map(|took| pause(Duration::from_millis(took)).as_millis());
        assert_eq!(pauses, [8, 200, 1_000]);
    }

    #[test]
    fn old_news_are_not_told_unless_they_are_warnings() {
        let since = Instant::now();
        let at = |warning, seconds| {
            let told = Told { warning, reason: "Ready".to_owned(), words: String::new() };
            let news = News { told, about: ObjectReference::default(), since };
            news.is_worth_telling(since + Duration::from_secs(seconds))
        };
        assert_eq!([at(false, 59), at(false, 60), at(true, 600)], [true, false, true]);
    }

    #[tokio::test]
    async fn a_full_queue_keeps_nobody_waiting_and_takes_nothing_from_the_other() {
        let ((warnings, mut serious), (others, _harmless)) = (mpsc::channel(1), mpsc::channel(1));
        let events = Events { warnings, others };
        let told = |warning| Told { warning, reason: "x".to_owned(), words: String::new() };
        for warning in [false, false, true] {
            events.tell(told(warning), ObjectReference::default());
        }
        assert!(serious.recv().await.unwrap().told.warning);
    }
}
