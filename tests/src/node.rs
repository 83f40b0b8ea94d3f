//! A node within the test's process, on the machine's own disk and network.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result};
use waybill_broker::{BrokerConfig, ListenerSpec, LocalNode, LocalOptions, Machine};
use waybill_types::BrokerId;

/// The defaults of a node with its storage in `root`, a listener on a free port of loopback, and topics of `partitions`
/// partitions.
///
/// # Errors
/// None in practice: the settings are valid.
pub fn node_options(root: &Path, partitions: usize) -> Result<LocalOptions> {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = ListenerSpec { name: "PLAINTEXT".into(), addr };
    let settings = BTreeMap::from([("num.partitions".to_owned(), partitions.to_string())]);
    let broker = BrokerConfig::new(BrokerId(1), vec![listener], Vec::new(), settings, String::new())?;
    Ok(LocalOptions::new(broker, root.to_owned()))
}

/// Starts a node; gives it and where clients connect.
///
/// # Errors
/// When it does not start.
pub async fn start_node(options: LocalOptions, machine: Machine) -> Result<(LocalNode, String)> {
    let node = LocalNode::start(options, machine).await?;
    let endpoint = node.broker.endpoints.first().context("a node listens somewhere")?;
    let bootstrap = format!("{}:{}", endpoint.host, endpoint.port);
    Ok((node, bootstrap))
}
