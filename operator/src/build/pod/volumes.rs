//! The volumes of a session's pod, and where they are seen.

use crds::{WhatsAppSessionSpec, names};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount,
};

use crate::build::claim;
use crate::config::SessionFlags;

/// Name of the volume with the credentials in the pod.
pub const DATA_VOLUME: &str = "data";
/// Where it is.
pub(super) const DATA_DIR: &str = "/data";
/// Where the session's Secret is.
pub(super) const SESSION_DIR: &str = "/etc/warest";
/// Where more certificates are.
const CA_DIR: &str = "/etc/warest-ca";
/// The file with them.
pub(super) const CA_FILE: &str = "/etc/warest-ca/ca.crt";
/// Read by the program's group, by nobody else.
const SECRET_MODE: i32 = 0o440;

/// The volumes.
pub(super) fn volumes(session: &str, spec: &WhatsAppSessionSpec, flags: &SessionFlags) -> Vec<Volume> {
    let mut all = vec![
        Volume {
            name: DATA_VOLUME.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim::name(session, spec),
                read_only: None,
            }),
            ..Volume::default()
        },
        Volume {
            name: "session".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(names::secret(session)),
                default_mode: Some(SECRET_MODE),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
    ];
    all.extend(extra_ca(flags).map(|config_map| Volume {
        name: "extra-ca".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            items: Some(vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None }]),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }));
    all
}

/// Where they are seen.
pub(super) fn mounts(spec: &WhatsAppSessionSpec, flags: &SessionFlags) -> Vec<VolumeMount> {
    let folder = claim::folder(spec);
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let data = VolumeMount {
        sub_path: (!folder.is_empty()).then_some(folder),
        ..mount(DATA_VOLUME, DATA_DIR, false)
    };
    let mut all = vec![data, mount("session", SESSION_DIR, true), mount("tmp", "/tmp", false)];
    all.extend(extra_ca(flags).map(|_| mount("extra-ca", CA_DIR, true)));
    all
}

fn extra_ca(flags: &SessionFlags) -> Option<&str> {
    flags.extra_ca_configmap.as_deref().filter(|name| !name.is_empty())
}
