//! What a container of a pod means as a process (pure).
//!
//! Comes in: a pod, what it refers to, and which program stands for which image. Goes out: a [`ContainerPlan`], or why there
//! is none, in the words that a kubelet uses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container, Pod, SecurityContext};

use super::environment::{Facts, Variable, environment, expand};
use super::probe::{ProbePlan, probe};

/// Who programs run as that must not be root and name nobody: what our images name.
const NOBODY: i64 = 65532;

/// Why a container cannot start (yet).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PlanError {
    /// No program stands for this image.
    Image(String),
    /// Its configuration cannot be made.
    Config(String),
    /// A volume is not there.
    Volume(String),
    /// A process node cannot do this.
    Unsupported(String),
    /// The API server did not answer, or not yet.
    Unknown(String),
}

impl PlanError {
    /// Reason and message of the container's waiting state, at the n-th attempt.
    pub(super) fn waiting(&self, attempt: u32) -> (&'static str, String) {
        match self {
            Self::Image(image) if attempt == 0 => {
                ("ErrImagePull", format!("no program stands for image \"{image}\""))
            }
            Self::Image(image) => ("ImagePullBackOff", format!("Back-off pulling image \"{image}\"")),
            Self::Config(text) => ("CreateContainerConfigError", text.clone()),
            Self::Unsupported(text) => {
                ("CreateContainerConfigError", format!("a process node does not support {text}"))
            }
            Self::Volume(text) | Self::Unknown(text) => ("ContainerCreating", text.clone()),
        }
    }
}

/// A directory or file that a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Name of the pod's volume.
    pub(super) volume: String,
    /// Below the volume; empty for all of it.
    pub(super) sub_path: String,
    /// Where the container sees it.
    pub(super) target: String,
    pub(super) read_only: bool,
}

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: i64,
    pub(super) gid: i64,
    /// Supplementary groups.
    pub(super) groups: Vec<i64>,
}

/// A container as a process.
#[derive(Debug, Clone)]
pub(super) struct ContainerPlan {
    pub(super) program: PathBuf,
    /// The program inside the container, then its arguments.
    pub(super) command: Vec<String>,
    pub(super) environment: Vec<Variable>,
    pub(super) mounts: Vec<Mount>,
    pub(super) user: User,
    pub(super) read_only_root: bool,
    pub(super) folder: Option<String>,
    pub(super) startup: Option<ProbePlan>,
    pub(super) readiness: Option<ProbePlan>,
    pub(super) liveness: Option<ProbePlan>,
    /// Seconds to wait before the signal to end.
    pub(super) pre_stop_seconds: u64,
}

/// Which program stands for which image.
pub(super) type Programs = BTreeMap<String, PathBuf>;

/// The plan of the container with this name.
pub(super) fn plan(name: &str, programs: &Programs, facts: &Facts<'_>) -> Result<ContainerPlan, PlanError> {
    let pod = facts.pod.spec.as_ref().ok_or_else(|| PlanError::Unsupported("a pod without a spec".into()))?;
    if pod.init_containers.iter().flatten().next().is_some() {
        return Err(PlanError::Unsupported("init containers".into()));
    }
    let container = pod.containers.iter().find(|container| container.name == name);
    let container = container.ok_or_else(|| PlanError::Unsupported(format!("no container \"{name}\"")))?;
    let image = container.image.as_deref().unwrap_or_default();
    let program = program(image, programs).ok_or_else(|| PlanError::Image(image.to_owned()))?;
    let environment = environment(container, facts)?;
    let action = |probe_of: Option<&_>| probe_of.map(|it| probe(it, container, facts.pod_ip)).transpose();
    Ok(ContainerPlan {
        command: command(container, &program, &environment),
        mounts: mounts(container, &environment),
        user: user(facts.pod, container.security_context.as_ref()),
        read_only_root: container.security_context.as_ref().and_then(|it| it.read_only_root_filesystem)
            == Some(true),
        folder: container.working_dir.clone(),
        startup: action(container.startup_probe.as_ref())?,
        readiness: action(container.readiness_probe.as_ref())?,
        liveness: action(container.liveness_probe.as_ref())?,
        pre_stop_seconds: pre_stop(container)?,
        program,
        environment,
    })
}

/// The program for an image: by its whole name, else by the end of its name without tag and digest (`warest/session-pod`).
fn program(image: &str, programs: &Programs) -> Option<PathBuf> {
    let name = image.split('@').next()?;
    let end = name.rfind('/').map_or(0, |at| at + 1);
    let name = name[end..].find(':').map_or(name, |at| &name[..end + at]);
    let ends = |known: &&String| name == known.as_str() || name.ends_with(&format!("/{known}"));
    programs
        .get(image)
        .or_else(|| programs.keys().filter(ends).max_by_key(|it| it.len()).map(|it| &programs[it]))
        .cloned()
}

/// Path of a program inside its container.
pub(super) fn inside(program: &std::path::Path) -> String {
    format!("/program/{}", program.file_name().unwrap_or_default().to_string_lossy())
}

