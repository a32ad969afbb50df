//! `PodReady` and Suspended: how it stands with the pod, and what to do about it.

use crds::conditions::reason;
use crds::names;
use crds::spec::OperatingMode;

use super::{Facts, Finding};
use crate::decide::{Absence, After, Drift, Obstacle, Standing, Step, Wait, recovery};
use crate::observe::{Container, Exit, Observed, PodSeen, Turn};

/// What kubelets call an image that cannot be had.
const IMAGE: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];
/// What they call a container that cannot be made.
const CONTAINER: [&str; 5] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreStartHookError",
    "PostStartHookError",
];
/// Exit code of the session program when another process has its data directory.
const LOCKED: i32 = 75;

/// The condition `PodReady`.
pub(super) fn find(facts: &Facts<'_>) -> Finding {
    let seen = facts.seen;
    let problem = facts.outcome.problem.as_ref();
    if let Some(problem) = problem.filter(|problem| problem.step == Step::CreatePod) {
        return Finding::no(problem.reason, problem.message.clone());
    }
    match &facts.decision.pod {
        Standing::NameConflict { whose, ending } => conflict(seen.name(), whose, *ending),
        Standing::Multiple(names) => Finding::no(
            reason::MULTIPLE_PODS,
            format!(
                "These pods claim to be this session's, which has one pod named {}: {}. None of them is touched, as two processes damage the credentials: delete those that should not be.",
                seen.name(),
                names.join(", ")
            ),
        ),
        Standing::Absent(Absence::Due) if facts.decision.obstacle.is_some() => in_the_way(facts),
        Standing::Absent(absence) => absent(seen, absence),
        Standing::Terminating => {
            Finding::no(reason::POD_TERMINATING, "The pod is ending; a new one is made only when it is gone.")
        }
        Standing::NodeLost { node, since, gone } => {
            let since = since.map_or_else(String::new, |since| format!(" since {since}"));
            let where_ = if *gone { "The pod is gone from the API server, but may" } else { "The pod may" };
            Finding::no(
                reason::NODE_UNREACHABLE,
                format!(
                    "Node {node} has not answered{since}. {where_} still run there, and a second one could damage the credentials. It goes on when the node is back, when its Node object is deleted or has the taint node.kubernetes.io/out-of-service, or with spec.onNodeLoss Recreate."
                ),
            )
        }
        Standing::Vanished { node, wait } => vanished(node.as_deref(), wait),
        Standing::Ended => ended(seen),
        Standing::Present => {
            seen.own_pod().map_or_else(|| absent(seen, &Absence::Due), |pod| present(facts, pod))
        }
    }
}

/// The condition Suspended.
pub(super) fn suspended(facts: &Facts<'_>) -> Finding {
    match (facts.seen.session.spec.operating_mode, &facts.decision.pod) {
        (OperatingMode::Running, _) => Finding::no(reason::RUNNING, "spec.operatingMode is Running."),
        (OperatingMode::Suspended, Standing::Absent(_) | Standing::NameConflict { .. }) => Finding::yes(
            reason::SUSPENDED,
            "The pod has ended and the volume is kept. Set spec.operatingMode to Running to go on.",
        ),
        (OperatingMode::Suspended, _) => Finding::no(reason::SUSPENDING, "The pod has not ended yet."),
    }
}

fn conflict(name: &str, whose: &str, ending: bool) -> Finding {
    let words = if ending {
        format!(
            "A pod {name} that belongs to {whose} is still ending; this session's is made when it is gone."
        )
    } else {
        format!(
            "A pod {name} exists that belongs to {whose}. It is left alone: delete it, or give this session another name."
        )
    };
    Finding::no(reason::POD_NAME_CONFLICT, words)
}

fn vanished(node: Option<&str>, wait: &Wait) -> Finding {
    let (since, seconds) = (wait.since, wait.wait.as_secs());
    match (wait.after, node) {
        (After::Return, Some(node)) => Finding::no(
            reason::NODE_UNREACHABLE,
            format!(
                "Node {node} answers again since {since}. The pod is gone from the API server, but the node may only now be ending its process. The next pod is made {seconds} s after that (the grace period and a little more), if the node stays."
            ),
        ),
        (After::Departure | After::Return, node) => {
            let node = node.map_or_else(|| "its node".to_owned(), |node| format!("node {node}"));
            Finding::no(
                reason::POD_TERMINATING,
                format!(
                    "The pod is gone from the API server since {since}, but nobody saw its process end: it was deleted by force, or the operator was away. It may still run if {node} has failed and that is not known yet, and a second one could damage the credentials. The next pod is made {seconds} s after that, if the node still answers."
                ),
            )
        }
    }
}

fn in_the_way(facts: &Facts<'_>) -> Finding {
    let name = facts.seen.name();
    let (what, name) = match facts.decision.obstacle {
        Some(Obstacle::NetworkPolicy) => ("NetworkPolicy", names::network_policy(name)),
        Some(Obstacle::Secret) | None => ("Secret", names::secret(name)),
    };
    Finding::no(
        reason::REFUSED,
        format!(
            "The {what} {name} is somebody else's, or is being deleted. The pod is made when it is gone: if it stays, delete it, or look at its finalizers."
        ),
    )
}

