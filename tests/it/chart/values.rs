//! Every value is documented, known to the schema, and does something.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::{read, template};

fn values() -> Value {
    serde_norway::from_str(&read("values.yaml")).unwrap()
}

/// Path and value of everything that is no map, or an empty one.
fn leaves(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value.as_object().filter(|fields| !fields.is_empty()) {
        Some(fields) => {
            for (key, field) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&path, field, found);
            }
        }
        None => drop(found.insert(path.to_owned(), value.clone())),
    }
}

fn all_leaves() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    leaves("", &values(), &mut found);
    found
}

/// Path and default in README's table.
fn documented() -> BTreeMap<String, String> {
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| row.split_once("` | "));
    rows.filter_map(|(path, rest)| Some((path.to_owned(), rest.split_once(" | ")?.0.to_owned()))).collect()
}

fn at<'v>(path: &str, value: &'v Value) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

#[test]
fn every_value_is_documented_with_its_default() {
    let documented = documented();
    let covered = |path: &str| {
        documented.keys().any(|row| {
            path == row || path.strip_prefix(row.as_str()).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let silent: Vec<_> = all_leaves().into_keys().filter(|path| !covered(path)).collect();
    assert!(silent.is_empty(), "values.yaml says nothing of {silent:?} (`# --` above it)");
    let values = values();
    for (path, default) in &documented {
        let real = at(path, &values).unwrap_or_else(|| panic!("README has {path}, values.yaml has not"));
        match default.trim_matches('`') {
            "see `values.yaml" => assert!(real.is_object() || real.is_array(), "{path}"),
            inline => assert_eq!(&serde_norway::from_str::<Value>(inline).unwrap(), real, "{path}"),
        }
    }
}

/// What a schema's `$ref` leads to.
fn resolved<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    let name =
        schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/definitions/"));
    name.map_or(schema, |name| &root["definitions"][name])
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let (mut unknown, mut missing) = (Vec::new(), Vec::new());
    let mut open = vec![(String::new(), values(), schema.clone())];
    while let Some((path, value, part)) = open.pop() {
        let (Some(known), Some(fields)) = (part["properties"].as_object(), value.as_object()) else {
            continue;
        };
        for (key, field) in fields {
            match known.get(key) {
                Some(next) => {
                    open.push((format!("{path}.{key}"), field.clone(), resolved(next, &schema).clone()));
                }
                None => unknown.push(format!("{path}.{key}")),
            }
        }
        // What a resources or affinity block may hold beyond the defaults is Kubernetes' matter.
        let ours = !path.ends_with("resources") && !path.ends_with(".requests") && !path.ends_with(".limits");
        if ours && !path.ends_with(".affinity") && !path.ends_with(".timeouts") {
            missing.extend(
                known.keys().filter(|key| !fields.contains_key(*key)).map(|key| format!("{path}.{key}")),
            );
        }
    }
    assert!(unknown.is_empty(), "not in the schema: {unknown:?}");
    assert_eq!(missing, [".enabled"], "in the schema and not in values.yaml");
}

#[test]
fn the_schema_is_closed() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut open = vec![(String::new(), &schema)];
    let mut leaky = Vec::new();
    while let Some((path, part)) = open.pop() {
        let closed = part.get("additionalProperties") == Some(&json!(false));
        // `named` and list items with `required` are Kubernetes' objects, which the API server knows better.
        let foreign = part.get("required").is_some() || path == ".properties.global";
        if part.get("properties").is_some_and(Value::is_object) && !closed && !foreign {
            leaky.push(path.clone());
        }
        match part {
            Value::Object(fields) => {
                open.extend(fields.iter().map(|(key, field)| (format!("{path}.{key}"), field)));
            }
            Value::Array(items) => open.extend(items.iter().map(|item| (format!("{path}[]"), item))),
            _ => {}
        }
    }
    assert!(leaky.is_empty(), "additionalProperties: false is missing at {leaky:?}");
}

/// Everything switched on, so that each value has something to change.
const EVERYTHING: &str = "
operator: {replicas: 2}
gateway:
  replicas: 2
  service: {type: NodePort}
  auth: {adminKey: {secretName: a}, userKeys: {secretName: a}}
  redis: {existingSecret: {name: r}}
  mysql: {host: m, existingSecret: {name: m}}
  ingress: {enabled: true}
  httpRoute: {enabled: true, parentRefs: [{name: g}]}
monitoring:
  serviceMonitor: {enabled: true}
  podMonitor: {enabled: true}
  sessionMonitor: {enabled: true, prometheusNamespace: p}
  prometheusRule: {enabled: true}
  dashboard: {enabled: true}
";

/// What must go before a value can be set.
fn stands_against(path: &str) -> &'static [&'static str] {
    match path {
        "gateway.auth.existingSecret" => {
            &["--set", "gateway.auth.adminKey.secretName=", "--set", "gateway.auth.userKeys.secretName="]
        }
        "gateway.auth.adminKey.secretName" => &["--set", "gateway.auth.adminKey.secretKey=k"],
        "gateway.redis.url" => &["--set", "gateway.redis.existingSecret.name="],
        _ => &[],
    }
}

