//! Scenarios for the rdkafka crate (librdkafka), by the contract of `tests/clients/`.
//!
//! Started as `rdkafka-client --bootstrap HOST:PORT --topic PREFIX [--scenario A,B] [--replication N]`, it prints one
//! JSON line per scenario.

mod kit;
mod scenarios;

use std::io::Write;

use anyhow::{Context, Result, bail};
use serde_json::json;
use waybill_rt::RealClock;

use crate::kit::{Kit, NotOffered};

fn main() -> Result<()> {
    let arguments = Arguments::read()?;
    let kit = Kit::new(&arguments.bootstrap, &arguments.topic, arguments.replication)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let clock = RealClock::shared();
    for (scenario, body) in scenarios::ALL {
        if !arguments.wants(scenario) {
            continue;
        }
        let began = clock.monotonic();
        let outcome = runtime.block_on(async { body(&kit).await });
        let (ok, detail) = match outcome {
            Ok(()) => (Some(true), String::new()),
            Err(error) if error.is::<NotOffered>() => (None, error.to_string()),
            Err(error) => (Some(false), format!("{error:#}")),
        };
        let (_, library) = rdkafka::util::get_rdkafka_version();
        let line = json!({
            "client": "rdkafka (Rust)",
            "version": format!("0.39, librdkafka {library}"),
            "scenario": scenario,
            "ok": ok,
            "detail": detail,
            "seconds": (clock.monotonic() - began).as_secs_f64(),
        });
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

struct Arguments {
    bootstrap: String,
    topic: String,
    replication: i32,
    scenarios: Option<Vec<String>>,
}

impl Arguments {
    fn read() -> Result<Self> {
        let (mut bootstrap, mut topic, mut replication, mut scenarios) = (None, None, 3, None);
        let mut words = std::env::args().skip(1);
        while let Some(name) = words.next() {
            let value = words.next().with_context(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--bootstrap" => bootstrap = Some(value),
                "--topic" => topic = Some(value),
                "--replication" => replication = value.parse().context("--replication")?,
                "--scenario" if value == "all" => {}
                "--scenario" => scenarios = Some(value.split(',').map(str::to_owned).collect()),
                _ => bail!("no argument {name}"),
            }
        }
        Ok(Self {
            bootstrap: bootstrap.context("--bootstrap is needed")?,
            topic: topic.context("--topic is needed")?,
            replication,
            scenarios,
        })
    }

    fn wants(&self, scenario: &str) -> bool {
        self.scenarios.as_ref().is_none_or(|names| names.iter().any(|name| name == scenario))
    }
}
