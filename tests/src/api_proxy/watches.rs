//! What becomes of watches on their way: they flow, are held, or have broken off.
//!
//! Comes in: the bytes of one watch, and how things stand now. Goes out: the same bytes, later or never.

use axum::body::Bytes;
use futures_util::stream::{BoxStream, Stream};
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

/// How it stands with all watches.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Watches whose path and query contain this say nothing for now.
    pub(super) held: Option<String>,
    /// Number of the latest watch.
    pub(super) latest: usize,
    /// Watches up to this number never say anything again, nor do they end.
    pub(super) stranded: usize,
    /// Watches up to this number break off.
    pub(super) broken: usize,
}

impl Flow {
    /// What happens to the next bytes of a watch; none: they wait.
    fn verdict(&self, number: usize, target: &str) -> Option<Verdict> {
        if number <= self.broken {
            return Some(Verdict::Breaks);
        }
        let held = self.held.as_ref().is_some_and(|held| target.contains(held));
        (number > self.stranded && !held).then_some(Verdict::Passes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passes,
    Breaks,
}

type Chunk = Result<Bytes, std::io::Error>;

/// Leads a watch's bytes through; its end waits as they do.
pub(super) fn through(
    bytes: impl Stream<Item = Chunk> + Send + 'static,
    flow: &watch::Sender<Flow>,
    target: String,
) -> BoxStream<'static, Chunk> {
    let mut number = 0;
    flow.send_modify(|flow| {
        flow.latest += 1;
        number = flow.latest;
    });
    let state = (Box::pin(bytes), flow.subscribe(), target);
    stream::unfold(state, move |(mut bytes, mut flow, target)| async move {
        let chunk = tokio::select! {
            chunk = bytes.next() => chunk,
            () = broken(flow.clone(), number) => None,
        };
        let verdict = verdict(&mut flow, number, &target).await;
        let passes = match verdict {
            Verdict::Passes => chunk?,
            Verdict::Breaks => Err(std::io::Error::other("the watch breaks off")),
        };
        Some((passes, (bytes, flow, target)))
    })
    .boxed()
}

async fn broken(mut flow: watch::Receiver<Flow>, number: usize) {
    if flow.wait_for(|flow| number <= flow.broken).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for what is to happen. When the proxy has ended, bytes pass.
async fn verdict(flow: &mut watch::Receiver<Flow>, number: usize, target: &str) -> Verdict {
    let told = flow.wait_for(|flow| flow.verdict(number, target).is_some()).await;
    told.ok().and_then(|flow| flow.verdict(number, target)).unwrap_or(Verdict::Passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_breaks_even_while_it_is_held() {
        let flow = Flow { held: Some("/pods".to_owned()), latest: 4, stranded: 2, broken: 1 };
        assert_eq!(flow.verdict(1, "/pods"), Some(Verdict::Breaks));
        assert_eq!(flow.verdict(2, "/secrets"), None);
        assert_eq!(flow.verdict(3, "/pods"), None);
        assert_eq!(flow.verdict(3, "/secrets"), Some(Verdict::Passes));
    }

    #[tokio::test]
    async fn a_stranded_watch_does_not_even_end() {
        let flow = watch::Sender::new(Flow::default());
        let chunks = || stream::iter([Ok(Bytes::from_static(b"x"))]);
        let mut one = through(chunks(), &flow, "/pods".to_owned());
        assert!(one.next().await.is_some());
        flow.send_modify(|flow| flow.stranded = flow.latest);
        assert!(futures_util::poll!(one.next()).is_pending());
        let mut two = through(chunks(), &flow, "/pods".to_owned());
        assert!(two.next().await.is_some_and(|chunk| chunk.is_ok()) && two.next().await.is_none());
        flow.send_modify(|flow| flow.broken = flow.latest);
        assert!(one.next().await.is_some_and(|chunk| chunk.is_err()));
    }
}
