//! The text that Prometheus reads, line by line.

use std::sync::Arc;

use serde_json::json;

use super::*;

fn session(name: &str, ready: &str, reason: &str) -> Arc<WhatsAppSession> {
    let condition = json!({"type": "Ready", "status": ready, "reason": reason, "message": name, "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let session = json!({
        "apiVersion": "warest.io/v1alpha1", "kind": "WhatsAppSession",
        "metadata": {"name": name}, "spec": {}, "status": {"conditions": [condition]},
    });
    Arc::new(serde_json::from_value(session).unwrap())
}

fn all() -> Vec<Arc<WhatsAppSession>> {
    vec![
        session("toko", "True", "AsExpected"),
        session("kedai", "False", "LoggedOut"),
        session("warung", "False", "LoggedOut"),
    ]
}

#[test]
fn sessions_are_counted_by_condition_and_never_named() {
    let metrics = Metrics::new();
    let plan = Plan::default();
    let figures = |leads, polls| Figures {
        leads,
        polls,
        plan: &plan,
        cached: &[("Pod", 2)],
        remembered: &[("gate", 1)],
        sessions: all().into_iter(),
    };
    metrics.set(figures(true, 3));
    let text = metrics.text();
    for line in [
        r#"warest_operator_sessions{condition="Ready",status="True",reason="AsExpected"} 1"#,
        r#"warest_operator_sessions{condition="Ready",status="False",reason="LoggedOut"} 2"#,
        r#"warest_operator_sessions{condition="Paired",status="Unknown",reason="Unknown"} 3"#,
        "warest_operator_leader 1",
        "warest_operator_polls 3",
        r#"warest_operator_cached_objects{kind="Pod"} 2"#,
        r#"warest_operator_remembered{what="gate"} 1"#,
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    assert!(!["toko", "kedai", "warung"].iter().any(|name| text.contains(name)), "{text}");

    metrics.set(figures(false, 0));
    assert!(!metrics.text().contains("warest_operator_sessions{"), "a follower counts nothing twice");
}

#[test]
fn counters_have_the_names_that_the_chart_uses() {
    let metrics = Metrics::new();
    metrics.reconciled(Duration::from_millis(3), Ok(()));
    metrics.reconciled(Duration::from_millis(30), Err("conflict"));
    metrics.stale_skip();
    metrics.event_dropped();
    metrics.write("create", "Pod");
    metrics.watch_broken("Pod");
    let text = metrics.text();
    for line in [
        r#"warest_operator_reconciles_total{result="ok"} 1"#,
        r#"warest_operator_reconciles_total{result="error"} 1"#,
        r#"warest_operator_reconcile_duration_seconds_bucket{le="0.005"} 1"#,
        "warest_operator_reconcile_duration_seconds_count 2",
        "warest_operator_stale_skips_total 1",
        "warest_operator_events_dropped_total 1",
        r#"warest_operator_api_errors_total{reason="conflict"} 1"#,
        r#"warest_operator_writes_total{verb="create",kind="Pod"} 1"#,
        r#"warest_operator_watches_broken_total{kind="Pod"} 1"#,
        "warest_operator_rollout_outdated 0",
        "warest_operator_rollout_unavailable 0",
        "warest_operator_rollout_stopped 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    assert!(text.contains(r#"warest_operator_build_info{version=""#), "{text}");
}
