//! What the session itself is asked for: its configuration at once, and what takes long as an errand.

use crds::conditions::reason;

use super::{Failure, Work};
use crate::decide::Step;
use crate::push::{self, PushError};
use crate::status::{Outcome, Problem};

/// What came of the last errand to the session.
pub(super) fn hear(work: Work<'_>) -> (Outcome, Option<Step>) {
    let mut outcome = Outcome::default();
    let Some((step, result)) = work.context.errands.take(work.seen.uid()) else { return (outcome, None) };
    match result {
        Ok(()) => outcome.done.push(step.clone()),
        Err(error) => {
            tracing::info!(session = %work.key, "{error}");
            outcome.again = true;
            if passes(&error) {
                work.context.memory.forget_code(work.key);
            }
        }
    }
    (outcome, Some(step))
}

pub(super) async fn ask(work: Work<'_>, step: &Step) -> Result<(), Failure> {
    let endpoint = work.endpoint.ok_or(Failure::NothingToDoItWith)?;
    let to = endpoint.clone();
    match (step, work.valid) {
        (Step::PushConfig, Some(valid)) => {
            push::configure(endpoint, &valid.push).await.map(drop).map_err(Failure::Session)
        }
        (Step::AskPairingCode, Some(valid)) => {
            let phone = valid.spec.phone_number.clone().unwrap_or_default();
            let question = async move { push::pairing_code(&to, &phone).await.map(drop) };
            if work.context.errands.send(endpoint, step, question) {
                let since = work.seen.said().map_or(0, |said| said.since);
                work.context.memory.ask_code(work.key, (endpoint.pod_uid.clone(), since));
            }
            Err(Failure::UnderWay)
        }
        (Step::LogOut, _) => {
            let question = async move { push::log_out(&to).await.map(drop) };
            work.context.errands.send(endpoint, step, question);
            Err(Failure::UnderWay)
        }
        _ => Err(Failure::NothingToDoItWith),
    }
}

/// Whether asking again soon may help: the session could not be reached, or had no connection yet. What WhatsApp itself
/// refuses is not asked for again in the same phase.
fn passes(error: &PushError) -> bool {
    error.code().is_none_or(|code| code == "not_ready")
}

/// A configuration that the session refuses is a fault of the spec; anything else passes.
pub(super) fn problem(step: &Step, error: &PushError) -> Option<Problem> {
    let refused = *step == Step::PushConfig && error.code().is_some_and(|code| code.starts_with("invalid"));
    refused.then(|| Problem { step: step.clone(), reason: reason::INVALID_SPEC, message: error.to_string() })
}
