//! The client programs and how each is started.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::installs::Installed;
use crate::test::cargo::Built;

/// Log settings of the Java tools: their output is read, so a log goes to standard error and is short.
pub(crate) const LOG4J: &str = "rootLogger.level = warn\n\
    rootLogger.appenderRef.stderr.ref = STDERR\n\
    appender.stderr.type = Console\n\
    appender.stderr.name = STDERR\n\
    appender.stderr.target = SYSTEM_ERR\n\
    appender.stderr.layout.type = PatternLayout\n\
    appender.stderr.layout.pattern = [%d] %p %m (%c)%n\n";

/// One client program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// Its name for `--client`.
    pub(crate) name: &'static str,
    /// The scenarios it must tell about.
    pub(crate) scenarios: &'static [&'static str],
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Rust(&'static str),
    Python(&'static str),
    Node(&'static str),
    Go(&'static str),
    JavaClient,
    JavaTools,
}

/// What every client library is asked to do.
pub(crate) const SCENARIOS: [&str; 25] = [
    "create-topic",
    "codec-none",
    "codec-gzip",
    "codec-snappy",
    "codec-lz4",
    "codec-zstd",
    "idempotent",
    "fidelity",
    "group-consume",
    "commit-resume",
    "reset-earliest",
    "reset-latest",
    "reset-none",
    "reset-duration",
    "out-of-range",
    "offsets-for-times",
    "rebalance-range",
    "rebalance-cooperative",
    "static-membership",
    "admin-topics",
    "admin-partitions",
    "admin-configs",
    "admin-delete-records",
    "admin-groups",
    "recreate",
];

/// Kafka's own tools, in the order in which they are told about.
pub(crate) const TOOLS: [&str; 14] = [
    "kafka-topics",
    "kafka-console-producer",
    "kafka-console-consumer",
    "kafka-consumer-groups",
    "kafka-consumer-groups-reset",
    "kafka-configs",
    "kafka-get-offsets",
    "kafka-delete-records",
    "kafka-log-dirs",
    "kafka-broker-api-versions",
    "kafka-verifiable-producer",
    "kafka-verifiable-consumer",
    "offsets-message-formatter",
    "group-metadata-formatter",
];

/// All programs; the slow ones first, so that none runs alone at the end.
pub(crate) const PROGRAMS: [Program; 10] = [
    Program { name: "kafka-tools", scenarios: &TOOLS, how: How::JavaTools },
    Program { name: "java", scenarios: &SCENARIOS, how: How::JavaClient },
    Program { name: "kafka-python", scenarios: &SCENARIOS, how: How::Python("kafka_python_client.py") },
    Program { name: "confluent-python", scenarios: &SCENARIOS, how: How::Python("confluent_client.py") },
    Program { name: "rdkafka", scenarios: &SCENARIOS, how: How::Rust("rdkafka-client") },
    Program { name: "kafkajs", scenarios: &SCENARIOS, how: How::Node("kafkajs_client.mjs") },
    Program { name: "platformatic", scenarios: &SCENARIOS, how: How::Node("platformatic_client.mjs") },
    Program { name: "aiokafka", scenarios: &SCENARIOS, how: How::Python("aiokafka_client.py") },
    Program { name: "sarama", scenarios: &SCENARIOS, how: How::Go("sarama") },
    Program { name: "franz-go", scenarios: &SCENARIOS, how: How::Go("franz") },
];

impl Program {
    /// The command without the contract's arguments; `None` where its runtime is not on this machine.
    ///
    /// # Errors
    /// When a program of this workspace was not built.
    pub(crate) fn command(
        &self,
        built: &Built,
        installed: &Installed,
        sources: &Path,
    ) -> Result<Option<Command>> {
        let command = match self.how {
            How::Rust(name) => {
                let path =
                    built.programs.get(name).with_context(|| format!("the program {name} is not built"))?;
                Some(Command::new(path))
            }
            How::Python(name) => installed.python.as_ref().map(|python| {
                let mut command = Command::new(python);
                command.arg("-B").arg(sources.join("python").join(name));
                command
            }),
            How::Node(name) => installed.node.as_ref().map(|programs| {
                let mut command = Command::new("node");
                command.arg(programs.join(name));
                command
            }),
            How::Go(name) => installed.go.as_ref().map(|programs| Command::new(programs.join(name))),
            How::JavaClient => installed
                .java
                .as_ref()
                .map(|found| java("JavaClient", &found.classes.join("client"), &found.client)),
            How::JavaTools => installed
                .java
                .as_ref()
                .map(|found| java("KafkaTools", &found.classes.join("tools"), &found.tools)),
        };
        Ok(command)
    }
}

/// A short-lived Java program: the quick compiler alone, and a log to standard error.
pub(crate) fn java(class: &str, classes: &Path, jars: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-XX:TieredStopAtLevel=1");
    with_classes(command, class, classes, jars)
}

/// A Java program that is measured: as Kafka's own scripts start it, all compilers at work.
pub(crate) fn stock_java(class: &str, classes: &Path, jars: &Path) -> Command {
    with_classes(Command::new("java"), class, classes, jars)
}

fn with_classes(mut command: Command, class: &str, classes: &Path, jars: &Path) -> Command {
    command.arg("-Xmx512m");
    command.arg(format!("-Dlog4j2.configurationFile={}", classes.join("log4j2.properties").display()));
    command.arg("-cp").arg(format!("{}:{}/*", classes.display(), jars.display())).arg(class);
    command
}
