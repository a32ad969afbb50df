//! The programs understand what the chart tells them: every argument, every variable, every value that a ci file brings.

use std::process::Command;

use serde_json::Value;
use system_tests::process::program;

use super::{ci_values, render};

/// Variables that the gateway will read in a later version; values.yaml says so.
const LATER: [&str; 6] =
    ["REDIS_URL", "MYSQL_HOST", "MYSQL_PORT", "MYSQL_DATABASE", "MYSQL_USER", "MYSQL_PASSWORD"];

/// The containers of a deployment, with each ci file.
fn containers(deployment: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for values in ci_values() {
        for object in render("ns", &["--values", &values.to_string_lossy()]) {
            if object["kind"] == "Deployment"
                && object["metadata"]["labels"]["app.kubernetes.io/component"] == deployment
            {
                found.push(object["spec"]["template"]["spec"]["containers"][0].clone());
            }
        }
    }
    assert!(found.len() > 5, "{deployment}");
    found
}

fn texts<'v>(container: &'v Value, list: &str, field: &str) -> Vec<&'v str> {
    let items = container[list].as_array().into_iter().flatten();
    items.filter_map(|item| if field.is_empty() { item.as_str() } else { item[field].as_str() }).collect()
}

/// `--help` after the arguments: they are read first, and a wrong one ends the program.
#[test]
fn the_operator_understands_its_arguments() {
    for container in containers("operator") {
        let arguments = texts(&container, "args", "");
        let output = Command::new(program("operator")).args(&arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_wrong_argument_ends_the_operator() {
    let output = Command::new(program("operator")).args(["--concurrency=none", "--help"]).output().unwrap();
    assert!(!output.status.success(), "the test above can fail");
}

#[test]
fn the_gateway_reads_its_variables() {
    let help = Command::new(program("api-gateway")).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let reads = |name: &str| help.contains(&format!("[env: {name}"));
    for container in containers("api-gateway") {
        for name in texts(&container, "env", "name") {
            assert!(
                reads(name) || name == "EXAMPLE" || LATER.contains(&name),
                "the gateway does not read {name}"
            );
        }
    }
    for name in LATER {
        assert!(
            !reads(name),
            "the gateway reads {name} now: values.yaml, NOTES.txt and this list say otherwise"
        );
    }
}

/// `helm test` runs the gateway's own program.
#[test]
fn the_gateway_can_be_asked_by_its_own_program() {
    let check = |url: &str| Command::new(program("api-gateway")).args(["--check", url]).output().unwrap();
    let refused = check("http://127.0.0.1:9/health/ready");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("127.0.0.1:9"), "{refused:?}");
}
