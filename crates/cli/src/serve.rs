//! `waybill serve`: a broker, its storage in a folder or in a bucket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use waybill_broker::{BrokerConfig, Endpoint, Joining, ListenerSpec};
use waybill_control::terms::NodeChoice;
use waybill_store::Location;
use waybill_types::BrokerId;

mod node;
pub(crate) mod stop;
pub(crate) mod stores;

pub(crate) use node::{House, Node, NodeOptions};
pub(crate) use stores::WalWriting;

/// The name of a listener that was given none.
const DEFAULT_LISTENER: &str = "PLAINTEXT";

/// What `waybill serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A TOML file whose keys are these flags' names.
    #[arg(long, env = "WAYBILL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where everything is kept, unless --storage says otherwise.
    #[arg(long, env = "WAYBILL_DATA_DIR", value_name = "DIR", default_value = "./waybill-data")]
    data_dir: PathBuf,

    /// Where everything durable is kept: file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX. In a bucket nothing is kept on this machine. Default: DIR/storage of --data-dir.
    #[arg(long, env = "WAYBILL_STORAGE", value_name = "URL")]
    storage: Option<String>,

    /// Another store for the write-ahead log, as in --storage. To be given at every start, or never. Default: the bucket of --storage, or a ring of files in its folder.
    #[arg(long, env = "WAYBILL_WAL_STORAGE", value_name = "URL")]
    wal_storage: Option<String>,

    /// How many objects of the write-ahead log may be created a second while they are not full: more cost more requests and make acks earlier. [default: 12; 50 on an S3 server with a private address; as many as it takes on a file system]
    #[arg(long, env = "WAYBILL_WAL_PUTS_PER_SECOND", value_name = "N", value_parser = puts_per_second)]
    wal_puts_per_second: Option<f64>,

    /// Seconds after which an object of the log that could not be made durable ends its chain: producers wait so long at most for a store that is away, then the broker goes on with a new chain.
    #[arg(long, env = "WAYBILL_WAL_TIMEOUT", value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=300))]
    wal_timeout: u64,

    /// This broker's node id; auto takes one that nobody had. Of two processes with one id the later one takes over at once. Default: 1 in a folder, auto in a bucket.
    #[arg(long, env = "WAYBILL_NODE_ID", value_name = "N|auto")]
    node_id: Option<NodeChoice>,

    /// Where Kafka clients connect. Repeatable, with a name each. [default: 127.0.0.1:9092]
    #[arg(long, env = "WAYBILL_LISTEN", value_name = "[NAME=]ADDR", value_delimiter = ',')]
    listen: Vec<String>,

    /// What clients of a listener are told to connect to, where that is not the listening address.
    #[arg(long, env = "WAYBILL_ADVERTISE", value_name = "[NAME=]HOST:PORT", value_delimiter = ',')]
    advertise: Vec<String>,

    /// Where other brokers on the same bucket hear that this one lives: an address of this machine that they reach.
    #[arg(long, env = "WAYBILL_RPC", value_name = "ADDR", default_value = "127.0.0.1:0")]
    rpc: SocketAddr,

    /// The rack or zone of this broker.
    #[arg(long, env = "WAYBILL_RACK", value_name = "RACK")]
    rack: Option<String>,

    /// Keep segments in the operating system's page cache: for slow disks beside much free memory. Else they go around it.
    #[arg(long, env = "WAYBILL_PAGE_CACHE")]
    page_cache: bool,

    /// Where health, readiness and metrics are served.
    #[arg(long, env = "WAYBILL_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,

    /// A Kafka broker setting, as in --override log.retention.ms=1000. Repeatable.
    #[arg(long = "override", env = "WAYBILL_OVERRIDE", value_name = "KEY=VALUE", value_delimiter = ',')]
    overrides: Vec<String>,
}

impl ServeArgs {
    fn storage(&self) -> anyhow::Result<Location> {
        stores::storage(self.storage.as_deref(), &self.data_dir)
    }

    fn wal_storage(&self) -> anyhow::Result<Option<Location>> {
        stores::wal_storage(self.wal_storage.as_deref())
    }