fn command(container: &Container, program: &std::path::Path, environment: &[Variable]) -> Vec<String> {
    let given = container.command.iter().flatten().map(|text| expand(text, environment));
    let mut command: Vec<String> = given.collect();
    let own = program.file_name();
    match command.first_mut() {
        None => command.push(inside(program)),
        Some(first) if std::path::Path::new(first).file_name() == own => *first = inside(program),
        Some(_) => {}
    }
    command.extend(container.args.iter().flatten().map(|text| expand(text, environment)));
    command
}

fn mounts(container: &Container, environment: &[Variable]) -> Vec<Mount> {
    let one = |mount: &k8s_openapi::api::core::v1::VolumeMount| Mount {
        volume: mount.name.clone(),
        sub_path: match &mount.sub_path_expr {
            Some(text) => expand(text, environment),
            None => mount.sub_path.clone().unwrap_or_default(),
        },
        target: mount.mount_path.clone(),
        read_only: mount.read_only == Some(true),
    };
    let mut all: Vec<Mount> = container.volume_mounts.iter().flatten().map(one).collect();
    // What lies inside another mount comes after it.
    all.sort_by_key(|mount| mount.target.len());
    all
}

fn user(pod: &Pod, own: Option<&SecurityContext>) -> User {
    let common = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let non_root = own.and_then(|it| it.run_as_non_root).or_else(|| common?.run_as_non_root);
    let image = if non_root == Some(true) { NOBODY } else { 0 };
    let uid = own.and_then(|it| it.run_as_user).or_else(|| common?.run_as_user).unwrap_or(image);
    let gid = own.and_then(|it| it.run_as_group).or_else(|| common?.run_as_group).unwrap_or(image);
    let more = common.and_then(|it| it.supplemental_groups.clone()).unwrap_or_default();
    let groups = more.into_iter().chain(common.and_then(|it| it.fs_group)).collect();
    User { uid, gid, groups }
}

fn pre_stop(container: &Container) -> Result<u64, PlanError> {
    let Some(hook) = container.lifecycle.as_ref().and_then(|it| it.pre_stop.as_ref()) else { return Ok(0) };
    let sleep = hook.sleep.as_ref().and_then(|it| u64::try_from(it.seconds).ok());
    sleep.ok_or_else(|| PlanError::Unsupported("a preStop hook other than sleep".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::node::environment::Sources;
    use serde_json::json;
    use std::net::Ipv4Addr;

    fn planned(spec: &serde_json::Value) -> Result<ContainerPlan, PlanError> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        let programs = Programs::from([("warest/session-pod".to_owned(), PathBuf::from("/t/session-pod"))]);
        let (ip, sources) = (Ipv4Addr::new(127, 1, 1, 1), Sources::default());
        let facts =
            Facts { pod: &pod, pod_ip: ip, host_ip: ip, basics: &[], overrides: &[], sources: &sources };
        plan("c", &programs, &facts)
    }

    #[test]
    fn images_are_known_by_the_end_of_their_name() {
        let programs = Programs::from([
            ("warest/session-pod".to_owned(), PathBuf::from("a")),
            ("warest/session-pod:broken".to_owned(), PathBuf::from("b")),
        ]);
        let found = |image| program(image, &programs).map(|path| path.to_string_lossy().into_owned());
        assert_eq!(found("warest/session-pod").as_deref(), Some("a"));
        assert_eq!(found("localhost:5000/x/warest/session-pod:1.2@sha256:00").as_deref(), Some("a"));
        assert_eq!(found("warest/session-pod:broken").as_deref(), Some("b"));
        assert_eq!(found("other-warest/session-pod"), None);
        assert_eq!(found("warest/session"), None);
    }

    #[test]
    fn a_restricted_container_is_nobody_in_a_read_only_root() {
        let plan = planned(&json!({
            "securityContext": {"runAsNonRoot": true, "fsGroup": 7},
            "containers": [{
                "name": "c", "image": "warest/session-pod", "args": ["--flag=$(A)"],
                "env": [{"name": "A", "value": "1"}],
                "securityContext": {"readOnlyRootFilesystem": true},
                "volumeMounts": [{"name": "d", "mountPath": "/data/sub"}, {"name": "e", "mountPath": "/data"}],
            }],
        }))
        .unwrap();
        assert_eq!(plan.command, ["/program/session-pod", "--flag=1"]);
        assert_eq!(plan.user, User { uid: 65532, gid: 65532, groups: vec![7] });
        assert!(plan.read_only_root);
        assert_eq!(
            plan.mounts.iter().map(|mount| mount.target.as_str()).collect::<Vec<_>>(),
            ["/data", "/data/sub"]
        );
    }

    #[test]
    fn an_unknown_image_waits_as_a_kubelet_lets_it_wait() {
        let error = planned(&json!({"containers": [{"name": "c", "image": "nope:1"}]})).unwrap_err();
        assert_eq!(error.waiting(0).0, "ErrImagePull");
        assert_eq!(error.waiting(1).0, "ImagePullBackOff");
    }
}
