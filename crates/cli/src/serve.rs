//! `waybill serve`: a broker, its storage in a folder or in a bucket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use waybill_broker::{BrokerConfig, Endpoint, ListenerSpec};
use waybill_store::Location;
use waybill_types::BrokerId;

mod node;
pub(crate) mod stop;
pub(crate) mod stores;

pub(crate) use node::{Node, NodeOptions};

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

    /// This broker's node id.
    #[arg(long, env = "WAYBILL_NODE_ID", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(0..))]
    node_id: i32,

    /// Where Kafka clients connect. Repeatable, with a name each. [default: 127.0.0.1:9092]
    #[arg(long, env = "WAYBILL_LISTEN", value_name = "[NAME=]ADDR", value_delimiter = ',')]
    listen: Vec<String>,

    /// What clients of a listener are told to connect to, where that is not the listening address.
    #[arg(long, env = "WAYBILL_ADVERTISE", value_name = "[NAME=]HOST:PORT", value_delimiter = ',')]
    advertise: Vec<String>,

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
        Ok(BrokerConfig::new(BrokerId(self.node_id), listeners, advertised, kafka, log_dir)?)
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

/// Runs a broker until SIGTERM or Ctrl-C. Where its log is a chain of objects that has become long, the broker is stopped
/// and started again in between.
///
/// # Errors
/// When it can not start, or a part of it fails.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let options = NodeOptions {
        broker: args.broker_config()?,
        storage: args.storage()?,
        wal_storage: args.wal_storage()?,
        wal_puts_per_second: args.wal_puts_per_second,
        http: args.http,
        page_cache: args.page_cache,
    };
    loop {
        let node = Node::start(options.clone()).await?;
        for endpoint in &node.broker.endpoints {
            tracing::info!(listener = %endpoint.listener, host = %endpoint.host, port = endpoint.port, "serving");
        }
        tracing::info!(http = %node.http, cluster = %node.broker.controller.image().cluster, "ready");
        let again = tokio::select! {
            signal = stop::signal() => {
                tracing::info!(signal = signal?, "stopping");
                false
            }
            () = node.broker.tasks.failed() => false,
            () = node.long() => {
                tracing::info!("stopping, to start again with a new chain of the write-ahead log");
                true
            }
        };
        node.stop().await?;
        if !again {
            return Ok(());
        }
    }
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
