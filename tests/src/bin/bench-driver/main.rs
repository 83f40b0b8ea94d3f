//! The benchmark's client: librdkafka, the same for every broker.
//!
//! `bench-driver create|produce|consume|latency NAME=VALUE…` does one thing and prints one JSON line; `store` runs an object
//! store until its input ends. Rates are taken from the client's own first to last ack or record; its CPU time is that of its whole life.

mod latency;
mod load;
mod store;
mod topics;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use serde_json::Value;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let verb = words.next().context("create, produce, consume, latency or store?")?;
    let mut settings = Settings::default();
    for word in words {
        let (name, value) = word.split_once('=').with_context(|| format!("{word} is not NAME=VALUE"))?;
        settings.0.insert(name.to_owned(), value.to_owned());
    }
    let mut line = match verb.as_str() {
        "create" => topics::create(&settings)?,
        "produce" => load::produce(&settings)?,
        "consume" => load::consume(&settings)?,
        "latency" => latency::run(&settings)?,
        "store" => return store::run(&settings),
        _ => bail!("no verb {verb}"),
    };
    if let Some(fields) = line.as_object_mut() {
        fields.insert("client_cpu_seconds".to_owned(), Value::from(cpu_seconds()?));
    }
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// What the command line said.
#[derive(Default)]
pub(crate) struct Settings(HashMap<String, String>);

impl Settings {
    /// A value that must be there.
    pub(crate) fn need<T: FromStr>(&self, name: &str) -> Result<T>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let value = self.0.get(name).with_context(|| format!("{name}=? is missing"))?;
        value.parse().with_context(|| format!("{name}={value}"))
    }

    /// A value that may be there.
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<Option<T>>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        if self.0.contains_key(name) { self.need(name).map(Some) } else { Ok(None) }
    }

    /// A librdkafka client of this broker, with these settings and on top of them what was said as `client.NAME=VALUE`.
    pub(crate) fn client(&self, defaults: &[(&str, &str)]) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.need::<String>("bootstrap")?);
        config.set_log_level(RDKafkaLogLevel::Error);
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.0 {
            if let Some(name) = name.strip_prefix("client.") {
                config.set(name, value);
            }
        }
        Ok(config)
    }
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("/proc/self/stat")?.1;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut next = || -> Result<f64> { ticks.next().context("/proc/self/stat")?.parse().context("ticks") };
    // The kernel counts in hundredths of a second for user space.
    Ok((next()? + next()?) / 100.0)
}
