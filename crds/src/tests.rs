//! What the `CustomResourceDefinition` promises, checked on its YAML.

use serde_norway::Value;

use crate::{WhatsAppSession, crd_yaml};

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/whatsappsessions.yaml");

fn definition() -> Value {
    serde_norway::from_str(&crd_yaml().unwrap()).unwrap()
}

/// Every schema in the definition with the path that leads to it.
fn walk<'v>(path: &str, value: &'v Value, visit: &mut impl FnMut(&str, &'v Value)) {
    visit(path, value);
    match value {
        Value::Mapping(fields) => {
            for (key, field) in fields {
                walk(&format!("{path}.{}", key.as_str().unwrap_or("?")), field, visit);
            }
        }
        Value::Sequence(items) => {
            for item in items {
                walk(&format!("{path}[]"), item, visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {}
    }
}

fn spec_schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
}

/// `UPDATE=1 cargo test -p crds` writes the file anew.
#[test]
fn the_checked_in_definition_is_todays() {
    let today = crd_yaml().unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(CHECKED_IN, &today).unwrap();
    }
    assert!(
        std::fs::read_to_string(CHECKED_IN).unwrap_or_default() == today,
        "run: UPDATE=1 cargo test -p crds"
    );
}

#[test]
fn it_is_small_enough_for_plain_kubectl_apply() {
    let yaml = crd_yaml().unwrap();
    assert!(yaml.len() < 64 * 1024, "{} bytes", yaml.len());
}

#[test]
fn every_list_map_and_free_string_of_the_spec_is_bounded() {
    let definition = definition();
    let mut unbounded = Vec::new();
    walk("spec", spec_schema(&definition), &mut |path, schema| {
        let has = |key: &str| schema.get(key).is_some();
        let missing = match schema.get("type").and_then(Value::as_str) {
            Some("array") => !has("maxItems"),
            Some("string") => !(has("maxLength") || has("enum")),
            Some("object") => {
                has("additionalProperties") && !(has("maxProperties") && has("x-kubernetes-validations"))
            }
            _ => false,
        };
        if missing {
            unbounded.push(path.to_owned());
        }
    });
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}

#[test]
fn every_field_is_explained() {
    let definition = definition();
    let mut silent = Vec::new();
    walk("spec", spec_schema(&definition), &mut |path, schema| {
        if let Some(Value::Mapping(fields)) = schema.get("properties") {
            for (name, field) in fields {
                if field.get("description").is_none() {
                    silent.push(format!("{path}.{}", name.as_str().unwrap_or("?")));
                }
            }
        }
    });
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn a_field_of_named_values_is_explained_in_its_own_words() {
    let definition = definition();
    let spec = spec_schema(&definition);
    let toleration = &spec["properties"]["scheduling"]["properties"]["tolerations"]["items"]["properties"];
    let words = |field: &Value| field["description"].as_str().unwrap_or_default().to_owned();
    assert!(words(&spec["properties"]["imagePullPolicy"]).contains("as Kubernetes decides by the tag"));
    assert!(words(&toleration["operator"]).contains("the default"));
    assert!(words(&toleration["effect"]).contains("Unset: all"));
}

#[test]
fn the_least_manifest_is_a_session_with_every_default() {
    let least = "{apiVersion: warest.io/v1alpha1, kind: WhatsAppSession, metadata: {name: toko}, spec: {}}";
    let session: WhatsAppSession = serde_norway::from_str(least).unwrap();
    assert_eq!(session.spec, crate::WhatsAppSessionSpec::default());
    assert_eq!(
        (session.spec.storage.size.as_str(), session.spec.termination_grace_period_seconds),
        ("1Gi", 30)
    );
}
