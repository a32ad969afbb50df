//! The network, mounts and cgroups that a node needs, in namespaces of its own.
//!
//! Comes in: fresh namespaces (network, mount, pid, ipc, uts). Goes out: a network with the node's address, a `/run` and `/var` whose
//! changes go nowhere, settings of the kernel that a kubelet wants as it sees them, and a cgroup.
//! It must not change what the rest of the machine sees, but for that one cgroup.

use std::path::Path;
use std::process::Command;

use super::{REACHABLE, cgroups};

/// What a kubelet writes into the kernel of the whole machine unless it is there already.
/// Source: `setupKernelTunables` in `kubernetes/pkg/kubelet/cm/container_manager_linux.go`.
const KERNEL: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// An interface with an address is all that a node is; a pair stands in where the kernel has no `dummy`.
/// Programs write to `/run` and `/var/lib` no matter what they are told.
const COMMANDS: &str = r"
set -eu
ip link set lo up
ip link add node0 type veth peer name node0-peer
ip address add $ADDRESS/24 dev node0
ip link set node0 up
ip link set node0-peer up
ip route add default via $ADDRESS dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/own/upper /run/own/work /run/lock
mount -t overlay -o lowerdir=/var,upperdir=/run/own/upper,workdir=/run/own/work overlay /var
";

/// See the file's comment.
///
/// # Panics
/// When these are the machine's own namespaces, or something cannot be made.
pub(super) fn prepare(cgroup: &str) {
    // A new network has none that is up, not even lo.
    let interfaces = shell("ip -oneline link show up");
    assert_eq!(interfaces.trim(), "", "a network in use: start this with scripts/cluster --node");
    shell(&COMMANDS.replace("$ADDRESS", &REACHABLE.to_string()));
    for (name, value) in KERNEL {
        shield(name, value);
    }
    cgroups::create(cgroup);
}

/// Lays a file over a setting of the kernel. Source: proc(5); the kernel's own value stays as it is.
fn shield(name: &str, value: &str) {
    if !Path::new("/proc/sys").join(name).exists() {
        return;
    }
    let own = format!("/run/own/{}", name.replace('/', "."));
    std::fs::write(&own, format!("{value}\n")).expect("a file in a folder of our own");
    shell(&format!("mount --bind {own} /proc/sys/{name}"));
}

#[track_caller]
fn shell(commands: &str) -> String {
    let output = Command::new("sh").args(["-c", commands]).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{commands}\n{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
