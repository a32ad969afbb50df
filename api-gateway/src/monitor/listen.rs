//! One session's process: its status by long poll, its events by a stream that is taken up again where it broke off.
//!
//! Comes in: an endpoint. Goes out: what the monitor keeps and tells. It ends only when it is aborted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_api::{Event, EventData, PairingCode, QrCode, StatusQuery};

use super::{Monitor, News};
use crate::directory::PodEndpoint;
use crate::pod_client::PodError;
use crate::session_name::SessionName;
use crate::sse::{Frame, Reader};

/// How long a status poll waits for a change, in seconds.
const POLL_WAIT: u64 = 25;
/// A stream that is silent for so long is dead: a living one sends keep-alives.
const STREAM_SILENCE: Duration = Duration::from_mins(1);
/// An unchanged status that comes sooner was not waited for: too many wait at that process already. So long is the pause then.
const NO_WAIT: Duration = Duration::from_secs(1);
/// First and longest wait before a process that did not answer is asked again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl Monitor {
    /// Listens to a process until it is aborted.
    pub(super) async fn listen(self: Arc<Self>, id: SessionName, pod: PodEndpoint) {
        // The first answer tells where the log stands, so that the stream begins there and misses nothing after it.
        self.poll_once(&id, &pod).await;
        self.align_cursor(&pod.uid);
        tokio::join!(self.poll(&id, &pod), self.follow_events(&id, &pod));
    }

    async fn poll_once(&self, id: &SessionName, pod: &PodEndpoint) {
        let mut wait = AGAIN.0;
        loop {
            let turn = self.first_calls.acquire().await;
            let answer = self.pods.status(pod, StatusQuery::default()).await;
            drop(turn);
            match answer {
                Ok(status) => return self.hear(id, status).await,
                Err(error) => wait = self.missed(id, pod, &error, wait).await,
            }
        }
    }

    async fn poll(&self, id: &SessionName, pod: &PodEndpoint) {
        loop {
            let since = self.heard(&pod.uid).map(|heard| heard.status.revision);
            let query = StatusQuery { since, wait: Some(POLL_WAIT) };
            let asked = Instant::now();
            match self.pods.status(pod, query).await {
                Ok(status) => {
                    let at_once = Some(status.revision) == since && asked.elapsed() < NO_WAIT;
                    self.hear(id, status).await;
                    if at_once {
                        tokio::time::sleep(NO_WAIT).await;
                    }
                }
                Err(error) => {
                    self.missed(id, pod, &error, AGAIN.0).await;
                    self.poll_once(id, pod).await;
                }
            }
        }
    }

    /// Notes that a process did not answer, waits, and gives the next wait.
    async fn missed(
        &self,
        id: &SessionName,
        pod: &PodEndpoint,
        error: &PodError,
        wait: Duration,
    ) -> Duration {
        tracing::debug!(session = %id, %error, "a session's process did not answer");
        self.silent(&pod.uid);
        if let Some(record) = self.directory.get(id) {
            self.publish(&record).await;
        }
        tokio::time::sleep(wait).await;
        (wait * 2).min(AGAIN.1)
    }

    async fn follow_events(&self, id: &SessionName, pod: &PodEndpoint) {
        let mut wait = AGAIN.0;
        loop {
            let cursor = self.known().get(&pod.uid).and_then(|known| known.cursor);
            match self.pods.stream(pod, cursor).await {
                Ok(stream) => {
                    wait = AGAIN.0;
                    self.tell_codes(id, pod).await;
                    self.read_stream(id, pod, stream).await;
                }
                Err(error) => {
                    tracing::debug!(session = %id, %error, "a session's events cannot be followed");
                    wait = (wait * 2).min(AGAIN.1);
                }
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells the codes that wait already: the stream has only those to come.
    async fn tell_codes(&self, id: &SessionName, pod: &PodEndpoint) {
        if let Ok(QrCode { qr, expires_at }) = self.pods.qr(pod).await {
            self.tell(id, &pod.uid, News::Event(Box::new(EventData::Qr { qr, expires_at }))).await;
        }
        if let Ok(PairingCode { code, expires_at }) = self.pods.shown_pairing_code(pod).await {
            self.keep_pairing_code(&pod.uid, PairingCode { code: code.clone(), expires_at });
            self.tell(id, &pod.uid, News::Event(Box::new(EventData::PairingCode { code, expires_at }))).await;
        }
    }

    /// Reads a stream to its end.
    async fn read_stream(&self, id: &SessionName, pod: &PodEndpoint, mut stream: reqwest::Response) {
        let mut reader = Reader::default();
        while let Ok(Ok(Some(piece))) = tokio::time::timeout(STREAM_SILENCE, stream.chunk()).await {
            match reader.push(&piece) {
                Ok(frames) => {
                    for frame in frames {
                        self.take(id, pod, &frame).await;
                    }
                }
                Err(error) => {
                    return tracing::warn!(session = %id, %error, "a session's events are not understood");
                }
            }
        }
    }

    async fn take(&self, id: &SessionName, pod: &PodEndpoint, frame: &Frame) {
        match serde_json::from_str::<Event>(&frame.data) {
            Ok(event) => {
                if let EventData::PairingCode { code, expires_at } = &event.data {
                    let code = PairingCode { code: code.clone(), expires_at: *expires_at };
                    self.keep_pairing_code(&pod.uid, code);
                }
                if let EventData::Gap { after, oldest } = &event.data {
                    tracing::warn!(session = %id, after, oldest, "events left the log before anybody was told of them");
                }
                self.tell(id, &pod.uid, News::Event(Box::new(event.data))).await;
            }
            Err(error) => tracing::debug!(session = %id, %error, "an event of a newer kind is passed over"),
        }
        if let Some(seq) = frame.id.as_deref().and_then(|id| id.parse().ok())
            && let Some(known) = self.known().get_mut(&pod.uid)
        {
            known.cursor = Some(seq);
        }
    }
}
