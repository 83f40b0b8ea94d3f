//! The verbs of the project, the same for people and for CI.
//!
//! A verb is one module; each prints what it did and ends non-zero when it failed.

mod bench;
mod clients;
mod r#gen;
mod import_schema;
mod pages;
mod paths;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The verbs of the project")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Everything CI runs, with a ledger of stages and one closing line of counts
    Test(test::Options),
    /// Apache Kafka and Waybill side by side, or the visibility service; writes docs/benchmarks*.md
    Bench(bench::Options),
    /// Real clients and tools against a broker; a whole run rewrites docs/compatibility.md
    Conformance(clients::Options),
    /// Rules of the code base that no compiler checks: layering, sizes, clocks, stray words
    Tidy,
    /// Rewrite the schema facts from the message definitions inside Kafka's jars
    ImportSchema(import_schema::Args),
    /// Generate the Kafka messages from the schema facts
    Gen(r#gen::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Test(options) => test::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::Conformance(options) => clients::conformance(&options),
        Verb::Tidy => tidy::run(),
        Verb::ImportSchema(args) => import_schema::run(&args).map(|()| true),
        Verb::Gen(args) => r#gen::run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
