//! What is wrong with a mapping file: where, what, and what to write instead.

use std::fmt;

/// One fault of a mapping file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The key in question: `fact[2].milestone`.
    pub field: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, {}: {}; {}", self.line, self.field, self.what, self.remedy)
    }
}

/// A file is no mapping. All its faults are told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMapping {
    /// The file.
    pub file: String,
    /// What is wrong, by line; at least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for BadMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no mapping:", self.file)?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for BadMapping {}
