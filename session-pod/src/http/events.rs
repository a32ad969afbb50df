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
use session_api::{Event, EventData, EventPage, EventsQuery, SessionStatus};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use super::body::Asked;
use super::{ApiError, App, MAX_STREAMS};
use crate::session::{PassingEvent, now_ms};
use crate::store::{Excerpt, Store};

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
        let room = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| too_many_streams())?;
        let follower = Follower::new(&app, store, after, room);
        let events = stream::unfold(follower, |mut follower| async {
            follower.next().await.map(|event| (Ok::<_, Infallible>(event), follower))
        });
        return Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response());
    }
    let after = query.after.unwrap_or(0);
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let newest = *store.newest().borrow();
    let Excerpt { items, oldest } = tokio::task::spawn_blocking(move || store.events(after, limit)).await??;
    let next = items.last().and_then(|event| event.seq).unwrap_or_else(|| after.min(newest));
    Ok(Json(EventPage { items, next, oldest }).into_response())
}

fn too_many_streams() -> ApiError {
    let message =
        format!("{MAX_STREAMS} event streams are open already: close one, or read the log in pages");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", message).retry_after(5_000)
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
    _room: OwnedSemaphorePermit,
    store: Arc<Store>,
    after: u64,
    read: VecDeque<Event>,
    status: watch::Receiver<Arc<SessionStatus>>,
    newest: watch::Receiver<u64>,
    passing: broadcast::Receiver<PassingEvent>,
}

impl Follower {
    fn new(app: &App, store: Arc<Store>, after: Option<u64>, room: OwnedSemaphorePermit) -> Self {
        let newest = store.newest();
        let at = *newest.borrow();
        let after = after.unwrap_or(at);
        // A place past the end is one of another log: this one is read from its beginning.
        let mut read = VecDeque::new();
        let place = if after > at {
            read.push_back(gap(after, 1));
            0
        } else {
            after
        };
        let (status, passing) = (app.session.status(), app.session.passing());
        Self { _room: room, after: place, read, status, newest, passing, store }
    }

    /// The next event; none when the session has stopped or the log cannot be read.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(written(&event));
            }
            let newest = *self.newest.borrow_and_update();
            if newest > self.after {
                self.read_on().await?;
                continue;
            }
            tokio::select! {
                () = ended(&mut self.status) => return None,
                changed = self.newest.changed() => changed.ok()?,
                passing = self.passing.recv() => match passing {
                    Ok((ts, data)) => return Some(written(&Event { seq: None, ts, data })),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    /// Reads a piece of the log. What is no longer kept is told, and passed over.
    async fn read_on(&mut self) -> Option<()> {
        let (store, after) = (Arc::clone(&self.store), self.after);
        let excerpt = tokio::task::spawn_blocking(move || store.events(after, CHUNK)).await.ok()?.ok()?;
        if excerpt.oldest > after + 1 {
            self.read.push_back(gap(after, excerpt.oldest));
            self.after = excerpt.oldest - 1;
        }
        self.after = excerpt.items.last().and_then(|event| event.seq).unwrap_or(self.after);
        self.read.extend(excerpt.items);
        Some(())
    }
}

fn gap(after: u64, oldest: u64) -> Event {
    Event { seq: None, ts: now_ms(), data: EventData::Gap { after, oldest } }
}

/// Waits until the session has stopped.
async fn ended(status: &mut watch::Receiver<Arc<SessionStatus>>) {
    while status.changed().await.is_ok() {}
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