    fn broker_config(&self) -> anyhow::Result<BrokerConfig> {
        let default = ["127.0.0.1:9092".to_owned()];
        let listen = if self.listen.is_empty() { &default[..] } else { &self.listen };
        let listeners = listen.iter().map(|text| listener(text)).collect::<anyhow::Result<Vec<_>>>()?;
        let advertised =
            self.advertise.iter().map(|text| endpoint(text)).collect::<anyhow::Result<Vec<_>>>()?;
        let mut kafka =
            self.overrides.iter().map(|text| setting(text)).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        if let Some(rack) = &self.rack {
            kafka.insert("broker.rack".to_owned(), rack.clone());
        }
        let log_dir = match self.storage()? {
            Location::Folder(path) => path.display().to_string(),
            bucket => bucket.to_string(),
        };
        let node = match self.node_id {
            Some(NodeChoice::Fixed(node)) => node,
            // In a bucket it is given out later.
            Some(NodeChoice::Auto) | None => BrokerId(1),
        };
        Ok(BrokerConfig::new(node, listeners, advertised, kafka, log_dir)?)
    }

    fn options(&self) -> anyhow::Result<NodeOptions> {
        let storage = self.storage()?;
        let in_folder = matches!(storage, Location::Folder(_));
        anyhow::ensure!(
            !in_folder || self.node_id != Some(NodeChoice::Auto),
            "--node-id auto: a storage in a folder has one broker; give it a number, or leave it out"
        );
        let node = self.node_id.unwrap_or(NodeChoice::Auto);
        Ok(NodeOptions {
            broker: self.broker_config()?,
            joining: Joining { node, host: stores::host(), rpc: self.rpc },
            storage,
            wal_storage: self.wal_storage()?,
            wal_writing: WalWriting {
                puts_per_second: self.wal_puts_per_second,
                timeout: Duration::from_secs(self.wal_timeout),
            },
            http: self.http,
            page_cache: self.page_cache,
        })
    }
}

fn named(text: &str) -> (Arc<str>, &str) {
    let (name, rest) = text.split_once('=').unwrap_or((DEFAULT_LISTENER, text));
    (name.into(), rest)
}

fn listener(text: &str) -> anyhow::Result<ListenerSpec> {
    let (name, addr) = named(text);
    let addr = addr.parse().with_context(|| {
        format!("--listen {text}: expected [NAME=]ADDRESS:PORT, as in 127.0.0.1:9092 or INSIDE=10.0.0.5:9092")
    })?;
    Ok(ListenerSpec { name, addr })
}

fn endpoint(text: &str) -> anyhow::Result<Endpoint> {
    let (listener, rest) = named(text);
    let parts = rest.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.filter(|(host, _)| !host.is_empty()).with_context(|| {
        format!("--advertise {text}: expected [NAME=]HOST:PORT, as in broker.example.com:9092")
    })?;
    Ok(Endpoint { listener, host: host.trim_matches(['[', ']']).to_owned(), port })
}

fn puts_per_second(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.1..=10_000.0).contains(number));
    number.ok_or_else(|| "expected a number from 0.1 to 10000".to_owned())
}

fn setting(text: &str) -> anyhow::Result<(String, String)> {
    let pair = text.split_once('=');
    let (key, value) =
        pair.with_context(|| format!("--override {text}: expected KEY=VALUE, as in log.retention.ms=1000"))?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// What ends a node.
enum End {
    Asked,
    Failed,
    /// Its chain has become long.
    Long,
}

/// Runs a broker until SIGTERM or Ctrl-C. On a bucket it waits as a standby while another one leads, and again after it was deposed;
/// where its log is a chain of objects that has become long, the broker is stopped and started again in between.
///
/// # Errors
/// When it can not start, a part of it fails, or another process runs under its node id.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let mut house = House::open(args.options()?).await?;
    loop {
        let node = tokio::select! {
            started = house.start() => started?,
            signal = stop::signal() => {
                tracing::info!(signal = signal?, "stopping");
                return house.close().await;
            }
        };
        let end = serve(&house, &node).await?;
        let ended = node.has_ended();
        if ended {
            house.show_deposed(&node);
        }
        let stopped = node.stop().await;
        match end {
            End::Asked => return house.close().await.and(stopped),
            End::Failed if !ended => return stopped,
            End::Long => stopped?,
            End::Failed => {
                let why = stopped.err().map_or_else(String::new, |error| format!("{error:#}"));
                tracing::warn!(why, "this broker does not lead any more; going on as its next incarnation");
            }
        }
        tokio::select! {
            again = house.again() => again?,
            signal = stop::signal() => {
                tracing::info!(signal = signal?, "stopping");
                return house.close().await;
            }
        }
    }
}

