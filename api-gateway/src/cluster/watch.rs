//! Follows one kind of object: everything there is, then every change, for as long as the gateway runs.
//!
//! Comes in: a watch of the API server. Goes out: [`News`] of what `read` makes of each object, so that nothing else of it
//! stays in memory, and a line on the board. After any error it lists anew, more and more rarely: so it knows for sure
//! when it is current again, and misses nothing.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::Cluster;
use super::board::Line;
use super::trouble::Trouble;

/// First and longest wait after an error.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What became of the objects.
#[derive(Debug)]
pub enum News<T> {
    /// These are all there are.
    All(Vec<T>),
    /// This one is new, or another than before.
    Now(T),
    /// This one is gone; its last state.
    Gone(T),
}

/// Which objects are followed.
#[derive(Clone)]
pub struct Source<K> {
    /// Where.
    pub api: Api<K>,
    /// Only these.
    pub config: watcher::Config,
    /// Its line on the board. It is marked when the source is lost; `take` marks it when it is good.
    pub line: Line,
}

impl<K> Source<K> {
    /// All objects with these labels (none: all).
    pub fn labelled(cluster: &Cluster, api: Api<K>, labels: Option<&str>, line: Line) -> Self {
        let mut config = watcher::Config::default().timeout(cluster.watch_timeout);
        config.label_selector = labels.map(str::to_owned);
        Self { api, config, line }
    }

    /// The one object of this name.
    pub fn named(cluster: &Cluster, api: Api<K>, name: &str, line: Line) -> Self {
        let config = watcher::Config::default().timeout(cluster.watch_timeout);
        Self { api, config: config.fields(&format!("metadata.name={name}")), line }
    }
}

/// Follows a source. Does not end.
pub async fn follow<K, T>(source: Source<K>, read: impl Fn(K) -> T, mut take: impl FnMut(News<T>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut wait = AGAIN.0;
    loop {
        let mut events = pin!(watcher::watcher(source.api.clone(), source.config.clone()));
        let mut listed = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => listed.push(read(object)),
                Ok(Event::InitDone) => {
                    wait = AGAIN.0;
                    take(News::All(std::mem::take(&mut listed)));
                }
                Ok(Event::Apply(object)) => take(News::Now(read(object))),
                Ok(Event::Delete(object)) => take(News::Gone(read(object))),
                Err(error) => {
                    source.line.down(Trouble::from(&error).to_string());
                    break;
                }
            }
        }
        // Not all replicas at once.
        tokio::time::sleep(wait.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
        wait = (wait * 2).min(AGAIN.1);
    }
}
