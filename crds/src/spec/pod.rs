//! What a session's spec says of its pod: its image, what it may use, where it may run, what it is labelled with.
#![expect(unreachable_pub, reason = "KubeSchema repeats each struct inside a function")]
#![expect(clippy::doc_markdown, reason = "kubectl explain shows these words as they are")]

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

// Of an optional enum `kubectl explain` would show these words in place of those of its field: they are left out of the schema.

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "")]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// CPU and memory of the session's container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What is set aside for it.
    #[serde(default)]
    pub requests: Amounts,
    /// What it may use at most. Unset: the operator's default.
    #[serde(default)]
    pub limits: Amounts,
}

/// An amount of CPU and of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amounts {
    /// CPU, such as 10m. Unset: the operator's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?m?$"), length(max = 20))]
    pub cpu: Option<String>,
    /// Memory, such as 32Mi. Unset: the operator's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?$"), length(max = 20))]
    pub memory: Option<String>,
}

/// Which nodes a pod may run on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 32,
        "additionalProperties" = text_up_to(63),
        "x-kubernetes-validations" = bounded_keys()
    ))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that are tolerated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// The pod's priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// The pod's runtime class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
}

/// A taint that is tolerated, as in a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// The taint's key. Unset with operator Exists: every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 316))]
    pub key: Option<String>,
    /// Equal (the default) or Exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value, with Equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// NoSchedule, PreferNoSchedule or NoExecute. Unset: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// How long a NoExecute taint is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a taint is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "")]
pub enum TolerationOperator {
    /// Key and value.
    Equal,
    /// The key alone.
    Exists,
}

/// What a taint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(description = "")]
pub enum TaintEffect {
    /// No new pod.
    NoSchedule,
    /// No new pod if it can be helped.
    PreferNoSchedule,
    /// No pod.
    NoExecute,
}

/// Labels and annotations for the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!has(self.labels) || !self.labels.exists(key, key.startsWith('warest.io/') || key.startsWith('app.kubernetes.io/'))")
        .message("labels beginning with warest.io/ or app.kubernetes.io/ are the operator's own"),
    validation = Rule::new("!has(self.annotations) || !self.annotations.exists(key, key.startsWith('warest.io/') && key != 'warest.io/restartedAt')")
        .message("annotations beginning with warest.io/ are the operator's own, but for warest.io/restartedAt"),
)]
pub struct PodMetadata {
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 32,
        "additionalProperties" = text_up_to(63),
        "x-kubernetes-validations" = bounded_keys()
    ))]
    pub labels: BTreeMap<String, String>,
    /// Annotations. Another value of warest.io/restartedAt restarts the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 32,
        "additionalProperties" = text_up_to(262_144),
        "x-kubernetes-validations" = bounded_keys()
    ))]
    pub annotations: BTreeMap<String, String>,
}

/// Values of a map: texts of at most so many bytes.
fn text_up_to(bytes: usize) -> Value {
    json!({"type": "string", "maxLength": bytes})
}

/// Keys of a map, as those of labels and annotations are.
fn bounded_keys() -> Value {
    json!([{
        "rule": "self.all(key, size(key) <= 317)",
        "message": "a key has a prefix of at most 253 characters, a slash, and a name of at most 63",
    }])
}
