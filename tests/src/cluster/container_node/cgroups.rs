//! The cgroup that a node's pods are in.
//!
//! Comes in: a name, and the machine's cgroups, of version 1, of version 2 or of both. Goes out: a cgroup of that name in every tree,
//! which has all controllers that a kubelet wants. It must not take a controller from anybody. What it adds for the children of the
//! machine's root is noted in the run's folder, so that `scripts/cluster-down` can take it back.

use std::path::{Path, PathBuf};

/// Where a kubelet looks for cgroups. It is the tree of all controllers (version 2), or the folder of their own trees (version 1; and
/// then a tree of version 2 below it is nothing to a kubelet).
const ROOT: &str = "/sys/fs/cgroup";

/// What a kubelet wants a cgroup of version 2 to have, as far as the machine has it.
/// Source: `getSupportedUnifiedControllers` in `kubernetes/pkg/kubelet/cm/cgroup_v2_manager_linux.go`.
const WANTED: [&str; 5] = ["cpu", "cpuset", "hugetlb", "memory", "pids"];

/// Below the run's folder (`TMPDIR`): the controllers that were added, separated by spaces.
const ADDED: &str = "controllers";

/// See the file's comment.
///
/// # Panics
/// When one cannot be made, or cannot have what a kubelet wants.
pub(super) fn create(name: &str) {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        let added = delegate(root).unwrap_or_else(|sentence| panic!("{sentence}"));
        std::fs::write(std::env::temp_dir().join(ADDED), added.join(" "))
            .expect("a file in the run's folder");
    }
    for tree in trees() {
        let cgroup = tree.join(name);
        std::fs::create_dir_all(&cgroup).unwrap_or_else(|error| panic!("{}: {error}", cgroup.display()));
        inherit(&tree, &cgroup);
    }
}

/// Where cgroups are made: each controller's own tree (version 1), or the one of all (version 2).
fn trees() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("the mounts");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let cgroups = fields.filter(|line| line.len() > 2 && line[2].starts_with("cgroup"));
    cgroups.map(|line| PathBuf::from(line[1])).collect()
}

/// Version 1: a new cpuset is empty, and takes no process until it names what it may use.
fn inherit(tree: &Path, cgroup: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // In version 2 a cpuset that names nothing may use all of its parent's.
        if let (true, false, Ok(all)) = (
            cgroup.join(file).exists(),
            tree.join("cgroup.controllers").exists(),
            std::fs::read(tree.join(file)),
        ) {
            std::fs::write(cgroup.join(file), all).expect("the cgroup is ours");
        }
    }
}

/// Version 2: lets the children of this cgroup have what a kubelet wants. Gives what they did not have before.
///
/// # Errors
/// What is in the way, and what to do.
fn delegate(parent: &Path) -> Result<Vec<&'static str>, String> {
    let read = |file: &str| std::fs::read_to_string(parent.join(file)).unwrap_or_default();
    let missing = missing(&read("cgroup.controllers"), &read("cgroup.subtree_control"));
    for controller in &missing {
        std::fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}")).map_err(|error| {
            format!(
                "a kubelet wants the cgroup controller {controller}, and {} does not let its children have it: {error}. In a \
                 container, its processes must be moved into a cgroup below first; otherwise see `Delegate=` in \
                 systemd.resource-control(5).",
                parent.display()
            )
        })?;
    }
    Ok(missing)
}

/// What a kubelet wants, is there (`cgroup.controllers`), and is not passed on yet (`cgroup.subtree_control`).
fn missing(there: &str, passed_on: &str) -> Vec<&'static str> {
    let among = |list: &str, controller: &str| list.split_whitespace().any(|one| one == controller);
    WANTED.into_iter().filter(|one| among(there, one) && !among(passed_on, one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_wanted_is_passed_on() {
        assert_eq!(
            missing("cpuset cpu io memory hugetlb pids rdma\n", "cpu memory pids\n"),
            ["cpuset", "hugetlb"]
        );
        assert!(missing("cpuset cpu io memory pids\n", "cpuset cpu io memory pids\n").is_empty());
        assert!(missing("", "").is_empty(), "all controllers are in trees of version 1");
        assert_eq!(missing("cpu\n", "cpuset\n"), ["cpu"], "a name within another is not that name");
    }

    #[test]
    fn a_parent_that_passes_nothing_on_is_named() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        std::fs::create_dir(parent.path().join("cgroup.subtree_control")).unwrap();
        let said = delegate(parent.path()).unwrap_err();
        assert!(
            said.contains("controller cpu") && said.contains(&*parent.path().to_string_lossy()),
            "{said}"
        );
    }
}
