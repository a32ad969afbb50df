//! What is told of a session: its status from what is seen, decided and done. Pure.
//!
//! The same facts give the same status, to the byte: nothing is written when nothing has changed. `lastTransitionTime`
//! moves only with a condition's status. No secret, code, number or message text comes in here.

use std::borrow::Cow;

use crds::conditions;
use crds::status::WhatsAppSessionStatus;
use crds::token::TokenKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::decide::{Decision, Step};
use crate::observe::Observed;
use crate::validate::Invalid;

mod account;
mod connection;
mod facts;
mod pod;
mod ready;
mod storage;

pub use account::fingerprint;

/// What became of the steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Those that were done.
    pub done: Vec<Step>,
    /// What the API server or the session refused, if anything.
    pub problem: Option<Problem>,
    /// The session did not do what it was asked to: it is asked again soon.
    pub again: bool,
    /// The version that the resource has by what was done to it, if anything was.
    pub version: Option<String>,
}

/// A refusal that trying again at once does not mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The step.
    pub step: Step,
    /// Reason of the condition.
    pub reason: &'static str,
    /// The refusal, for people.
    pub message: String,
}

/// What is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What is seen.
    pub seen: &'a Observed,
    /// What was decided.
    pub decision: &'a Decision,
    /// Why the session cannot be built.
    pub invalid: Option<&'a Invalid>,
    /// What became of the steps.
    pub outcome: &'a Outcome,
    /// The key that account fingerprints are made with.
    pub key: &'a TokenKey,
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// For machines.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
}

impl Finding {
    fn yes(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status: "True", reason: reason.into(), message: message.into() }
    }

    fn no(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status: "False", reason: reason.into(), message: message.into() }
    }

    fn unknown(reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status: "Unknown", reason: reason.into(), message: message.into() }
    }

    fn is_true(&self) -> bool {
        self.status == "True"
    }
}

/// The status that a session has now.
pub fn tell(facts: &Facts<'_>) -> WhatsAppSessionStatus {
    let before = facts.seen.status().cloned().unwrap_or_default();
    let pod = pod::find(facts);
    let storage = storage::find(facts);
    let (paired, connected) = connection::find(facts, &before);
    let suspended = pod::suspended(facts);
    let ready = ready::find(
        facts,
        &ready::Parts { pod: &pod, storage: &storage, connected: &connected, suspended: &suspended },
    );
    let findings = [ready, pod, storage, paired, connected, suspended];
    let told = conditions::ALL.into_iter().zip(findings);
    let conditions = told.map(|(kind, finding)| condition(facts.seen, &before, kind, finding)).collect();
    WhatsAppSessionStatus {
        observed_generation: facts.seen.session.metadata.generation,
        conditions,
        ..facts::tell(facts, before)
    }
}

/// Most bytes of a message: Kubernetes allows 32,768, people read less.
const MAX_MESSAGE: usize = 1_024;

fn condition(seen: &Observed, before: &WhatsAppSessionStatus, kind: &str, mut finding: Finding) -> Condition {
    finding.message.truncate(finding.message.floor_char_boundary(MAX_MESSAGE));
    let same = before.conditions.iter().find(|one| one.type_ == kind && one.status == finding.status);
    Condition {
        type_: kind.to_owned(),
        status: finding.status.to_owned(),
        reason: finding.reason.into_owned(),
        message: finding.message,
        observed_generation: seen.session.metadata.generation,
        last_transition_time: same.map_or_else(|| Time(seen.now), |one| one.last_transition_time.clone()),
    }
}

/// What a condition said before, if it is one of ours.
fn said_before(before: &WhatsAppSessionStatus, kind: &str) -> Option<Finding> {
    let condition = before.conditions.iter().find(|one| one.type_ == kind)?;
    let status = ["True", "False", "Unknown"].into_iter().find(|word| *word == condition.status)?;
    Some(Finding { status, reason: condition.reason.clone().into(), message: condition.message.clone() })
}

/// Whether a status says anything else than the one before. What others have added to that is none of ours.
pub fn differs(before: Option<&WhatsAppSessionStatus>, now: &WhatsAppSessionStatus) -> bool {
    let Some(before) = before else { return true };
    let ours = before.conditions.iter().filter(|one| conditions::ALL.contains(&one.type_.as_str()));
    let ours: Vec<&Condition> = ours.collect();
    let same = conditions::ALL.iter().zip(&now.conditions).all(|(_, one)| ours.contains(&one));
    let rest =
        |status: &WhatsAppSessionStatus| WhatsAppSessionStatus { conditions: Vec::new(), ..status.clone() };
    !same || ours.len() != now.conditions.len() || rest(before) != rest(now)
}

#[cfg(test)]
mod tests;
