//! Which seeds a simulation runs, and for how long.
//!
//! - `WAYBILL_SIM_SEED=n` runs that seed only: to see a failure again.
//! - `WAYBILL_SIM_SEEDS=n` runs so many seeds: soak.
//! - `WAYBILL_SIM_SECONDS=s` runs as many as fit into so many seconds.
//! - Otherwise a suite runs as many as fit into its own share of the test run, and prints how many that were.

use std::time::{Duration, Instant};

/// Runs `simulate` on seed after seed and returns how many were run. Prints the count, and the seed of a failure with
/// the command that repeats it.
///
/// # Panics
/// When a seed fails, or `simulate` panics.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "what a test run shows")]
pub fn run(suite: &str, share: Duration, mut simulate: impl FnMut(u64) -> Result<(), String>) -> u64 {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (only, count) = (number("WAYBILL_SIM_SEED"), number("WAYBILL_SIM_SEEDS"));
    let share = number("WAYBILL_SIM_SECONDS").map_or(share, Duration::from_secs);
    let start = now();
    let mut done = 0;
    loop {
        let seed = only.unwrap_or(done);
        let shown = Shown { suite, seed };
        if let Err(what) = simulate(seed) {
            panic!("{what}");
        }
        std::mem::forget(shown);
        done += 1;
        let enough = match (only, count) {
            (Some(_), _) => true,
            (None, Some(count)) => done >= count,
            (None, None) => start.elapsed() >= share,
        };
        if enough {
            break;
        }
    }
    println!("{suite}: {done} seeds in {:.1} s", start.elapsed().as_secs_f64());
    done
}

#[allow(clippy::disallowed_methods, reason = "bounds a test run, decides nothing in it")]
fn now() -> Instant {
    Instant::now()
}

/// Names the seed when a simulation panics.
struct Shown<'a> {
    suite: &'a str,
    seed: u64,
}

impl Drop for Shown<'_> {
    #[allow(clippy::print_stderr, reason = "what a test run shows")]
    fn drop(&mut self) {
        eprintln!("{}: seed {} failed; repeat with WAYBILL_SIM_SEED={}", self.suite, self.seed, self.seed);
    }
}
