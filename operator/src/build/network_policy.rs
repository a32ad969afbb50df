//! Who may reach a session's pod: the gateway and the operator, and whoever collects metrics if that is asked for.
//! What the pod itself may reach is not restricted: WhatsApp's addresses change, and webhooks may go anywhere.

use std::collections::BTreeMap;

use crds::names;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Settings, metadata};
use crate::validate::Valid;

/// Builds the policy. Everything that the API server would fill in is said, so that the two compare.
pub fn build(valid: &Valid, settings: &Settings) -> NetworkPolicy {
    let network = &settings.network;
    let gateway =
        network.gateway_namespace.as_ref().filter(|name| !name.is_empty()).unwrap_or(&settings.namespace);
    let mut from =
        vec![peer(gateway, &network.gateway_labels), peer(&settings.namespace, &network.operator_labels)];
    let metrics = network.metrics_namespace.iter().filter(|name| !name.is_empty());
    from.extend(metrics.map(|namespace| peer(namespace, &[])));
    NetworkPolicy {
        metadata: metadata(valid, names::network_policy(valid.key.name())),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector([(names::SESSION_UID.to_owned(), valid.uid.clone())])),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: Some(from),
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::Int(settings.session.port.into())),
                    protocol: Some("TCP".to_owned()),
                    end_port: None,
                }]),
            }]),
            egress: None,
        }),
    }
}

fn peer(namespace: &str, labels: &[(String, String)]) -> NetworkPolicyPeer {
    let namespace = [("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())];
    NetworkPolicyPeer {
        namespace_selector: Some(selector(namespace)),
        pod_selector: (!labels.is_empty()).then(|| selector(labels.iter().cloned())),
        ip_block: None,
    }
}

fn selector(labels: impl IntoIterator<Item = (String, String)>) -> LabelSelector {
    LabelSelector { match_labels: Some(BTreeMap::from_iter(labels)), match_expressions: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tests::{settings, valid};

    #[test]
    fn only_gateway_and_operator_may_reach_a_session() {
        let from = |flags: &[&str]| {
            build(&valid("{}"), &settings(flags)).spec.unwrap().ingress.unwrap()[0].from.clone().unwrap()
        };
        let namespace = |peer: &NetworkPolicyPeer| {
            peer.namespace_selector.clone().unwrap().match_labels.unwrap()["kubernetes.io/metadata.name"]
                .clone()
        };
        let usual = from(&[]);
        assert_eq!(usual.iter().map(namespace).collect::<Vec<_>>(), ["warest", "warest"]);
        assert!(usual.iter().all(|peer| peer.pod_selector.is_some()));
        let more = from(&["--gateway-namespace", "edge", "--metrics-namespace", "monitoring"]);
        assert_eq!(more.iter().map(namespace).collect::<Vec<_>>(), ["edge", "warest", "monitoring"]);
    }
}
