//! The volume of a session, and what its rules keep from being changed: the credentials are on it.
#![expect(unreachable_pub, reason = "KubeSchema repeats each struct inside a function")]
#![expect(clippy::doc_markdown, reason = "kubectl explain shows these words as they are")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The session's volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
        .message("a volume cannot shrink: size may only grow"),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("storageClassName cannot be changed: the volume with the credentials is made once"),
    validation = Rule::new("self.accessMode == oldSelf.accessMode")
        .message("accessMode cannot be changed: the volume with the credentials is made once"),
    validation = Rule::new("has(self.existingClaim) == has(oldSelf.existingClaim) && (!has(self.existingClaim) || self.existingClaim == oldSelf.existingClaim)")
        .message("existingClaim cannot be changed: another volume is another session"),
    validation = Rule::new("!has(self.existingClaim) || !has(self.storageClassName)")
        .message("existingClaim and storageClassName exclude each other: the claim has its class already"),
)]
pub struct Storage {
    /// The volume's size. It may grow where the storage class allows that; it cannot shrink.
    #[serde(default = "default_size")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$"), length(max = 20))]
    pub size: String,
    /// The storage class. Unset: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// ReadWriteOncePod: the cluster itself keeps a second pod away from the credentials. ReadWriteOnce: for drivers that cannot do that.
    #[serde(default)]
    pub access_mode: AccessMode,
    /// Use this claim instead of making one. The operator never deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_claim: Option<ExistingClaim>,
}

fn default_size() -> String {
    "1Gi".to_owned()
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: default_size(),
            storage_class_name: None,
            access_mode: AccessMode::default(),
            existing_claim: None,
        }
    }
}

/// How many pods may mount a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// One pod.
    #[default]
    ReadWriteOncePod,
    /// All pods of one node: the operator alone keeps a second one away.
    ReadWriteOnce,
}

/// A claim that somebody else made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.subPath) || (!self.subPath.startsWith('/') && !self.subPath.split('/').exists(part, part == '..'))")
    .message("subPath is a folder inside the volume: it neither begins with / nor contains .."))]
pub struct ExistingClaim {
    /// The claim's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The folder in it that is this session's. No two sessions may use the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub sub_path: Option<String>,
}
