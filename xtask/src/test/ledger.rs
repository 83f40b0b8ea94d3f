//! The ledger: what each stage took against its budget, what it counted, and the verdict.

use std::fmt::Write as _;
use std::time::Duration;

/// A whole run may take this long, from a clean clone on two cores.
const TOTAL: Duration = Duration::from_secs(40 * 60);

/// How many tests a stage ran, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests that did not run, each with a reason in the log.
    pub(crate) skipped: u64,
}

impl Counts {
    /// Adds another stage's or program's counts to these.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// One failed check that is not a test of its own.
    pub(crate) fn one_failed() -> Self {
        Self { failed: 1, ..Self::default() }
    }
}

/// One finished stage.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its name, as `--only` takes it.
    pub(crate) stage: &'static str,
    /// What it took.
    pub(crate) took: Duration,
    /// What it may take; twice this fails the run.
    pub(crate) budget: Duration,
    /// What it counted; a stage that is no test counts only its failure.
    pub(crate) counts: Counts,
    /// What a reader should know beside the numbers, such as seeds reached.
    pub(crate) note: String,
}

/// All stages of one run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    rows: Vec<Row>,
}

impl Ledger {
    /// Enters a finished stage.
    pub(crate) fn enter(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The counts of all stages, each overrun counted as one failure.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for row in &self.rows {
            sum.add(row.counts);
        }
        sum.failed += self.overruns().len() as u64;
        sum
    }

    /// Stages over twice their budget, and the whole run over its own, each as a sentence.
    pub(crate) fn overruns(&self) -> Vec<String> {
        let mut found = Vec::new();
        for row in &self.rows {
            if row.took > row.budget * 2 {
                found.push(format!(
                    "{} took {} s, more than twice its {} s",
                    row.stage,
                    row.took.as_secs(),
                    row.budget.as_secs()
                ));
            }
        }
        let total = self.total();
        if total > TOTAL {
            found.push(format!("the run took {} s, more than {} s", total.as_secs(), TOTAL.as_secs()));
        }
        found
    }

    /// The ledger as a table, then overruns, then the closing line.
    pub(crate) fn render(&self) -> String {
        let mut text = format!(
            "{:<12} {:>8} {:>8} {:>7} {:>7} {:>8}  note\n",
            "stage", "seconds", "budget", "passed", "failed", "skipped"
        );
        for row in &self.rows {
            let line = format!(
                "{:<12} {:>8.1} {:>8} {:>7} {:>7} {:>8}  {}",
                row.stage,
                row.took.as_secs_f64(),
                row.budget.as_secs(),
                row.counts.passed,
                row.counts.failed,
                row.counts.skipped,
                row.note
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        let _ = writeln!(text, "{:<12} {:>8.1} {:>8}", "total", self.total().as_secs_f64(), TOTAL.as_secs());
        for overrun in self.overruns() {
            let _ = writeln!(text, "over budget: {overrun}");
        }
        let counts = self.counts();
        let _ =
            write!(text, "\n{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
        text
    }

    fn total(&self) -> Duration {
        self.rows.iter().map(|row| row.took).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(took: u64, budget: u64, passed: u64) -> Row {
        Row {
            stage: "unit",
            took: Duration::from_secs(took),
            budget: Duration::from_secs(budget),
            counts: Counts { passed, ..Counts::default() },
            note: String::new(),
        }
    }

    #[test]
    fn a_stage_fails_only_past_twice_its_budget() {
        let mut ledger = Ledger::default();
        ledger.enter(row(20, 10, 3));
        assert_eq!(ledger.counts(), Counts { passed: 3, failed: 0, skipped: 0 });
        ledger.enter(row(21, 10, 4));
        assert_eq!(ledger.counts(), Counts { passed: 7, failed: 1, skipped: 0 });
    }

    #[test]
    fn a_run_over_its_total_fails_though_no_stage_does() {
        let mut ledger = Ledger::default();
        for _ in 0..3 {
            ledger.enter(row(900, 900, 1));
        }
        assert_eq!(ledger.counts().failed, 1);
    }

    #[test]
    fn the_closing_line_stands_alone() {
        let mut ledger = Ledger::default();
        ledger.enter(row(1, 1, 2));
        assert_eq!(ledger.render().lines().last(), Some("2 passed, 0 failed, 0 skipped"));
    }
}
