//! Positions that real retention has left behind: a broker of its own, because it looks every second and would let go
//! what other scenarios write with times of long ago.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::broker::QUICK_JOIN;
use super::matrix::{self, Line};
use super::{Broker, Choice, Installed, Spec, Target};
use crate::test::cargo::Built;

/// The scenario's name in the table.
pub(crate) const SCENARIO: &str = "out-of-range-retention";

/// The clients that are asked: Kafka's own and librdkafka.
const CLIENTS: [&str; 2] = ["java", "confluent-python"];

const EVERY_SECOND: &str = "log.retention.check.interval.ms=1000";

/// Runs the scenario and gives a line for each client.
///
/// # Errors
/// When the broker or a program can not be started.
pub(crate) fn run(
    target: Target,
    built: &Built,
    installed: &Installed,
    log: &Path,
    limit: Duration,
) -> Result<Vec<Line>> {
    let settings: &[&str] = match target {
        // Its first look comes half a minute after the start otherwise; the setting is internal there.
        Target::Kafka => &[QUICK_JOIN, EVERY_SECOND, "log.initial.task.delay.ms=1000"],
        Target::Waybill => &[QUICK_JOIN, EVERY_SECOND],
    };
    let mut broker = Broker::start(Spec { target, settings, stock: false }, built, installed, log)?;
    let choice = Choice {
        clients: CLIENTS.map(str::to_owned).to_vec(),
        scenario: Some(SCENARIO.to_owned()),
        no_restarts: true,
    };
    matrix::run(&mut broker, &choice, built, installed, log, limit)
}
