//! What is left of others in an object after it was applied. Pure.

use crds::{WhatsAppSession, WhatsAppSessionStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The merge patch that makes the content of what is `there` that of what is `wanted`, of the very object that was looked at;
/// none if it is.
pub(super) fn amendment<K>(there: &K, wanted: &K, content: &str) -> Option<Value>
where
    K: Resource + Serialize,
{
    let of = |object: &K| serde_json::to_value(object).ok().map(|mut all| all[content].take());
    Some(of_object(there.meta(), content, &difference(&of(there)?, &of(wanted)?)?))
}

/// The same for a status, but for its conditions: those that are not told here are others' own.
pub(super) fn status_amendment(there: &WhatsAppSession, wanted: &WhatsAppSessionStatus) -> Option<Value> {
    let told = |status: &WhatsAppSessionStatus| {
        serde_json::to_value(WhatsAppSessionStatus { conditions: Vec::new(), ..status.clone() }).ok()
    };
    let there_told = told(there.status.as_ref()?)?;
    Some(of_object(&there.metadata, "status", &difference(&there_told, &told(wanted)?)?))
}

fn of_object(meta: &ObjectMeta, content: &str, change: &Value) -> Value {
    json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, content: change})
}

/// The merge patch (RFC 7386) from one value to another: what is not wanted is null. A list is one value.
fn difference(there: &Value, wanted: &Value) -> Option<Value> {
    let (Value::Object(there), Value::Object(wanted)) = (there, wanted) else {
        return (there != wanted).then(|| wanted.clone());
    };
    let surplus = there.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = wanted.iter().filter_map(|(key, wanted)| {
        Some((key.clone(), difference(there.get(key).unwrap_or(&Value::Null), wanted)?))
    });
    let change: Map<String, Value> = surplus.chain(changed).collect();
    (!change.is_empty()).then_some(Value::Object(change))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;
    use crate::fixtures::{PAIRED, desired, now, seen};
    use crate::observe::{network_policy_content, secret_content};

    /// What a merge patch makes of a value.
    fn merge(value: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *value = patch.clone();
            return;
        };
        if !value.is_object() {
            *value = json!({});
        }
        for (key, patch) in patch {
            if patch.is_null() {
                value.as_object_mut().unwrap().remove(key);
            } else {
                merge(&mut value[key], patch);
            }
        }
    }

    #[test]
    fn what_others_add_is_taken_away_and_nothing_else_is_written() {
        let desired = desired(&seen("{}", ""));
        let (wanted, hash) = &desired.secret;
        assert_eq!(amendment(wanted, wanted, "data"), None);
        let mut there = wanted.clone();
        there.metadata.resource_version = Some("7".to_owned());
        there.data.as_mut().unwrap().insert("foreign".to_owned(), ByteString(b"x".to_vec()));
        there.metadata.labels = None;
        let change = amendment(&there, wanted, "data").unwrap();
        assert_eq!(
            change,
            json!({"metadata": {"uid": null, "resourceVersion": "7"}, "data": {"foreign": null}})
        );
        let mut amended = serde_json::to_value(&there).unwrap();
        merge(&mut amended, &change);
        assert_eq!(secret_content(&serde_json::from_value(amended).unwrap()), *hash);
    }

    #[test]
    fn what_others_hold_in_a_status_goes_and_their_own_conditions_stay() {
        let there = seen("{}", PAIRED).session;
        let wanted = there.status.clone().unwrap();
        assert_eq!(status_amendment(&there, &wanted), None);
        let without = WhatsAppSessionStatus { pod: None, ..wanted.clone() };
        let change = status_amendment(&there, &without).unwrap();
        assert_eq!(change["status"], json!({"pod": null}));
        let mut more = (*there).clone();
        more.status.as_mut().unwrap().conditions.push(Condition {
            last_transition_time: Time(now()),
            message: String::new(),
            observed_generation: None,
            reason: "Done".to_owned(),
            status: "True".to_owned(),
            type_: "BackedUp".to_owned(),
        });
        assert_eq!(status_amendment(&more, &wanted), None);
    }

    #[test]
    fn a_policy_that_others_have_opened_is_closed_again() {
        let desired = desired(&seen("{}", ""));
        let (wanted, hash) = &desired.network_policy;
        let mut there = wanted.clone();
        let spec = there.spec.as_mut().unwrap();
        spec.egress = Some(vec![NetworkPolicyEgressRule::default()]);
        spec.policy_types.as_mut().unwrap().push("Egress".to_owned());
        spec.ingress.as_mut().unwrap().push(NetworkPolicyIngressRule::default());
        let change = amendment(&there, wanted, "spec").unwrap();
        assert_eq!(change["spec"].as_object().unwrap().len(), 3, "{change}");
        let mut amended = serde_json::to_value(&there).unwrap();
        merge(&mut amended, &change);
        assert_eq!(network_policy_content(&serde_json::from_value(amended).unwrap()), *hash);
    }
}
