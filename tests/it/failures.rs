//! `docs/FAILURES.md` says where each case of the failure list is proven: all cases are there, and every test that it names.

use std::path::Path;

/// Cases of the list.
const CASES: usize = 66;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The table's rows: number of the case, and the tests that it names.
fn rows(page: &str) -> Vec<(usize, Vec<&str>)> {
    let rows = page.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        let quoted = rest.split('`').skip(1).step_by(2);
        Some((number.parse().ok()?, quoted.filter(|name| name.contains("::")).collect()))
    });
    rows.collect()
}

/// The file and the function that a name means: a path from the root, or a module of these tests.
fn place(name: &str) -> (String, &str) {
    let (module, function) = name.rsplit_once("::").unwrap();
    let path = if module.contains('/') {
        module.to_owned()
    } else {
        format!("tests/it/{}.rs", module.replace("::", "/"))
    };
    (path, function)
}

/// Whether a source has this test. The steps of `make e2e` are functions that its program calls.
fn has(path: &str, source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let named = |line: &str| line.contains(&format!("fn {function}("));
    let at = lines.iter().position(|line| named(line));
    at.is_some_and(|at| {
        let before =
            lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        path.starts_with("tests/e2e/") || before.into_iter().any(|line| line.contains("test"))
    })
}

#[test]
fn every_case_is_there_and_every_test_that_is_named() {
    let page = read("docs/FAILURES.md");
    let rows = rows(&page);
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), (1..=CASES).collect::<Vec<_>>());
    let mut missing = Vec::new();
    for (number, names) in rows {
        assert!(!names.is_empty(), "case {number} names no test");
        for name in names {
            let (path, function) = place(name);
            if !has(&path, &read(&path), function) {
                missing.push(format!("{number}: {name}"));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn a_function_that_is_no_test_does_not_count() {
    let source = "#[tokio::test]\nasync fn proof() {}\nfn helper() {}\n";
    assert!(has("tests/it/a.rs", source, "proof"));
    assert!(!has("tests/it/a.rs", source, "helper") && !has("tests/it/a.rs", source, "absent"));
    assert_eq!(rows("| 7 | a case | `a::b`, `c.rs` |"), [(7, vec!["a::b"])]);
    assert_eq!(place("chart::rights::x"), ("tests/it/chart/rights.rs".to_owned(), "x"));
}
