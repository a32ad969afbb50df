//! `GET /v1/events`: the log as pages, or as a stream that goes on.
//!
//! A stream reads the log itself and waits for its newest number to grow: what is replayed and what is new come the same way,
//! so there is no gap between them, and a slow reader holds nothing but its own place.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use session_api::{Event, EventPage, EventsQuery};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::body::Asked;
use super::{ApiError, App};
use crate::session::PassingEvent;
use crate::store::Store;

/// Page size unless the caller says.
const DEFAULT_LIMIT: usize = 100;
/// Largest page.
const MAX_LIMIT: usize = 1_000;
/// Events that a stream reads at a time.
const CHUNK: usize = 64;
/// A comment is sent when nothing happens for so long, so that dead connections are noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A page, or a stream if the caller accepts one.
pub(super) async fn read(
    State(app): State<App>,
    headers: HeaderMap,
    Asked(query): Asked<EventsQuery>,
) -> Result<Response, ApiError> {
    let store = app.store()?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        let after = last_event_id(&headers)?.or(query.after);
        let follower = Follower::new(&app, store, after);
        let events = stream::unfold(follower, |mut follower| async {
            follower.next().await.map(|event| (Ok::<_, Infallible>(event), follower))
        });
        return Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response());
    }
    let after = query.after.unwrap_or(0);
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let items = tokio::task::spawn_blocking(move || store.events(after, limit)).await??;
    let next = items.last().and_then(|event| event.seq).unwrap_or(after);
    Ok(Json(EventPage { items, next }).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    value.to_str().ok().and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_query",
            "Last-Event-ID must be the number of an event",
        )
    })
}

/// One reader of the stream and its place in the log.
struct Follower {
    store: Arc<Store>,
    after: u64,
    read: VecDeque<Event>,
    newest: watch::Receiver<u64>,
    passing: broadcast::Receiver<PassingEvent>,
}

impl Follower {
    fn new(app: &App, store: Arc<Store>, after: Option<u64>) -> Self {
        let newest = store.newest();
        let after = after.unwrap_or_else(|| *newest.borrow());
        Self { after, read: VecDeque::new(), newest, passing: app.session.passing(), store }
    }

    /// The next event; none when the session has stopped or the log cannot be read.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.after = event.seq.unwrap_or(self.after);
                return Some(written(&event));
            }
            let newest = *self.newest.borrow_and_update();
            if newest > self.after {
                self.read_on(newest).await?;
                continue;
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                passing = self.passing.recv() => match passing {
                    Ok((ts, data)) => return Some(written(&Event { seq: None, ts, data })),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    async fn read_on(&mut self, newest: u64) -> Option<()> {
        let (store, after) = (Arc::clone(&self.store), self.after);
        let events = tokio::task::spawn_blocking(move || store.events(after, CHUNK)).await.ok()?.ok()?;
        if events.is_empty() {
            // What was between is no longer kept.
            self.after = newest;
        }
        self.read.extend(events);
        Some(())
    }
}

fn written(event: &Event) -> SseEvent {
    let json = serde_json::to_value(event).unwrap_or_default();
    let name = json.get("event").and_then(|name| name.as_str()).unwrap_or("event");
    let sse = SseEvent::default().event(name).data(json.to_string());
    match event.seq {
        Some(seq) => sse.id(seq.to_string()),
        None => sse,
    }
}
