//! What the chart renders: the same every time, with each `ci/*-values.yaml`, and the definition that `crdgen` prints.

use std::process::Command;

use serde_json::Value;

use super::{chart, ci_values, documents, files, helm, object, program, read, render, root, template};

#[test]
fn lint_has_nothing_to_say() {
    for values in ci_values() {
        let output =
            helm(&["lint", "--strict", "--values", &values.to_string_lossy(), &chart().to_string_lossy()]);
        assert!(output.status.success(), "{values:?}:\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn helm_unittest_passes_and_knows_every_template() {
    let output = Command::new(program("helm-unittest")).arg(chart()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let suites: String = files(&chart().join("tests"), "_test.yaml")
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let templates = chart().join("templates");
    for file in files(&templates, "") {
        let name = file.strip_prefix(&templates).unwrap().to_string_lossy().into_owned();
        let partial = file.file_name().unwrap().to_string_lossy().starts_with('_');
        assert!(partial || suites.contains(&name), "no file in tests/ speaks of {name}");
    }
}

#[test]
fn every_rendering_is_the_same() {
    for values in ci_values() {
        let once = || template("ns", &["--values", &values.to_string_lossy()]);
        assert_eq!(once(), once(), "{values:?}");
    }
}

/// Argo CD and others render without a cluster, and again and again.
#[test]
fn templates_ask_no_cluster_no_clock_and_no_dice() {
    let forbidden = [
        "lookup",
        "randAlpha",
        "randAlphaNum",
        "randNumeric",
        "randAscii",
        "randBytes",
        "randInt",
        "uuidv4",
        "shuffle",
        "genPrivateKey",
        "genCA",
        "genSelfSignedCert",
        "genSignedCert",
        "htpasswd",
        "bcrypt",
        "now",
        "ago",
        "getHostByName",
    ];
    for file in files(&chart().join("templates"), "") {
        let text = std::fs::read_to_string(&file).unwrap();
        for action in text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let comment = action.trim_start_matches(['-', ' ']).starts_with("/*");
            let mut words = action
                .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.' && letter != '"');
            let used = words.find(|word| forbidden.contains(word));
            assert!(comment || used.is_none(), "{file:?}: {used:?} in {{{{{action}}}}}");
        }
    }
}

#[test]
fn the_definition_is_crdgens() {
    let mut rendered =
        object(&render("ns", &[]), "CustomResourceDefinition/whatsappsessions.warest.io").clone();
    let metadata = rendered["metadata"].as_object_mut().unwrap();
    assert_eq!(
        metadata.remove("annotations").unwrap(),
        serde_json::json!({"helm.sh/resource-policy": "keep"})
    );
    assert!(metadata.remove("labels").is_some());
    assert_eq!(vec![rendered], documents(&crds::crd_yaml().unwrap()));
}

/// `scripts/chart` writes what is derived; nobody edits it by hand.
#[test]
fn nothing_derived_is_stale() {
    let output = Command::new(root().join("scripts/chart")).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let chart: Value = serde_norway::from_str(&read("Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((chart["version"].as_str(), chart["appVersion"].as_str()), (Some(version), Some(version)));
    let annotations = &chart["annotations"];
    let images: Value =
        serde_norway::from_str(annotations["artifacthub.io/images"].as_str().unwrap()).unwrap();
    for image in images.as_array().unwrap() {
        assert!(image["image"].as_str().unwrap().ends_with(&format!(":{version}")), "{image}");
    }
}

/// The example that Artifact Hub shows is a session, and one that has no field of its own making.
#[test]
fn the_example_is_a_session() {
    let chart: Value = serde_norway::from_str(&read("Chart.yaml")).unwrap();
    let examples = chart["annotations"]["artifacthub.io/crdsExamples"].as_str().unwrap();
    let sessions: Vec<crds::WhatsAppSession> = serde_norway::from_str(examples).unwrap();
    let written: Value = serde_norway::from_str(examples).unwrap();
    for (session, written) in sessions.iter().zip(written.as_array().unwrap()) {
        let understood = serde_json::to_value(&session.spec).unwrap();
        for (field, _) in written["spec"].as_object().unwrap() {
            assert!(understood.get(field).is_some(), "{field} is no field of a session");
        }
    }
}

/// What goes into a private registry: nothing comes from elsewhere.
#[test]
fn every_image_comes_from_the_global_registry() {
    let objects = render("ns", &["--set", "global.imageRegistry=registry.example"]);
    let mut images = Vec::new();
    for object in &objects {
        let spec =
            if object["kind"] == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
        for container in spec["containers"].as_array().into_iter().flatten() {
            images.push(container["image"].as_str().unwrap().to_owned());
            let arguments = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
            images
                .extend(arguments.filter_map(|one| one.strip_prefix("--session-image=")).map(str::to_owned));
        }
    }
    assert_eq!(images.len(), 4, "operator, gateway, session, helm test: {images:?}");
    assert!(images.iter().all(|image| image.starts_with("registry.example/warest/")), "{images:?}");
}
