//! `make bench`: what one session takes beside others, and what thousands of them take of an operator, each in one run.
//!
//! Comes in: release builds in `$WAREST_PROGRAMS`; `memory`, `start`, `throughput` or `scale [SESSIONS …]` for that part alone.
//! Goes out: tables on standard output; exit code 1 when a count that has to be exact is not. It must not assert a time or a size.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and stops loudly where it cannot measure"
)]

use std::process::ExitCode;

mod scale;
mod session;

/// Sessions of the part `scale` when no number is given: once so many, then once so many.
const SESSIONS: [usize; 2] = [1_000, 5_000];

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |part: &str| arguments.first().is_none_or(|only| only == part);
    if session::PARTS.into_iter().any(wanted) {
        session::measure(wanted).await;
    }
    let mut exact = true;
    if wanted("scale") {
        for count in sizes(&arguments) {
            exact &= Box::pin(scale::measure(count)).await;
        }
    }
    if exact { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sizes(arguments: &[String]) -> Vec<usize> {
    let given = arguments.iter().skip(1);
    let given: Vec<usize> = given.map(|count| count.parse().expect("a number of sessions")).collect();
    if given.is_empty() { SESSIONS.to_vec() } else { given }
}
