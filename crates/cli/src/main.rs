//! The program `waybill`: wires the crates together and owns every flag.
//!
//! - [`settings`]: the configuration file, merged under flags and environment.
//! - [`serve`]: a broker.

mod serve;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Kafka-compatible event backbone for supply chains.
#[derive(Debug, Parser)]
#[command(name = "waybill", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a broker.
    Serve(Box<serve::ServeArgs>),
}

fn main() -> ExitCode {
    let arguments = match settings::merge(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(error) => return fail(&error),
    };
    let cli = Cli::parse_from(arguments);
    start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let outcome = runtime.block_on(run(cli));
    // What still runs is nobody's any more: do not wait for threads that block.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(*args).await,
    }
}

#[allow(clippy::print_stderr, reason = "the one place that tells a person why the program failed")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("waybill: {error:#}");
    ExitCode::FAILURE
}

/// Logs go to standard error, by `WAYBILL_LOG` (as in `info,waybill_broker=debug`).
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WAYBILL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
