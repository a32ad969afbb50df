//! Programs for tests: shell scripts that stand for a session's program.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes `<folder>/program` of a script's lines. Another process writes it: while this one holds a file open for writing, a
/// test beside this one may start a process that inherits it, and the system refuses to run a file that somebody writes.
pub(super) fn program(folder: &Path, lines: &str) -> PathBuf {
    let (draft, program) = (folder.join("draft"), folder.join("program"));
    std::fs::write(&draft, format!("#!/bin/sh\n{lines}\n")).expect("a draft");
    let installed =
        Command::new("install").arg("-m700").args([&draft, &program]).status().expect("install runs");
    assert!(installed.success());
    program
}
