//! One round against one broker.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::driver::{Account, Figures};
use super::{Contestant, Options, driver, measure};
use crate::clients::{self, Broker, Installed};
use crate::test::cargo::Built;

/// Bytes of a record's value.
const SIZE: u64 = 1024;

/// Records a second of the latency probe.
const RATE: u64 = 5000;

/// One measured thing of one round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The broker.
    pub(crate) broker: String,
    /// What was done, with its client.
    pub(crate) what: String,
    /// Partitions of the topic; none where no topic was in play.
    pub(crate) partitions: Option<u32>,
    /// Figures by name.
    pub(crate) figures: Figures,
}

/// What a round needs.
pub(crate) struct Round<'a> {
    pub(crate) options: &'a Options,
    pub(crate) contestant: Contestant,
    pub(crate) built: &'a Built,
    pub(crate) installed: &'a Installed,
    pub(crate) log: &'a Path,
}

impl Round<'_> {
    /// Start-up, idle memory, topics, rates, latency, peak memory.
    ///
    /// # Errors
    /// When a client fails or the broker dies.
    pub(crate) fn run(&mut self, broker: &mut Broker) -> Result<Vec<Sample>> {
        let mut samples = Vec::new();
        samples.push(self.sample("start", None, [("ready_seconds", broker.ready.as_secs_f64())]));
        thread::sleep(Duration::from_secs(self.options.idle_seconds));
        let idle = measure::memory_mib(broker.pid()?, "VmRSS")?;
        samples.push(self.sample("idle", None, [("memory_mib", idle)]));
        if self.options.warmup_mib > 0 {
            self.warm_up(broker)?;
        }
        for partitions in &self.options.partitions {
            samples.extend(self.rates(broker, *partitions)?);
        }
        let topic = ["topic=latency".to_owned()];
        self.driver(broker, "create", &[&topic[0], "partitions=10"])?;
        let (rate, seconds) = (format!("rate={RATE}"), format!("seconds={}", self.options.latency_seconds));
        let probe = [topic[0].as_str(), &rate, &seconds, "warmup=3", "size=1024"];
        samples.push(self.measured(broker, "latency", Some(10), |round, broker| {
            round.driver(broker, "latency", &probe)
        })?);
        let peak = measure::memory_mib(broker.pid()?, "VmHWM")?;
        samples.push(self.sample("peak", None, [("memory_mib", peak)]));
        Ok(samples)
    }

    fn warm_up(&self, broker: &Broker) -> Result<()> {
        let count = format!("count={}", self.options.warmup_mib * (1 << 20) / SIZE);
        let all = ["topic=warm-up", &count, "partitions=10", "size=1024"];
        for verb in ["create", "produce", "consume"] {
            self.driver(broker, verb, &all)?;
        }
        Ok(())
    }

    fn rates(&self, broker: &Broker, partitions: u32) -> Result<Vec<Sample>> {
        let count = self.options.mib * (1 << 20) / SIZE;
        let (counted, parts) = (format!("count={count}"), format!("partitions={partitions}"));
        let topic = format!("topic=rdkafka-{partitions}");
        let all = [topic.as_str(), &counted, &parts, "size=1024"];
        let mut samples = vec![
            self.measured(broker, "create", Some(partitions), |round, broker| {
                round.driver(broker, "create", &all)
            })?,
            self.measured(broker, "produce, librdkafka", Some(partitions), |round, broker| {
                round.driver(broker, "produce", &all)
            })?,
            self.measured(broker, "consume, librdkafka", Some(partitions), |round, broker| {
                round.driver(broker, "consume", &all)
            })?,
        ];
        if !self.options.no_tools {
            let name = format!("tools-{partitions}");
            self.driver(broker, "create", &[&format!("topic={name}"), &parts])?;
            samples.push(self.measured(
                broker,
                "produce, perf tool",
                Some(partitions),
                |round, broker| round.perf_producer(broker, &name, count),
            )?);
            samples.push(self.measured(
                broker,
                "consume, perf tool",
                Some(partitions),
                |round, broker| round.perf_consumer(broker, &name, count),
            )?);
        }
        Ok(samples)
    }

    fn sample<const N: usize>(
        &self,
        what: &str,
        partitions: Option<u32>,
        figures: [(&str, f64); N],
    ) -> Sample {
        let figures = figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Sample { broker: self.contestant.name.to_owned(), what: what.to_owned(), partitions, figures }
    }

    /// A client's figures with what the broker and everyone else used meanwhile.
    fn measured(
        &self,
        broker: &Broker,
        what: &str,
        partitions: Option<u32>,
        body: impl FnOnce(&Self, &Broker) -> Result<Figures>,
    ) -> Result<Sample> {
        let account = Account::begin(broker.pid()?)?;
        let mut figures = body(self, broker)?;
        account.end(&mut figures)?;
        Ok(Sample { broker: self.contestant.name.to_owned(), what: what.to_owned(), partitions, figures })
    }

    fn driver(&self, broker: &Broker, verb: &str, settings: &[&str]) -> Result<Figures> {
        driver::run(self.built, self.log, broker.address, verb, settings)
    }

    fn perf_producer(&self, broker: &Broker, topic: &str, count: u64) -> Result<Figures> {
        let bootstrap = format!("bootstrap.servers={}", broker.address);
        let count_text = count.to_string();
        let told = self.tool(
            "ProducerPerformance",
            &[
                "--topic",
                topic,
                "--num-records",
                &count_text,
                "--record-size",
                "1024",
                "--throughput",
                "-1",
                "--command-property",
                &bootstrap,
                "acks=all",
                "linger.ms=5",
            ],
        )?;
        // The last line reads: N records sent, R records/sec (M MB/sec), …; its MB are MiB.
        let line = told.lines().rfind(|line| line.contains("records sent")).context("no summary")?;
        let rate = line.split_once('(').and_then(|(_, rest)| rest.split_whitespace().next());
        figures(count, rate.context("no rate")?.parse().context("a rate")?)
    }

    fn perf_consumer(&self, broker: &Broker, topic: &str, count: u64) -> Result<Figures> {
        let (bootstrap, count_text) = (broker.address.to_string(), count.to_string());
        let told = self.tool(
            "ConsumerPerformance",
            &[
                "--bootstrap-server",
                &bootstrap,
                "--topic",
                topic,
                "--num-records",
                &count_text,
                "--timeout",
                "60000",
            ],
        )?;
        // Columns: start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s.
        let line = told.lines().rfind(|line| line.split(',').count() == 10).context("no figures")?;
        let rate = line.split(',').nth(8).context("no rate")?;
        figures(count, rate.trim().parse().context("a rate")?)
    }

    fn tool(&self, class: &str, args: &[&str]) -> Result<String> {
        let java = self.installed.java.as_ref().context("Java is not installed")?;
        let class = format!("org.apache.kafka.tools.{class}");
        let mut command = clients::stock_java_program(&class, &java.classes.join("tools"), &java.tools);
        driver::told(command.args(args), self.log)
    }
}

fn figures(count: u64, rate: f64) -> Result<Figures> {
    let mib = count as f64 * SIZE as f64 / f64::from(1 << 20);
    Ok([("mib", mib), ("mib_per_second", rate)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}
