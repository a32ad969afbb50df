//! The Helm chart: what it renders, what it refuses, and what a real API server says to it.
//!
//! Comes in: `charts/warest` and the tools of `scripts/cluster-tools`. Other tests take the chart's objects from [`render`].

mod differences;
mod installed;
mod monitored;
mod programs;
mod refused;
mod rendered;
mod rights;
mod running;
mod upgraded;
mod values;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize as _;
use serde_json::Value;
use system_tests::cluster::program;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Folder of the chart.
pub(crate) fn chart() -> PathBuf {
    root().join("charts/warest")
}

/// All objects of a release `warest` in a namespace, with more arguments of `helm template`.
pub(crate) fn render(namespace: &str, more: &[&str]) -> Vec<Value> {
    documents(&template(namespace, more))
}

/// The text of [`render`].
fn template(namespace: &str, more: &[&str]) -> String {
    let output =
        helm(&[&["template", "warest", &chart().to_string_lossy(), "--namespace", namespace], more].concat());
    assert!(output.status.success(), "helm template {more:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn helm(arguments: &[&str]) -> Output {
    Command::new(program("helm")).args(arguments).output().expect("helm runs")
}

fn documents(text: &str) -> Vec<Value> {
    let all = serde_norway::Deserializer::from_str(text).map(|one| Value::deserialize(one).unwrap());
    all.filter(|one| !one.is_null()).collect()
}

fn read(name: &str) -> String {
    let path = chart().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `Kind/name` of an object.
fn id(object: &Value) -> String {
    format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

/// The object `Kind/name`.
fn object<'o>(objects: &'o [Value], wanted: &str) -> &'o Value {
    let found = objects.iter().find(|object| id(object) == wanted);
    found.unwrap_or_else(|| panic!("no {wanted} in {:?}", objects.iter().map(id).collect::<Vec<_>>()))
}

/// Every file `ci/*-values.yaml`.
fn ci_values() -> Vec<PathBuf> {
    files(&chart().join("ci"), "-values.yaml")
}

/// Files of a folder and its folders whose names end so, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{} has no files that end with {ending:?}", folder.display());
    found
}
