//! The invariants of `docs/ARCHITECTURE.md`, checked on the sources, the manifests and the lock file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every tracked or new Rust file, relative to the root.
fn sources() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root())
        .output()
        .unwrap();
    let files: Vec<PathBuf> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(PathBuf::from)
        .filter(|f| root().join(f).exists())
        .collect();
    assert!(files.len() > 20, "the list of sources is read: {files:?}");
    files
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}

/// Code lines only: no comments, nothing after the first `#[cfg(test)]`.
fn code(file: &Path) -> String {
    let all = text(file);
    let shipped = all.split("#[cfg(test)]").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn metadata() -> Value {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    serde_json::from_slice(&cargo.stdout).unwrap()
}

/// Names of the workspace's own packages that `package` is built from (no dev-dependencies).
fn own_dependencies(package: &str) -> BTreeSet<String> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let own: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let package = packages.iter().find(|p| p["name"] == package).expect("a member");
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|d| d["kind"].is_null())
        .map(|d| d["name"].as_str().unwrap())
        .filter(|name| own.contains(name))
        .map(str::to_owned)
        .collect()
}

/// Every crate in a package's dependency tree, with its features.
fn tree(package: &str, more: &[&str]) -> String {
    let cargo = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "-p",
            package,
            "-e",
            "normal,build",
            "--prefix",
            "none",
            "-f",
            "{p} [{f}]",
        ])
        .args(more)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    String::from_utf8(cargo.stdout).unwrap()
}

#[test]
fn arrows_point_the_right_way() {
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(own_dependencies("session-api"), set(&[]));
    assert_eq!(own_dependencies("simulator"), set(&[]));
    assert_eq!(own_dependencies("session-pod"), set(&["session-api"]));
    assert_eq!(own_dependencies("crds"), set(&[]));
    assert_eq!(own_dependencies("operator"), set(&["crds", "session-api"]));
    assert_eq!(own_dependencies("api-gateway"), set(&["crds", "session-api"]));
}

#[test]
fn session_pod_knows_no_kubernetes_and_nobody_else_whatsapp() {
    let pod = tree("session-pod", &[]);
    assert!(pod.contains("whatsapp-rust v0.7.0"));
    assert!(!pod.lines().any(|l| l.starts_with("kube") || l.starts_with("k8s-openapi")));
    for package in ["api-gateway", "operator"] {
        let tree = tree(package, &[]);
        assert!(tree.contains("kube v5."));
        let protocol =
            |l: &str| l.starts_with("whatsapp") || l.starts_with("waco") || l.starts_with("waproto");
        assert!(!tree.lines().any(protocol), "{package}: {tree}");
    }
}

#[test]
fn only_the_operator_writes_status() {
    let gateway = sources().into_iter().filter(|f| f.starts_with("api-gateway/src"));
    for file in gateway {
        for write in ["patch_status", "replace_status", "patch_subresource", "patch_scale"] {
            assert!(!code(&file).contains(write), "{} must not {write}", file.display());
        }
    }
}

#[test]
fn a_release_session_pod_checks_whatsapps_certificate() {
    assert!(!tree("session-pod", &[]).contains("danger"), "a default build must not skip any verification");
    let simulator = tree("session-pod", &["--features", "simulator"]);
    assert!(simulator.contains("danger-skip-cert-chain-verify"), "the check above looks at the right thing");
}

#[test]
fn one_tls_stack_and_one_sqlite() {
    let lock = text(Path::new("Cargo.lock"));
    let count = |name: &str| lock.matches(&format!("name = \"{name}\"\n")).count();
    for foreign in ["aws-lc-rs", "openssl", "openssl-sys", "native-tls", "boring"] {
        assert_eq!(count(foreign), 0, "{foreign}: rustls with ring is the one TLS stack");
    }
    assert_eq!(count("ring"), 1);
    assert_eq!(count("rustls"), 1);
    assert_eq!(count("libsqlite3-sys"), 1);
    assert!(
        lock.contains("name = \"libsqlite3-sys\"\nversion = \"0.37"),
        "SQLite 3.51.3 (WAL-reset race before it)"
    );
}

#[test]
fn only_the_whatsapp_module_names_the_protocol_library() {
    for file in sources() {
        let name = file.to_string_lossy();
        if !name.starts_with("session-pod/src") || name.starts_with("session-pod/src/whatsapp") {
            continue;
        }
        let code = code(&file);
        for library in ["whatsapp_rust", "wacore", "waproto"] {
            assert!(!code.contains(library), "{name} names {library}; only session-pod/src/whatsapp* may");
        }
    }
}

#[test]
fn the_simulator_uses_no_client_library() {
    let tree = tree("simulator", &[]);
    for client in ["whatsapp-rust ", "wacore v", "wacore-noise ", "session-"] {
        assert!(
            !tree.lines().any(|l| l.starts_with(client)),
            "{client} would share a bug with the client under test"
        );
    }
}

#[test]
fn pure_files_have_no_async_no_client_and_no_clock() {
    const PURE: [&str; 17] = [
        "crds/src/",
        "operator/src/build",
        "operator/src/decide",
        "operator/src/rollout",
        "operator/src/status",
        "operator/src/validate",
        "operator/src/leader/lease.rs",
        "api-gateway/src/directory/kubernetes/index",
        "session-pod/src/session/",
        "session-pod/src/whatsapp/convert",
        "session-pod/api/src/",
        "simulator/src/world",
        "simulator/src/stanza/",
        "simulator/src/phone",
        "api-gateway/src/status.rs",
        "api-gateway/src/directory/local/resource.rs",
        "api-gateway/src/keys.rs",
    ];
    const EFFECTS: [&str; 8] = [
        "async fn",
        ".await",
        "tokio::",
        "reqwest",
        "SystemTime::now",
        "Instant::now",
        "std::fs",
        "std::env",
    ];
    let mut seen = 0;
    for file in sources() {
        let name = file.to_string_lossy().into_owned();
        let test = name.ends_with("/tests.rs") || name.contains("/tests/");
        // The three edges of the session task, and the stores whose async signatures the Signal library asks for.
        let edge = ["session/run.rs", "session/effects", "session/recovery.rs", "phone/signal/stores.rs"];
        let edge = edge.iter().any(|part| name.contains(part));
        if test || edge || !PURE.iter().any(|pure| name.starts_with(pure)) {
            continue;
        }
        seen += 1;
        let code = code(&file);
        for effect in EFFECTS {
            assert!(!code.contains(effect), "{name} is pure and must not have `{effect}`");
        }
    }
    assert!(seen > 20, "the pure files are found ({seen})");
}

#[test]
fn files_are_rooms_not_halls() {
    for file in sources() {
        let name = file.to_string_lossy().into_owned();
        let text = text(&file);
        assert!(text.starts_with("//!"), "{name} opens with a //! that says what comes in, what goes out");
        assert!(text.lines().count() <= 500, "{name} has {} lines; stop at 500", text.lines().count());
        assert!(!name.ends_with("mod.rs"), "{name}: foo.rs + foo/, no mod.rs");
        assert!(!name.contains("util"), "{name}: name it after what it does");
    }
}

#[test]
fn nothing_is_left_undone() {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimpl", "emented!"), concat!("#[ig", "nore")];
    for file in sources() {
        for mark in marks {
            assert!(!text(&file).contains(mark), "{} holds {mark}", file.display());
        }
    }
}
