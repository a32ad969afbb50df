//! Keeps one session's process as it shall be: running or not, never two at once.
//!
//! Comes in: the wish (run, stop) and the process's end. Goes out: a [`Runtime`] that says where it stands. One task per
//! session owns the process, so a crash of one never touches another, and a new one starts only when the old has ended.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::backoff::{Backoff, Exit};
use super::child::{ChildProcess, ChildSpec, announced};
use crate::clock::now_ms;
use crate::directory::{PodEndpoint, Runtime};

/// How long a process may take to end before it is killed: longer than the 25 s that it gives itself.
pub const GRACE: Duration = Duration::from_secs(30);
/// How long a process may take to tell its address.
const ANNOUNCE: Duration = Duration::from_secs(30);

/// What the process shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Running. Another number than before: a new process.
    Run(u64),
    /// Not running.
    Stop,
    /// Not running, and never again.
    Quit,
}

/// Called whenever a runtime changes; the flag says that a process ended by itself.
pub type Notify = std::sync::Arc<dyn Fn(bool) + Send + Sync>;

/// The task that owns one session's process.
#[derive(Debug)]
pub struct Supervisor {
    wish: watch::Sender<Wish>,
    runtime: watch::Receiver<Runtime>,
}

impl Supervisor {
    /// Starts the task. The process starts too if it `runs`, with [`Supervisor::run`] otherwise.
    pub fn start(spec: ChildSpec, uid: String, token: String, notify: Notify, runs: bool) -> Self {
        let since = now_ms();
        let (wish, wished) = watch::channel(if runs { Wish::Run(0) } else { Wish::Stop });
        let first = if runs { Runtime::Starting { since, reason: None } } else { Runtime::Stopped { since } };
        let (published, runtime) = watch::channel(first);
        let keeper = Keeper { spec, uid, token, wished, published, notify, backoff: Backoff::default() };
        tokio::spawn(keeper.keep());
        Self { wish, runtime }
    }

    /// Where the process stands.
    pub fn runtime(&self) -> Runtime {
        self.runtime.borrow().clone()
    }

    /// Lets a process run, if none does. See [`Supervisor::begun`].
    pub fn run(&self) {
        self.wish.send_if_modified(|wish| {
            let starts = *wish == Wish::Stop;
            if starts {
                *wish = Wish::Run(0);
            }
            starts
        });
    }

    /// Waits until the wish to run is being followed.
    pub async fn begun(&self) {
        let mut runtime = self.runtime.clone();
        let _gone = runtime.wait_for(|runtime| !matches!(runtime, Runtime::Stopped { .. })).await;
    }

    /// Ends the process, if one runs, and starts a new one. Comes back when that has begun.
    pub async fn restart(&self) {
        let mut runtime = self.runtime.clone();
        runtime.mark_unchanged();
        self.wish.send_modify(|wish| {
            *wish = match *wish {
                Wish::Run(count) => Wish::Run(count + 1),
                Wish::Stop => Wish::Run(0),
                Wish::Quit => Wish::Quit,
            }
        });
        let _gone = runtime.changed().await;
    }

    /// Ends the process and comes back once it is gone.
    pub async fn stop(&self) {
        self.wish.send_if_modified(|wish| {
            let stops = matches!(wish, Wish::Run(_));
            if stops {
                *wish = Wish::Stop;
            }
            stops
        });
        let mut runtime = self.runtime.clone();
        // An error means that the task has ended, and its process with it.
        let _ended = runtime.wait_for(|runtime| matches!(runtime, Runtime::Stopped { .. })).await;
    }

    /// Tells the task to end the process and itself.
    pub fn quit(&self) {
        self.wish.send_replace(Wish::Quit);
    }

    /// Waits until both have ended.
    pub async fn gone(&self) {
        self.quit();
        let mut runtime = self.runtime.clone();
        while runtime.changed().await.is_ok() {}
    }
}

/// How one life of the process came to its end.
enum End {
    /// The wish changed; the process is gone.
    Told,
    /// By itself, after so long.
    Exited(Exit, Duration),
}

struct Keeper {
    spec: ChildSpec,
    uid: String,
    token: String,
    wished: watch::Receiver<Wish>,
    published: watch::Sender<Runtime>,
    notify: Notify,
    backoff: Backoff,
}

impl Keeper {
    async fn keep(mut self) {
        loop {
            let wish = *self.wished.borrow_and_update();
            match wish {
                Wish::Quit => return self.publish(Runtime::Stopped { since: now_ms() }),
                Wish::Stop => {
                    self.backoff = Backoff::default();
                    self.publish(Runtime::Stopped { since: now_ms() });
                    if self.wished.changed().await.is_err() {
                        return;
                    }
                }
                Wish::Run(_) => {
                    if let End::Exited(exit, ran) = self.live(wish).await {
                        self.wait(&exit, ran).await;
                    }
                }
            }
        }
    }

    /// One process, from its start to its end.
    async fn live(&mut self, wish: Wish) -> End {
        self.publish(Runtime::Starting { since: now_ms(), reason: None });
        let started = Instant::now();
        let mut child = match ChildProcess::spawn(&self.spec) {
            Ok(child) => child,
            Err(error) => return End::Exited(Exit::NotStarted(error.to_string()), Duration::ZERO),
        };
        let announced = tokio::select! {
            address = tokio::time::timeout(ANNOUNCE, announced(&self.spec.address_file)) => address.ok(),
            exit = child.ended() => return End::Exited(exit, started.elapsed()),
            () = changed_from(&mut self.wished, wish) => return self.end(child).await,
        };
        let Some(address) = announced else {
            child.stop(GRACE).await;
            return End::Exited(Exit::Silent, started.elapsed());
        };
        let pod = PodEndpoint { address, uid: self.uid.clone(), token: self.token.clone() };
        self.publish(Runtime::Running { since: now_ms(), pod });
        let exit = tokio::select! {
            exit = child.ended() => exit,
            () = changed_from(&mut self.wished, wish) => return self.end(child).await,
        };
        End::Exited(exit, started.elapsed())
    }

    async fn end(&self, mut child: ChildProcess) -> End {
        let (since, restarts) = (now_ms(), matches!(*self.wished.borrow(), Wish::Run(_)));
        self.publish(if restarts {
            Runtime::Starting { since, reason: None }
        } else {
            Runtime::Stopping { since }
        });
        child.stop(GRACE).await;
        End::Told
    }

    /// Waits until the next start is due or the wish changes.
    async fn wait(&mut self, exit: &Exit, ran: Duration) {
        let next = self.backoff.after(exit, ran);
        let (id, seconds) = (&self.spec.id, next.after.as_secs());
        tracing::warn!(session = %id, why = %next.reason.message, "a session's process ended; the next starts in {seconds} s");
        let since = now_ms();
        let until = since + u64::try_from(next.after.as_millis()).unwrap_or(u64::MAX);
        self.published.send_replace(if next.failed {
            Runtime::Failed { since, reason: next.reason }
        } else {
            Runtime::Waiting { since, until, reason: next.reason }
        });
        (self.notify)(true);
        let _due = tokio::time::timeout(next.after, self.wished.changed()).await;
    }

    fn publish(&self, runtime: Runtime) {
        self.published.send_replace(runtime);
        (self.notify)(false);
    }
}

/// Waits until the wish is another one. Ends too when nobody can wish any more.
async fn changed_from(wished: &mut watch::Receiver<Wish>, wish: Wish) {
    let _closed = wished.wait_for(|now| *now != wish).await;
}

#[cfg(test)]
mod tests;
