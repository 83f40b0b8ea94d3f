//! Conditions on a version, as Rust expressions.

use super::schema::Versions;

/// Whether a range covers the versions that a piece of code is reached with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Never,
    /// An expression over `v`.
    If(String),
}

impl When {
    /// The condition for `wanted` in code that runs for versions of `current` only.
    pub(super) fn new(wanted: Versions, current: Versions) -> Self {
        let Some((low, high)) = wanted.intersect(current).0 else { return Self::Never };
        let (first, last) = current.0.unwrap_or((low, high));
        match (low > first, high < last) {
            (false, false) => Self::Always,
            (true, false) => Self::If(format!("v >= {low}")),
            (false, true) => Self::If(format!("v <= {high}")),
            (true, true) if low == high => Self::If(format!("v == {low}")),
            (true, true) => Self::If(format!("({low}..={high}).contains(&v)")),
        }
    }

    /// The opposite, as an expression of type `bool`.
    pub(super) fn negated(wanted: Versions, current: Versions) -> String {
        let (Some((low, high)), Some((first, last))) = (wanted.intersect(current).0, current.0) else {
            return "true".to_owned();
        };
        match (low > first, high < last) {
            (false, false) => "false".to_owned(),
            (true, false) => format!("v < {low}"),
            (false, true) => format!("v > {high}"),
            (true, true) if low == high => format!("v != {low}"),
            (true, true) => format!("!({low}..={high}).contains(&v)"),
        }
    }

    /// As an expression of type `bool`.
    pub(super) fn expr(&self) -> String {
        match self {
            Self::Always => "true".to_owned(),
            Self::Never => "false".to_owned(),
            Self::If(condition) => condition.clone(),
        }
    }
}