fn absent(seen: &Observed, absence: &Absence) -> Finding {
    match absence {
        Absence::Due => Finding::no(reason::POD_MISSING, "The pod is being made."),
        Absence::Suspended => Finding::no(reason::SUSPENDED, "The session is suspended."),
        Absence::Blocked => {
            Finding::no(reason::POD_MISSING, "No pod is made: see Ready for what stands in the way.")
        }
        Absence::BackingOff(then) => {
            let recovery = seen.status().and_then(|status| status.recovery.as_ref());
            let (count, last) =
                recovery.map_or((1, ""), |recovery| (recovery.count, recovery.last_reason.as_str()));
            Finding::no(
                reason::BACKING_OFF,
                format!(
                    "The pod has ended {} without running for ten minutes, the last time with {last}. The next one is made at {then}.",
                    if count == 1 { "once".to_owned() } else { format!("{count} times") }
                ),
            )
        }
    }
}

fn ended(seen: &Observed) -> Finding {
    let (word, words) = seen.own_pod().map_or_else(Default::default, |pod| {
        (recovery::reason(pod), pod.message.as_ref().map_or_else(String::new, |words| format!(": {words}")))
    });
    Finding::no(reason::POD_FAILED, format!("The pod has ended ({word}){words}. A new one is made."))
}

fn present(facts: &Facts<'_>, pod: &PodSeen) -> Finding {
    if pod.is_ready() {
        return rollout(facts).unwrap_or_else(|| Finding::yes(reason::AS_EXPECTED, "The pod is ready."));
    }
    if let Some(why) = &pod.unschedulable {
        return Finding::no(reason::UNSCHEDULABLE, format!("The pod finds no node: {why}"));
    }
    match &pod.container {
        Container::Waiting { reason, message } => waiting(facts.seen, pod, reason, message),
        Container::Unseen => creating(facts.seen, "The pod waits for its node."),
        Container::Running { .. } => {
            Finding::no(reason::CONTAINER_NOT_READY, "The session program runs and cannot take messages yet.")
        }
        Container::Terminated(exit) => Finding::no(
            reason::CONTAINER_NOT_READY,
            format!("The session program has ended ({}) and is started again.", outcome(exit)),
        ),
    }
}

fn waiting(seen: &Observed, pod: &PodSeen, word: &str, words: &str) -> Finding {
    if IMAGE.contains(&word) {
        return Finding::no(reason::IMAGE_PULL_FAILED, format!("The image cannot be had ({word}): {words}"));
    }
    if CONTAINER.contains(&word) {
        return Finding::no(
            reason::CONTAINER_NOT_CREATED,
            format!("The container cannot be made ({word}): {words}"),
        );
    }
    if word == "CrashLoopBackOff" {
        let last = pod.last_exit.as_ref().map_or_else(|| "unknown".to_owned(), outcome);
        return Finding::no(
            reason::CRASH_LOOP,
            format!(
                "The session program ends again and again (last: {last}); the kubelet starts it ever more slowly. See `kubectl logs {} --previous`.",
                pod.name
            ),
        );
    }
    creating(seen, "The container is being made.")
}

fn creating(seen: &Observed, words: &str) -> Finding {
    let warning = |word: &str| seen.warnings.iter().find(|warning| warning.reason == word);
    if let Some(warning) = warning("FailedAttachVolume") {
        return Finding::no(
            reason::VOLUME_ATTACH_FAILED,
            format!("The volume cannot be attached: {}", warning.message),
        );
    }
    if let Some(warning) = warning("FailedMount").or_else(|| warning("FailedCreatePodSandBox")) {
        return Finding::no(
            reason::CONTAINER_NOT_CREATED,
            format!("The container cannot be made ({}): {}", warning.reason, warning.message),
        );
    }
    Finding::no(reason::CONTAINER_NOT_READY, words)
}

fn outcome(exit: &Exit) -> String {
    let locked = if exit.code == LOCKED { ": another process has its data directory" } else { "" };
    format!("{}, exit code {}{locked}", exit.reason, exit.code)
}

/// What keeps an outdated pod from being replaced.
pub(super) fn rollout(facts: &Facts<'_>) -> Option<Finding> {
    if facts.decision.drift == Drift::None {
        return None;
    }
    let by_hand = facts.seen.session.spec.update_strategy == crds::spec::UpdateStrategy::OnDelete;
    Some(match &facts.seen.turn {
        _ if by_hand => Finding::yes(
            reason::ROLLOUT_PENDING,
            "The pod is ready, but was made from an older template. It is replaced when somebody deletes it (updateStrategy OnDelete).",
        ),
        Turn::Stopped(why) => Finding::yes(
            reason::ROLLOUT_STOPPED,
            format!("The pod is ready, but was made from an older template. {why}"),
        ),
        Turn::Later(why) => Finding::yes(
            reason::ROLLOUT_PENDING,
            format!("The pod is ready, but was made from an older template. {why}"),
        ),
        Turn::Now => Finding::yes(
            reason::ROLLOUT_PENDING,
            "The pod is ready, but was made from an older template. It is replaced now.",
        ),
    })
}
