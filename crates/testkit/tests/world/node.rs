//! One node of the simulated world, and clients of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use waybill_broker::local::writer_mode;
use waybill_broker::{BrokerConfig, ListenerSpec, LocalNode, LocalOptions, Machine};
use waybill_client::admin::NewTopic;
use waybill_client::{Client, ClientConfig, Endpoint, Env};
use waybill_rt::{Metrics, Running, SeededEntropy, SharedClock, Supervisor, VirtualClock};
use waybill_testkit::disk::SimDisk;
use waybill_testkit::net::{SimNet, SimNetOptions};
use waybill_types::{BrokerId, TimestampMs};
use waybill_wal::RingOptions;

use crate::producer::{PARTITIONS, TOPIC};

const BROKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const PORT: u16 = 9092;

/// A running node and its network.
pub(crate) struct World {
    pub(crate) clock: SharedClock,
    net: SimNet,
    node: LocalNode,
}

impl World {
    /// Starts a node on what a disk holds.
    pub(crate) async fn start(disk: &SimDisk, seed: u64) -> Result<Self, String> {
        let clock = VirtualClock::shared(TimestampMs(1_700_000_000_000));
        let net = SimNet::new(seed, clock.clone(), SimNetOptions::default());
        let listener = ListenerSpec { name: "PLAINTEXT".into(), addr: SocketAddr::new(BROKER, PORT) };
        let broker =
            BrokerConfig::new(BrokerId(1), vec![listener], Vec::new(), BTreeMap::new(), "sim".to_owned());
        let mut options = LocalOptions::new(broker.map_err(|e| e.to_string())?, PathBuf::from("/node"));
        options.wal.mode = writer_mode(Running::Inline);
        // Small, so that a short life goes around the ring.
        options.ring = RingOptions { files: 4, file_size: 256 << 10, ..RingOptions::default() };
        options.wal.zero_step = 64 << 10;
        options.wal.frame_headroom = 64 << 10;
        options.wal.free_min = 0;
        options.engine.flush_bytes = 128 << 10;
        let machine = Machine {
            disk: disk.shared(),
            net: net.host(BROKER),
            clock: clock.clone(),
            entropy: SeededEntropy::shared(seed),
            tasks: Supervisor::default(),
            metrics: Metrics::default(),
            running: Running::Inline,
            pid: 1,
        };
        let node = LocalNode::start(options, machine).await.map_err(|error| error.to_string())?;
        Ok(Self { clock, net, node })
    }

    /// A client on another machine.
    pub(crate) fn client(&self, seed: u64) -> Client {
        let env = Env {
            net: self.net.host(CLIENT),
            clock: self.clock.clone(),
            entropy: SeededEntropy::shared(seed),
        };
        let bootstrap = Endpoint { host: BROKER.to_string(), port: PORT };
        Client::new(env, ClientConfig::default(), vec![bootstrap])
    }

    /// Makes the topic in the first life.
    pub(crate) async fn ensure_topic(&self, client: &Client) -> Result<(), String> {
        let topic = NewTopic { name: TOPIC.to_owned(), partitions: Some(PARTITIONS), ..NewTopic::default() };
        match client.create_topic(&topic, false).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(waybill_protocol::ErrorCode::TopicAlreadyExists) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A clean stop.
    pub(crate) async fn stop(self) -> Result<(), String> {
        self.node.stop().await
    }
}
