//! Follows one session: asks for its status, again and again, and tells what is new.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use session_api::{SessionStatus, routes};
use tokio::time::sleep;

use super::patience::{Patience, Timing};
use super::wire::{Ask, AskError, Connection};
use super::{News, Shared};
use crate::observe::{Answer, Endpoint};

/// On top of the session's own wait, for an answer to arrive.
const SLACK: Duration = Duration::from_secs(10);

/// Follows until nobody is interested any more.
pub(super) async fn follow(endpoint: Arc<Endpoint>, shared: Weak<Shared>, timing: Timing) {
    let mut patience = Patience::new(timing, Instant::now());
    loop {
        let Err(error) = connected(&endpoint, &shared, &mut patience, timing).await else { return };
        let (silent, pause) = patience.failed(Instant::now(), dice());
        let answer = if let AskError::Stranger(uid) = error {
            Some(Answer::Stranger(uid))
        } else {
            silent.then(|| Answer::Silent(error.to_string()))
        };
        if let Some(answer) = answer
            && tell(&shared, &endpoint, answer).await.is_none()
        {
            return;
        }
        sleep(pause).await;
    }
}

/// Asks on one connection until it fails. Ok: nobody is interested any more.
async fn connected(
    endpoint: &Endpoint,
    shared: &Weak<Shared>,
    patience: &mut Patience,
    timing: Timing,
) -> Result<(), AskError> {
    let mut connection = Connection::open(endpoint).await?;
    // What was known before the connection may be another process's: the first question is answered at once.
    let mut path = routes::STATUS.to_owned();
    loop {
        let ask = Ask { method: "GET", path: &path, body: None, within: timing.wait + SLACK };
        let status: Box<SessionStatus> = connection.ask(endpoint, ask).await?;
        patience.answered();
        path = format!("{}?since={}&wait={}", routes::STATUS, status.revision, timing.wait.as_secs());
        match tell(shared, endpoint, Answer::Status(status)).await {
            None => return Ok(()),
            // A status that goes to and fro must not be asked for without end.
            Some(News::Changed) => sleep(timing.calm / 5).await,
            Some(News::Same) => sleep(timing.calm).await,
        }
    }
}

/// Keeps an answer, and wakes the session's reconcile if it says something new. None: nobody is interested any more.
async fn tell(shared: &Weak<Shared>, endpoint: &Endpoint, answer: Answer) -> Option<News> {
    let (news, wake) = {
        let shared = shared.upgrade()?;
        (shared.keep(endpoint, answer)?, shared.wake.clone())
    };
    if news == News::Changed {
        wake.send(endpoint.session.clone()).await.ok()?;
    }
    Some(news)
}

fn dice() -> u8 {
    RandomState::new().hash_one(0).to_le_bytes()[0]
}
