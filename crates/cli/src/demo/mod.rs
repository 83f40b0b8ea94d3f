//! `waybill demo`: broker, events, visibility service and pages in one process, with nothing to set up.
//!
//! - [`generator`]: the events, from a seed.
//! - [`feed`]: from the generator or from files into topics.
//! - [`tips`]: what to try.
//!
//! Everything lies in a fresh folder that goes at the end, unless `--data-dir` names one.

mod feed;
pub(crate) mod generator;
mod tips;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio_util::sync::CancellationToken;
use waybill_broker::{BrokerConfig, Joining, ListenerSpec};
use waybill_control::terms::NodeChoice;
use waybill_rt::{Metrics, RealClock};
use waybill_store::Location;
use waybill_types::BrokerId;
use waybill_visibility::load::Format;
use waybill_visibility::{VisibilityConfig, serve};

use crate::serve::{House, Node, NodeOptions, WalWriting, stop};

/// What `waybill demo` takes.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The seed of the events: the same seed tells the same story.
    #[arg(long, env = "WAYBILL_SEED", value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Live events a second, after the past.
    #[arg(long, env = "WAYBILL_RATE", value_name = "N", default_value_t = 5.0)]
    rate: f64,

    /// Real files or folders in place of generated events. Repeatable.
    #[arg(long, value_name = "PATH")]
    input: Vec<PathBuf>,

    /// How --input is cut into records; told from the files' names where it is not given.
    #[arg(long, value_name = "F")]
    format: Option<Format>,

    /// Where everything is kept. Without it: a fresh folder, removed at the end.
    #[arg(long, env = "WAYBILL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// When a part can not start, or fails.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let fresh = match &args.data_dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("waybill-demo-").tempdir().context("making a folder")?),
    };
    let folder = args.data_dir.clone().or_else(|| fresh.as_ref().map(|fresh| fresh.path().to_owned()));
    let folder = folder.context("no folder")?;
    let clock = RealClock::shared();
    let plan = feed::plan(&args, clock.now())?;
    let (house, node) = start_node(&folder).await?;
    let bootstrap = bootstrap(&node)?;
    feed::prepare(&plan, &bootstrap).await?;
    let mut config = VisibilityConfig::new(&bootstrap, folder.join("visibility.sqlite"));
    config.http = free(8090);
    config.topics = plan.sources();
    let shutdown = CancellationToken::new();
    let visibility = serve(config, RealClock::shared(), Metrics::default(), shutdown.clone()).await?;
    let tips = tips::Tips {
        bootstrap: bootstrap.clone(),
        pages: visibility.addr,
        http: house.http,
        highlights: plan.highlights().cloned(),
        folder: args.data_dir.clone(),
    };
    let feeding = tokio::spawn(feed::run(plan, bootstrap, args.rate, shutdown.clone()));
    tips.print()?;
    let ended = tokio::select! {
        signal = stop::signal() => signal.map(|_| ()),
        ended = visibility.ended() => ended.map_err(|failure| anyhow!("the visibility service ended: {failure}")),
        () = node.broker.tasks.failed() => Ok(()),
        failed = feed::failed(feeding) => Err(failed),
    };
    shutdown.cancel();
    let stopped = visibility.ended().await.map_err(|failure| anyhow!("{failure}"));
    let node = node.stop().await.and(house.close().await);
    drop(fresh);
    ended.and(stopped).and(node)
}

async fn start_node(folder: &Path) -> anyhow::Result<(House, Node)> {
    let listener = ListenerSpec { name: "PLAINTEXT".into(), addr: free(9092) };
    let root = folder.join("storage");
    let log_dir = root.display().to_string();
    let broker = BrokerConfig::new(BrokerId(1), vec![listener], Vec::new(), Default::default(), log_dir)?;
    let options = NodeOptions {
        broker,
        joining: Joining {
            node: NodeChoice::Auto,
            host: String::new(),
            rpc: (Ipv4Addr::LOCALHOST, 0).into(),
        },
        storage: Location::Folder(root),
        wal_storage: None,
        wal_writing: WalWriting::default(),
        http: free(8080),
        page_cache: false,
    };
    let mut house = House::open(options).await?;
    let node = house.start().await?;
    Ok((house, node))
}

fn bootstrap(node: &Node) -> anyhow::Result<String> {
    let endpoint = node.broker.endpoints.first().context("the broker has no listener")?;
    Ok(format!("{}:{}", endpoint.host, endpoint.port))
}

/// The port on loopback if it is free, else one that is.
fn free(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}