async fn serve(house: &House, node: &Node) -> anyhow::Result<End> {
    for endpoint in &node.broker.endpoints {
        tracing::info!(listener = %endpoint.listener, host = %endpoint.host, port = endpoint.port, "serving");
    }
    let image = node.broker.controller.image();
    tracing::info!(http = %house.http, node = image.node.get(), cluster = %image.cluster, "ready");
    Ok(tokio::select! {
        signal = stop::signal() => {
            tracing::info!(signal = signal?, "stopping");
            End::Asked
        }
        () = node.broker.tasks.failed() => End::Failed,
        () = node.long() => {
            tracing::info!("stopping, to start again with a new chain of the write-ahead log");
            End::Long
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn args(flags: &[&str]) -> ServeArgs {
        Serve::parse_from(std::iter::once(&"serve").chain(flags)).args
    }

    #[test]
    fn without_flags_it_is_a_node_on_a_local_directory() {
        let args = args(&[]);
        assert_eq!(args.storage().unwrap(), Location::Folder("./waybill-data/storage".into()));
        assert_eq!(args.wal_storage().unwrap(), None);
        let config = args.broker_config().unwrap();
        assert_eq!(config.listeners[0].addr, "127.0.0.1:9092".parse().unwrap());
        assert_eq!(config.node, BrokerId(1));
    }

    #[test]
    fn a_node_id_is_given_out_in_a_bucket_and_one_in_a_folder() {
        let node = |flags: &[&str]| args(flags).options().map(|options| options.joining.node);
        assert_eq!(node(&["--storage", "s3://bucket/one"]).unwrap(), NodeChoice::Auto);
        let fixed = node(&["--storage", "s3://bucket/one", "--node-id", "7"]).unwrap();
        assert_eq!(fixed, NodeChoice::Fixed(BrokerId(7)));
        assert!(node(&["--node-id", "auto"]).unwrap_err().to_string().contains("--node-id auto"));
    }

    #[test]
    fn listeners_are_told_apart_by_name() {
        let args = args(&["--listen", "IN=127.0.0.1:1,OUT=0.0.0.0:2", "--advertise", "OUT=[::1]:9"]);
        let config = args.broker_config().unwrap();
        assert_eq!(&*config.listeners[1].name, "OUT");
        assert_eq!(config.advertised[0].host, "::1");
    }

    #[test]
    fn what_can_not_be_is_told_with_the_flag_to_mend() {
        let told = |flags: &[&str]| {
            let args = args(flags);
            format!("{:#}", args.broker_config().unwrap_err())
        };
        assert!(told(&["--listen", "nowhere"]).contains("--listen nowhere"));
        assert!(told(&["--listen", "0.0.0.0:9092"]).contains("--advertise"));
        assert!(told(&["--override", "log.retention.ms"]).contains("KEY=VALUE"));
        assert!(told(&["--override", "log.retention.ms=soon"]).contains("log.retention.ms"));
        assert!(told(&["--storage", "http://bucket"]).contains("--storage http://bucket"));
        assert!(told(&["--storage", "file://relative"]).contains("absolute"));
        let wal = args(&["--wal-storage", "/mnt/wal"]).wal_storage().unwrap_err();
        assert!(format!("{wal:#}").contains("--wal-storage /mnt/wal"), "{wal:#}");
    }
}
