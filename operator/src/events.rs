//! What is told as Kubernetes Events. Best effort: an Event that cannot be written delays nothing and fails nothing.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tracing::debug;

/// How many Events may wait; more are dropped.
const WAITING: usize = 1_024;
/// Longest text of an Event, bytes (Kubernetes takes 1,024).
const LONGEST: usize = 1_000;

/// Where Events are handed in.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<(Told, ObjectReference)>);

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

impl Events {
    /// Begins to write what is handed in.
    pub fn new(client: Client, instance: &str) -> Self {
        let (sender, mut waiting) = mpsc::channel(WAITING);
        let reporter =
            Reporter { controller: "warest-operator".to_owned(), instance: Some(instance.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        tokio::spawn(async move {
            while let Some((told, about)) = waiting.recv().await {
                if let Err(error) = recorder.publish(&event(told), &about).await {
                    debug!("an Event was not written: {error}");
                }
            }
        });
        Self(sender)
    }

    /// Hands an Event in.
    pub fn tell(&self, told: Told, about: ObjectReference) {
        let _full = self.0.try_send((told, about));
    }
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
