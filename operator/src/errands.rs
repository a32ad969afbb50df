//! What a session is asked for that takes its time, as WhatsApp itself has to answer: no look at a session waits for it.
//!
//! Comes in: a question to a session's pod. Goes out: what came of it, at the session's next look, which is asked for through
//! `wake`. One errand at a time for each session; one to a former pod is given up.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::decide::Step;
use crate::observe::{Endpoint, SessionKey};
use crate::push::PushError;

/// All errands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Errands {
    errands: Arc<Mutex<HashMap<String, Errand>>>,
    wake: mpsc::Sender<SessionKey>,
}

/// The errand to one session, by its UID.
#[derive(Debug)]
struct Errand {
    pod_uid: String,
    step: Step,
    task: AbortHandle,
    result: Option<Result<(), PushError>>,
}

impl Errands {
    /// None yet. Sessions whose errand has come to its end are told through `wake`.
    pub fn new(wake: mpsc::Sender<SessionKey>) -> Self {
        Self { errands: Arc::default(), wake }
    }

    /// Sends one out, unless one is under way to the same pod or has just come back. Goes out: whether it was sent.
    pub fn send(
        &self,
        endpoint: &Endpoint,
        step: &Step,
        question: impl Future<Output = Result<(), PushError>> + Send + 'static,
    ) -> bool {
        let mut errands = self.errands();
        if errands.get(&endpoint.session_uid).is_some_and(|errand| errand.pod_uid == endpoint.pod_uid) {
            return false;
        }
        let (all, to, wake) = (self.clone(), endpoint.clone(), self.wake.clone());
        let task = tokio::spawn(async move {
            let result = question.await;
            if all.returned(&to, result) {
                let _nobody = wake.send(to.session.clone()).await;
            }
        });
        let errand = Errand {
            pod_uid: endpoint.pod_uid.clone(),
            step: step.clone(),
            task: task.abort_handle(),
            result: None,
        };
        if let Some(former) = errands.insert(endpoint.session_uid.clone(), errand) {
            former.task.abort();
        }
        true
    }

    /// What came of the errand to this session, if it has come to its end. It is told once.
    pub fn take(&self, session_uid: &str) -> Option<(Step, Result<(), PushError>)> {
        let mut errands = self.errands();
        errands.get(session_uid)?.result.as_ref()?;
        let errand = errands.remove(session_uid)?;
        Some((errand.step, errand.result?))
    }

    /// The session is gone.
    pub fn forget(&self, session_uid: &str) {
        if let Some(errand) = self.errands().remove(session_uid) {
            errand.task.abort();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.errands().len()
    }

    /// Keeps what came of an errand. False: nobody is interested any more.
    fn returned(&self, to: &Endpoint, result: Result<(), PushError>) -> bool {
        let mut errands = self.errands();
        let errand = errands.get_mut(&to.session_uid).filter(|errand| errand.pod_uid == to.pod_uid);
        errand.map(|errand| errand.result = Some(result)).is_some()
    }

    fn errands(&self) -> MutexGuard<'_, HashMap<String, Errand>> {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn to(session: &str, pod: &str) -> Endpoint {
        Endpoint {
            session: SessionKey::new("shop", session),
            session_uid: session.to_owned(),
            pod_uid: pod.to_owned(),
            address: ([127, 0, 0, 1], 9).into(),
            token: String::new(),
        }
    }

    #[tokio::test]
    async fn those_that_hang_hold_nobody_up_and_are_sent_once() {
        let (wake, mut woken) = mpsc::channel(1);
        let errands = Errands::new(wake);
        for name in ["a", "b", "c"] {
            assert!(errands.send(&to(name, "p"), &Step::AskPairingCode, pending()));
            assert!(!errands.send(&to(name, "p"), &Step::AskPairingCode, ready(Ok(()))), "one is under way");
        }
        assert!(errands.send(&to("d", "p"), &Step::LogOut, ready(Ok(()))));
        assert_eq!(woken.recv().await.unwrap().name(), "d");
        assert!(!errands.send(&to("d", "p"), &Step::LogOut, ready(Ok(()))), "its outcome has not been heard");
        assert_eq!(errands.take("d"), Some((Step::LogOut, Ok(()))));
        assert_eq!((errands.take("d"), errands.take("a"), errands.count()), (None, None, 3));
    }

    #[tokio::test]
    async fn a_new_pod_does_not_wait_for_the_errand_to_the_old_one() {
        let (wake, mut woken) = mpsc::channel(1);
        let errands = Errands::new(wake);
        errands.send(&to("a", "old"), &Step::AskPairingCode, pending());
        assert!(errands.send(&to("a", "new"), &Step::AskPairingCode, ready(Ok(()))));
        woken.recv().await.unwrap();
        assert!(errands.take("a").is_some());
        errands.send(&to("a", "new"), &Step::LogOut, pending());
        errands.forget("a");
        assert_eq!(errands.count(), 0);
    }
}
