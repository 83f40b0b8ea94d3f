//! `docs/benchmarks.md`: medians, spreads, ratios.

use std::fmt::Write as _;

use super::round::Sample;
use super::{CONTESTANTS, Options};

/// The figures that are told, in order: what, figure, unit.
const TOLD: [(&str, &str, &str); 16] = [
    ("start", "ready_seconds", "start to first ApiVersions answer, s"),
    ("idle", "memory_mib", "idle memory, MiB"),
    ("peak", "memory_mib", "peak memory of the round, MiB"),
    ("create", "usable_seconds", "topic made until every partition answers, s"),
    ("produce, librdkafka", "mib_per_second", "produce, librdkafka, MiB/s"),
    ("produce, librdkafka", "broker_cpu_per_gib", "broker CPU s per GiB in"),
    ("consume, librdkafka", "mib_per_second", "consume, librdkafka, MiB/s"),
    ("consume, librdkafka", "broker_cpu_per_gib", "broker CPU s per GiB out"),
    ("produce, perf tool", "mib_per_second", "produce, kafka-producer-perf-test, MiB/s"),
    ("produce, perf tool", "broker_cpu_per_gib", "broker CPU s per GiB in"),
    ("consume, perf tool", "mib_per_second", "consume, kafka-consumer-perf-test, MiB/s"),
    ("consume, perf tool", "broker_cpu_per_gib", "broker CPU s per GiB out"),
    ("latency", "p50_ms", "ack at 5,000 records/s, p50, ms"),
    ("latency", "p99_ms", "p99, ms"),
    ("latency", "p999_ms", "p99.9, ms"),
    ("latency", "broker_cpu_seconds", "broker CPU of the latency run, s"),
];

/// The page.
pub(crate) fn render(options: &Options, machine: &str, samples: &[Sample]) -> String {
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench kafka` ({} rounds a broker, alternating; {} MiB of 1 KiB records a rate, acks=all,\n\
         replication factor 1; brokers and clients on one machine; build profile {}). Medians with lowest and highest;\n\
         the ratio is Waybill's median to Kafka's. Kafka acks from the page cache unless it is told `flush.messages=1`;\n\
         Waybill acks after fdatasync. Raw lines: `benchmarks/kafka.jsonl`.\n\n\
         Machine: {machine}. Apache Kafka 4.4.0, tools 4.3.1.\n\n",
        options.runs, options.mib, options.profile
    );
    let others = spread(samples.iter().filter_map(|one| one.figures.get("other_cores").copied()).collect());
    let _ = writeln!(text, "Cores that everything else used meanwhile: {}.\n", told(others));
    text.push_str("| figure | partitions |");
    for contestant in CONTESTANTS {
        let _ = write!(text, " {} |", contestant.name);
    }
    text.push_str(" ratio |\n| --- | --- |");
    text.push_str(&" --- |".repeat(CONTESTANTS.len() + 1));
    text.push('\n');
    for (what, figure, title) in TOLD {
        let mut partitions: Vec<Option<u32>> =
            samples.iter().filter(|one| one.what == what).map(|one| one.partitions).collect();
        partitions.sort_unstable();
        partitions.dedup();
        for count in partitions {
            row(samples, (what, figure, title), count, &mut text);
        }
    }
    text
}

fn row(
    samples: &[Sample],
    (what, figure, title): (&str, &str, &str),
    partitions: Option<u32>,
    text: &mut String,
) {
    let of = |broker: &str| {
        let own = |one: &&Sample| one.broker == broker && one.what == what && one.partitions == partitions;
        spread(samples.iter().filter(own).filter_map(|one| one.figures.get(figure).copied()).collect())
    };
    let count = partitions.map_or_else(String::new, |count| count.to_string());
    let _ = write!(text, "| {title} | {count} |");
    for contestant in CONTESTANTS {
        let _ = write!(text, " {} |", told(of(contestant.name)));
    }
    let ratio = match (of("Waybill"), of("Kafka")) {
        (Some((_, waybill, _)), Some((_, kafka, _))) if kafka > 0.0 => format!("{:.2}", waybill / kafka),
        _ => "-".to_owned(),
    };
    let _ = writeln!(text, " {ratio} |");
}

/// Lowest, median and highest.
pub(super) fn spread(mut values: Vec<f64>) -> Option<(f64, f64, f64)> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.get(values.len() / 2).copied()?;
    Some((values.first().copied()?, middle, values.last().copied()?))
}

/// A median with its ends.
pub(super) fn told(spread: Option<(f64, f64, f64)>) -> String {
    match spread {
        Some((low, median, high)) => format!("{} ({}-{})", digits(median), digits(low), digits(high)),
        None => "-".to_owned(),
    }
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_between_its_ends() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), Some((1.0, 2.0, 3.0)));
        assert_eq!(spread(Vec::new()), None);
    }

    #[test]
    fn a_figure_that_was_not_taken_is_a_dash() {
        let mut text = String::new();
        row(&[], ("idle", "memory_mib", "idle memory, MiB"), None, &mut text);
        assert!(text.ends_with("| - | - | - | - |\n"));
    }
}
