//! Alerts and dashboard speak of metrics that the programs have, and of reasons that conditions have.

use std::collections::BTreeSet;

use serde_json::Value;
use system_tests::gateway::Gateway;

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

#[tokio::test]
async fn the_gateway_has_every_metric_that_is_asked_for() {
    let gateway = Gateway::start("ws://127.0.0.1:9/ws/chat").await;
    let text = system_tests::http::client().get(format!("{}/metrics", gateway.url())).send().await.unwrap();
    let text = text.text().await.unwrap();
    let wanted = metrics(&all_expressions());
    let ours: Vec<_> = wanted.iter().filter(|name| name.starts_with("warest_gateway_")).collect();
    assert!(ours.len() >= 3, "{ours:?}");
    for name in ours {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} is no metric of the gateway:\n{text}");
    }
}

/// The operator's and the sessions' names are compared with their sources: neither runs by itself.
#[test]
fn operator_and_sessions_have_every_metric_that_is_asked_for() {
    let sources = |folder: &str| -> String {
        super::files(&root().join(folder), ".rs")
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect()
    };
    let (operator, session) = (sources("operator/src"), sources("session-pod/src"));
    for name in metrics(&all_expressions()) {
        let (source, written) = match name.strip_prefix("warest_operator_") {
            Some(rest) => (&operator, rest),
            None if name.starts_with("warest_gateway_") => continue,
            None => (&session, name.as_str()),
        };
        assert!(source.contains(&format!("\"{written}\"")), "{name} is registered nowhere");
    }
    assert!(operator.contains("\"warest_operator\""), "the prefix");
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