/// Another value than the default that the schema takes.
fn other_value(path: &str, value: &Value) -> Value {
    let last = path.rsplit('.').next().unwrap();
    match value {
        Value::Bool(is) => json!(!is),
        Value::Number(number) => json!(number.as_u64().unwrap() + 3),
        Value::Null => json!(30400),
        Value::String(_) => json!(other_text(path, last)),
        Value::Array(_) => other_list(last),
        Value::Object(_) => match last {
            "affinity" => json!({"nodeAffinity": {"changed": "x"}}),
            "timeouts" => json!({"request": "7s"}),
            _ => json!({"changed": "x"}),
        },
    }
}

fn other_text(path: &str, last: &str) -> &'static str {
    match last {
        "digest" => "sha256:1111111111111111111111111111111111111111111111111111111111111111",
        "pullPolicy" => "Always",
        "cpu" => "77m",
        "memory" => "77Mi",
        "maxUnavailable" => "7%",
        "interval" | "scrapeTimeout" => "7s",
        "sessionAffinity" => "ClientIP",
        "logFormat" => "text",
        "ipFamilyPolicy" => "SingleStack",
        "listenAddress" => "::",
        "whatsappUrl" => "ws://changed/ws/chat",
        "url" => "redis://changed",
        _ if path == "gateway.service.type" => "LoadBalancer",
        _ => "changed",
    }
}

fn other_list(last: &str) -> Value {
    match last {
        "topologySpreadConstraints" => json!([]),
        "watchNamespaces" => json!(["ns"]),
        "ports" => json!([1]),
        "cidrs" => json!(["10.0.0.1/32"]),
        "allowedOrigins" => json!(["https://changed.example"]),
        "hostnames" | "extraArgs" | "drop" => json!(["changed"]),
        "hosts" => json!([{"host": "changed", "paths": [{"path": "/", "pathType": "Exact"}]}]),
        "tls" => json!([{"secretName": "changed"}]),
        "tolerations" => json!([{"operator": "Exists"}]),
        "filters" => json!([{"type": "changed"}]),
        "extraVolumeMounts" => json!([{"name": "changed", "mountPath": "/changed"}]),
        "metricsFrom" | "gatewayFrom" => json!([{"podSelector": {}}]),
        "operatorEgress" | "gatewayEgress" => json!([{"ports": [{"port": 1}]}]),
        "relabelings" | "metricRelabelings" => json!([{"action": "keep"}]),
        "extraObjects" => json!([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "changed"}}]),
        _ => json!([{"name": "changed"}]),
    }
}

/// A value that changes nothing is a promise that is not kept.
#[test]
fn every_value_does_something() {
    let folder = tempfile::tempdir().unwrap();
    let everything = folder.path().join("values.yaml");
    std::fs::write(&everything, EVERYTHING).unwrap();
    let mut switched_on = values();
    merge(&mut switched_on, &serde_norway::from_str(EVERYTHING).unwrap());
    let mut all = BTreeMap::new();
    leaves("", &switched_on, &mut all);
    assert!(all.len() > 150, "{}", all.len());
    let (queue, idle) = (Mutex::new(all.into_iter()), Mutex::new(Vec::new()));
    let render =
        |more: &[&str]| template("ns", &[&["--values", everything.to_str().unwrap()], more].concat());
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                loop {
                    let Some((path, value)) = queue.lock().unwrap().next() else { break };
                    let set = format!("{path}={}", other_value(&path, &value));
                    let before = stands_against(&path);
                    if render(before) == render(&[before, &["--set-json", &set]].concat()) {
                        idle.lock().unwrap().push(path);
                    }
                }
            });
        }
    });
    let idle = idle.into_inner().unwrap();
    assert!(idle.is_empty(), "another value changes nothing: {idle:?}");
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
