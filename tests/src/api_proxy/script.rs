//! Which request is done what to, and how many writes there were. Pure.

use axum::http::{Method, StatusCode};

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is answered with this status, and the API server never sees it.
    Refuse(StatusCode),
    /// The API server carries it out; the caller's connection breaks off before the answer.
    LoseAnswer,
    /// The API server carries it out; the caller sees this status.
    Mask(StatusCode),
    /// Nothing comes back, ever.
    Hang,
    /// The API server gets it when it is let go, whether or not the caller still waits (see [`super::ApiProxy::release`]).
    Hold,
}

/// Which requests a fault is for.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The method; none: any.
    pub method: Option<Method>,
    /// What path and query must contain.
    pub path: String,
    /// How many fitting requests are let through first.
    pub skip: usize,
    /// How many it is for after that.
    pub count: usize,
    /// What happens to them.
    pub fault: Fault,
}

impl Rule {
    /// The next `count` requests of this method whose path and query contain `path`.
    pub fn next(method: Method, path: &str, count: usize, fault: Fault) -> Self {
        Self { method: Some(method), path: path.to_owned(), skip: 0, count, fault }
    }

    fn fits(&self, method: &Method, target: &str) -> bool {
        self.method.as_ref().is_none_or(|m| m == method) && target.contains(&self.path)
    }
}

/// All rules, and what has been counted.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) rules: Vec<Rule>,
    pub(super) ignored: Vec<String>,
    pub(super) writes: usize,
    pub(super) halt_after_writes: Option<usize>,
}

impl Script {
    /// The fault for this request, if any; counts it.
    pub(super) fn fault(&mut self, method: &Method, target: &str) -> Option<Fault> {
        let counts = is_write(method) && !self.ignored.iter().any(|ignored| target.contains(ignored));
        if self.halt_after_writes.is_some_and(|limit| self.writes >= limit) {
            return Some(Fault::Hang);
        }
        let mut found = None;
        for rule in self.rules.iter_mut().filter(|r| r.fits(method, target)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.count > 0 && found.is_none() {
                rule.count -= 1;
                found = Some(rule.fault.clone());
            }
        }
        // A lost or masked answer is a write all the same; a refused one never was.
        if counts && !matches!(found, Some(Fault::Refuse(_) | Fault::Hang)) {
            self.writes += 1;
        }
        found
    }

    /// How many faults of rules have not happened yet.
    pub(super) fn pending(&self) -> usize {
        self.rules.iter().map(|rule| rule.count).sum()
    }
}

fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
