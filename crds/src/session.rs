//! `WhatsAppSession`: one WhatsApp connection that shall exist.
//!
//! Comes in: nothing. Goes out: the resource's type, from which the CustomResourceDefinition is made, with every rule that
//! the API server shall hold it to. What a field means is said at the field: `kubectl explain` shows the same words.
#![expect(unreachable_pub, reason = "KubeSchema repeats each struct inside a function")]
#![expect(clippy::doc_markdown, reason = "kubectl explain shows these words as they are")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::spec::{
    ImagePullPolicy, OnDelete, OnNodeLoss, OperatingMode, Pairing, PodMetadata, Policy, Proxy, Resources,
    RetentionPolicy, Scheduling, Storage, UpdateStrategy, Webhook,
};
use crate::status::WhatsAppSessionStatus;

/// One WhatsApp session: a connection that stays linked to one WhatsApp account.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "warest.io",
    version = "v1alpha1",
    kind = "WhatsAppSession",
    plural = "whatsappsessions",
    shortname = "was",
    category = "whatsapp",
    namespaced,
    status = "WhatsAppSessionStatus",
    derive = "PartialEq",
    doc = "One WhatsApp session: exactly one pod that keeps one connection linked to one WhatsApp account, with its credentials on its own volume.",
    selectable = ".spec.operatingMode",
    selectable = ".status.state",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether messages flow."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why, or why not."
    ),
    printcolumn(
        name = "Account",
        type_ = "string",
        json_path = ".status.account.hint",
        description = "The last digits of the linked account's number."
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.operatingMode", priority = 1),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state", priority = 1),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.pod.node", priority = 1),
    printcolumn(name = "Restarts", type_ = "integer", json_path = ".status.pod.restarts", priority = 1),
    printcolumn(name = "Volume", type_ = "string", json_path = ".status.storage.claimName", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name of a session is also its pod's and its id in the REST API: 1 to 63 lower-case letters, digits and '-', beginning and ending with a letter or digit")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.pairing.method != 'PairingCode' || has(self.phoneNumber)")
        .message("pairing by code needs phoneNumber: the number of the phone that the code is typed into"),
    validation = Rule::new("!has(self.storage.existingClaim) || self.retentionPolicy == 'Retain'")
        .message("an existing claim is never deleted: use retentionPolicy Retain"),
    validation = Rule::new("!has(self.storage.existingClaim) || !has(self.volumeResetToken)")
        .message("an existing claim cannot be reset: empty it yourself while the session is suspended"),
)]
pub struct WhatsAppSessionSpec {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub display_name: Option<String>,
    /// The number of the account's phone, digits with the country code and without +. Needed for pairing by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]{6,14}$"), length(max = 15))]
    pub phone_number: Option<String>,
    /// How a phone is linked for the first time.
    #[serde(default)]
    pub pairing: Pairing,
    /// Running: there is a pod. Suspended: there is none, the volume stays, and the session comes back without a new QR code.
    #[serde(default)]
    pub operating_mode: OperatingMode,
    /// Where the session's events are posted. Changes take effect without a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub webhooks: Vec<Webhook>,
    /// How the session sends and answers. Changes take effect without a restart.
    #[serde(default)]
    pub policy: Policy,
    /// The way to WhatsApp, when there is none straight to the internet. Changes take effect without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// The volume with the credentials and the messages under way.
    #[serde(default)]
    pub storage: Storage,
    /// What happens to the volume when this resource is deleted. Retain: a session of the same name takes it up again without a new QR code.
    #[serde(default)]
    pub retention_policy: RetentionPolicy,
    /// Change it to any other value to throw the volume away and to start with an empty one. It is also how the loss of a volume
    /// is acknowledged: a session that was linked never starts on an empty volume by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub volume_reset_token: Option<String>,
    /// What happens when the pod's node is gone without a word. Wait: nothing until it is proven that the pod has ended (a second
    /// one could damage the credentials). Recreate: a new pod once the node is away for five minutes; you say that it cannot come back.
    /// Where the operator may not read nodes (chart: rbac.nodes false), neither holds: a pod that is gone from the API server
    /// counts as ended.
    #[serde(default)]
    pub on_node_loss: OnNodeLoss,
    /// What happens to the linked device when this resource is deleted. KeepLinked: nothing. Unlink: the device is removed from
    /// the account first, as far as that can be done within a minute.
    #[serde(default)]
    pub on_delete: OnDelete,
    /// How a change that needs a new pod is brought in. Recreate: by itself, under the operator's rollout budget. OnDelete: when somebody deletes the pod.
    #[serde(default)]
    pub update_strategy: UpdateStrategy,
    /// CPU and memory of the session's container.
    #[serde(default)]
    pub resources: Resources,
    /// The session program's image. Unset: the operator's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When the image is pulled. Unset: as Kubernetes decides by the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Names of Secrets with registry credentials, beside the operator's default ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    pub image_pull_secrets: Vec<String>,
    /// Which nodes the pod may run on.
    #[serde(default)]
    pub scheduling: Scheduling,
    /// Labels and annotations for the pod.
    #[serde(default)]
    pub pod_metadata: PodMetadata,
    /// How long a pod may take to end, seconds: it finishes the messages under way, then closes its store.
    #[serde(default = "default_grace")]
    #[schemars(range(min = 5, max = 300))]
    pub termination_grace_period_seconds: i64,
}

const fn default_grace() -> i64 {
    30
}

impl Default for WhatsAppSessionSpec {
    fn default() -> Self {
        Self {
            display_name: None,
            phone_number: None,
            pairing: Pairing::default(),
            operating_mode: OperatingMode::default(),
            webhooks: Vec::new(),
            policy: Policy::default(),
            proxy: None,
            storage: Storage::default(),
            retention_policy: RetentionPolicy::default(),
            volume_reset_token: None,
            on_node_loss: OnNodeLoss::default(),
            on_delete: OnDelete::default(),
            update_strategy: UpdateStrategy::default(),
            resources: Resources::default(),
            image: None,
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            scheduling: Scheduling::default(),
            pod_metadata: PodMetadata::default(),
            termination_grace_period_seconds: default_grace(),
        }
    }
}
