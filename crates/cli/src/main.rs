//! The program `waybill`: wires the crates together and owns every flag.
//!
//! - [`settings`]: the configuration file, merged under flags and environment.
//! - [`serve`]: a broker. [`visibility`]: the service that answers.
//! - [`load`], [`mapping`], [`track`]: files in, mappings tried, answers out. [`quarantine`]: what was refused. [`view`]: views built anew. [`service`]: asking for both. [`demo`]: all of it at once.
//! - [`kafka`]: what the commands that use librdkafka share.
//! - [`fsck`]: checks what a broker has left.
//! - [`topic`], [`group`]: administration over the Kafka protocol; [`admin`]: what they share.
//! - [`output`]: tables or JSON.

mod admin;
mod demo;
#[cfg(test)]
mod docs;
mod fsck;
mod group;
mod kafka;
mod load;
mod mapping;
mod outgoing;
mod output;
mod quarantine;
mod serve;
mod service;
mod settings;
mod topic;
mod track;
mod view;
mod visibility;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Kafka-compatible event backbone for supply chains.
#[derive(Debug, Parser)]
#[command(name = "waybill", version, about, arg_required_else_help = true)]
struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t, env = "WAYBILL_OUTPUT")]
    output: output::Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a broker.
    Serve(Box<serve::ServeArgs>),
    /// Runs the service that answers from topics, with its pages.
    Visibility(visibility::VisibilityArgs),
    /// Puts files into a topic.
    Load(load::LoadArgs),
    /// Tries mappings before they are deployed.
    Mapping(mapping::MappingArgs),
    /// Tells where something is, and what changed.
    Track(track::TrackArgs),
    /// Lists refused records, and repairs, maps again or discards them.
    Quarantine(quarantine::QuarantineArgs),
    /// Builds views anew beside the one that answers, compares and promotes them; keeps checkpoints.
    View(view::ViewArgs),
    /// Runs everything at once, with events of its own.
    Demo(demo::DemoArgs),
    /// Checks storage while no broker runs on it. Changes nothing.
    Fsck(fsck::FsckArgs),
    /// Administers topics.
    Topic(topic::TopicArgs),
    /// Administers consumer groups.
    Group(group::GroupArgs),
}

fn main() -> ExitCode {
    let arguments = match settings::merge(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(error) => return fail(&error),
    };
    let cli = Cli::parse_from(arguments);
    // What the demonstration prints is for a person: its log would bury that.
    let level = if matches!(cli.command, Command::Demo(_)) { "warn" } else { "info" };
    start_log(level);
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
        Command::Visibility(args) => visibility::run(args).await,
        Command::Load(args) => load::run(args, cli.output).await,
        Command::Mapping(args) => mapping::run(&args, cli.output),
        Command::Track(args) => tokio::task::spawn_blocking(move || track::run(&args, cli.output)).await?,
        Command::Quarantine(args) => {
            tokio::task::spawn_blocking(move || quarantine::run(&args, cli.output)).await?
        }
        Command::View(args) => tokio::task::spawn_blocking(move || view::run(&args, cli.output)).await?,
        Command::Demo(args) => demo::run(args).await,
        Command::Fsck(args) => fsck::run(args, cli.output).await,
        Command::Topic(args) => topic::run(args, cli.output).await,
        Command::Group(args) => group::run(args, cli.output).await,
    }
}

#[allow(clippy::print_stderr, reason = "the one place that tells a person why the program failed")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("waybill: {error:#}");
    ExitCode::FAILURE
}

/// Logs go to standard error, by `WAYBILL_LOG` (as in `info,waybill_broker=debug`), else from `level` on.
fn start_log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WAYBILL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn flags_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
