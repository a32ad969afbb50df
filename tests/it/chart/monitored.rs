//! Alerts and dashboard speak of metrics that the programs have, and of reasons that conditions have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{object, render, root};

const ON: &[&str] = &[
    "--set",
    "monitoring.prometheusRule.enabled=true,monitoring.dashboard.enabled=true",
    "--set",
    "monitoring.sessionMonitor.enabled=true,monitoring.sessionMonitor.prometheusNamespace=p",
];

/// Every text `expr` below a value.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| expressions(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

fn all_expressions() -> Vec<String> {
    let objects = render("ns", ON);
    let mut found = Vec::new();
    expressions(object(&objects, "PrometheusRule/warest"), &mut found);
    let dashboard = object(&objects, "ConfigMap/warest-dashboard")["data"]["warest.json"].as_str().unwrap();
    expressions(&serde_json::from_str(dashboard).unwrap(), &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Names of metrics in expressions, without the endings that a histogram's or counter's samples have.
fn metrics(expressions: &[String]) -> BTreeSet<String> {
    let words =
        expressions.iter().flat_map(|one| one.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let ours = words.filter(|word| word.starts_with("warest_"));
    ours.map(|name| name.trim_end_matches("_bucket").trim_end_matches("_total").to_owned()).collect()
}

/// Names are compared with the sources: a family that has counted nothing yet is not shown by a running program.
#[test]
fn every_metric_that_is_asked_for_is_registered() {
    let sources = |folder: &str| -> String {
        let files = super::files(&root().join(folder), ".rs");
        files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    };
    let (gateway, operator) = (sources("api-gateway/src"), sources("operator/src"));
    let session = sources("session-pod/src");
    let unknown: Vec<_> = metrics(&all_expressions())
        .into_iter()
        .filter(|name| {
            let (source, written) =
                match (name.strip_prefix("warest_gateway_"), name.strip_prefix("warest_operator_")) {
                    (Some(rest), _) => (&gateway, rest),
                    (_, Some(rest)) => (&operator, rest),
                    _ => (&session, name.as_str()),
                };
            // A unit may be registered apart.
            let names = [written, written.trim_end_matches("_seconds")];
            !names.iter().any(|name| source.contains(&format!("\"{name}\"")))
        })
        .collect();
    assert!(unknown.is_empty(), "registered nowhere: {unknown:?}");
    assert!(
        gateway.contains("\"warest_gateway\"") && operator.contains("\"warest_operator\""),
        "the prefixes"
    );
}

#[test]
fn every_reason_is_one_of_a_condition() {
    let known = std::fs::read_to_string(root().join("crds/src/conditions.rs")).unwrap();
    let mut seen = 0;
    for expression in all_expressions() {
        for matcher in expression.split("reason").skip(1) {
            let Some(text) = matcher.split('"').nth(1).filter(|_| matcher.starts_with(['=', '!'])) else {
                continue;
            };
            for reason in text.split('|') {
                assert!(known.contains(&format!("= \"{reason}\";")), "{reason} in {expression}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10);
}

/// Reasons that no alert names: somebody wants it so, or knows that a phone is waited for; or it passes by itself, and
/// `WarestSessionsNotReady` tells when many wait for long; or, of a rollout that has stopped, an alert asks another metric.
const SILENT: [&str; 25] = [
    "AsExpected",
    "AwaitingPairing",
    "BackingOff",
    "ContainerNotReady",
    "Deleting",
    "Paused",
    "PodFailed",
    "PodMissing",
    "PodTerminating",
    "QrExpired",
    "Reconnecting",
    "RolloutPending",
    "RolloutStopped",
    "Running",
    "SessionUnreachable",
    "Starting",
    "Stopping",
    "StoragePending",
    "Suspended",
    "Suspending",
    "Unknown",
    "Unschedulable",
    "VolumeAttachFailed",
    "VolumeResetting",
    "WrongSessionAnswered",
];

/// Reasons that an alert waits for, not those that it leaves out.
fn alerted() -> BTreeSet<String> {
    let objects = render("ns", ON);
    let mut found = Vec::new();
    expressions(object(&objects, "PrometheusRule/warest"), &mut found);
    let named = found.iter().flat_map(|one| one.split("reason=~\"").skip(1));
    named.flat_map(|rest| rest.split('"').next().unwrap().split('|')).map(str::to_owned).collect()
}

#[test]
fn every_reason_that_somebody_has_to_act_on_is_in_an_alert() {
    let alerted = alerted();
    let conditions = std::fs::read_to_string(root().join("crds/src/conditions.rs")).unwrap();
    let (_, reasons) = conditions.split_once("pub mod reason {").expect("the reasons");
    let reasons = reasons.lines().filter_map(|line| line.split_once(": &str = \"")?.1.strip_suffix("\";"));
    let silent: BTreeSet<&str> = reasons.filter(|reason| !alerted.contains(*reason)).collect();
    assert_eq!(silent, BTreeSet::from(SILENT), "a reason is in an alert (_alerts.tpl), or one of these");
}

/// What the gateway calls a failure, because nobody but a person ends it, is in an alert.
#[test]
fn every_failure_of_the_gateway_is_in_an_alert() {
    let alerted = alerted();
    let file = root().join("api-gateway/src/directory/kubernetes/standing.rs");
    let standing = std::fs::read_to_string(file).unwrap();
    let (_, list) = standing.split_once("const FOR_PEOPLE").expect("what nobody but a person ends");
    let (list, _) = list.split_once("];").expect("its end");
    let failures: Vec<_> =
        list.split("reason::").skip(1).map(|rest| rest.trim_end_matches([',', ' ', '\n'])).collect();
    assert!(failures.len() > 10, "{failures:?}");
    let conditions = std::fs::read_to_string(root().join("crds/src/conditions.rs")).unwrap();
    for failure in failures {
        let (_, value) = conditions.split_once(&format!("pub const {failure}: &str = \"")).expect("a reason");
        let (value, _) = value.split_once('"').expect("its end");
        assert!(alerted.contains(value), "{value} is in no alert");
    }
}

/// An alert tells a person what it means and what to do, and never whom it concerns.
#[test]
fn every_alert_is_explained() {
    let objects = render("ns", ON);
    let groups = object(&objects, "PrometheusRule/warest")["spec"]["groups"].as_array().unwrap();
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let text = |path: &str| rule.pointer(path).and_then(Value::as_str).unwrap_or_default();
        assert!(
            text("/annotations/summary").ends_with('.') && text("/annotations/description").len() > 40,
            "{rule}"
        );
        assert!(["warning", "critical"].contains(&text("/labels/severity")), "{rule}");
        assert!(!text("/expr").is_empty() && !text("/for").is_empty(), "{rule}");
    }
}
