//! A cluster that answers as a test says, over pipes in memory and in virtual time.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use waybill_client::{Client, ClientConfig, Endpoint, Env};
use waybill_protocol::framing::take_frame;
use waybill_protocol::wire::{Message, Reader, Writer};
use waybill_protocol_gen::header::{decode_request_header, encode_response_header};
use waybill_protocol_gen::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use waybill_protocol_gen::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use waybill_protocol_gen::{ApiKey, Request};
use waybill_rt::{Listener, Net, SeededEntropy, Stream, VirtualClock};
use waybill_types::TimestampMs;

/// What a broker does with a request.
pub(crate) enum Reply {
    /// Answers with this body.
    Body(Bytes),
    /// Says nothing.
    Never,
    /// Closes the connection.
    Close,
    /// Sends these bytes as they are.
    Raw(Vec<u8>),
}

/// A request as a broker sees it.
pub(crate) struct Asked {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) body: Reader,
    pub(crate) correlation_id: i32,
}

impl Asked {
    pub(crate) fn read<R: Request>(&self) -> R {
        R::decode(&mut self.body.clone(), self.version).unwrap()
    }

    pub(crate) fn answer(&self, response: &impl Message) -> Reply {
        Reply::Body(encode(response, self.version))
    }
}

pub(crate) fn encode(message: &impl Message, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).unwrap();
    writer.into_bytes().unwrap()
}

type Handler = Arc<dyn Fn(Asked) -> Reply + Send + Sync>;

/// A network with brokers at `b<id>:9092`.
#[derive(Default)]
pub(crate) struct FakeNet {
    brokers: Mutex<HashMap<String, Handler>>,
    /// Every request, as "b1 Metadata".
    pub(crate) log: Mutex<Vec<String>>,
    pub(crate) connections: Mutex<usize>,
}

impl FakeNet {
    pub(crate) fn broker(&self, host: &str, handler: impl Fn(Asked) -> Reply + Send + Sync + 'static) {
        self.brokers.lock().insert(host.to_owned(), Arc::new(handler));
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.log.lock().iter().filter(|logged| *logged == line).count()
    }
}

/// The network as the client holds it.
pub(crate) struct Handle(pub(crate) Arc<FakeNet>);

impl Net for Handle {
    fn listen(&self, _addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn connect<'a>(&'a self, host: &'a str, _port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        let found = self.0.brokers.lock().get(host).map(Arc::clone);
        let net = Arc::clone(&self.0);
        let host = host.to_owned();
        Box::pin(async move {
            let Some(handler) = found else { return Err(io::ErrorKind::ConnectionRefused.into()) };
            *net.connections.lock() += 1;
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(serve(net, host, theirs, handler));
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 9092));
            Ok(Stream { io: Box::pin(ours), peer: nowhere, local: nowhere })
        })
    }
}

async fn serve(net: Arc<FakeNet>, host: String, mut io: DuplexStream, handler: Handler) {
    let mut buffer = BytesMut::new();
    loop {
        while let Some(frame) = take_frame(&mut buffer, 1 << 20).unwrap() {
            let mut reader = Reader::new(frame.freeze());
            let (key, header) = decode_request_header(&mut reader).unwrap();
            net.log.lock().push(format!("{host} {key}"));
            let (version, correlation_id) = (header.request_api_version, header.correlation_id);
            let reply = handler(Asked { key, version, body: reader, correlation_id });
            let bytes = match reply {
                Reply::Body(body) => framed(key, version, correlation_id, &body),
                Reply::Never => continue,
                Reply::Close => return,
                Reply::Raw(bytes) => bytes,
            };
            if io.write_all(&bytes).await.is_err() {
                return;
            }
        }
        match io.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

pub(crate) fn framed(key: ApiKey, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::framed();
    encode_response_header(&mut writer, key, version, correlation_id).unwrap();
    writer.raw(body);
    writer.into_bytes().unwrap().to_vec()
}

/// Every API in all its versions.
pub(crate) fn all_versions() -> ApiVersionsResponse {
    let api = |key: &ApiKey| ApiVersion {
        api_key: (*key).into(),
        min_version: *key.stable_versions().start(),
        max_version: *key.stable_versions().end(),
        ..ApiVersion::default()
    };
    ApiVersionsResponse { api_keys: ApiKey::ALL.iter().map(api).collect(), ..ApiVersionsResponse::default() }
}

/// Brokers 1 to `brokers`, the controller, and topic `t` with one partition at `leader`.
pub(crate) fn metadata(brokers: i32, controller_id: i32, leader: i32) -> MetadataResponse {
    let broker = |node_id| MetadataResponseBroker {
        node_id,
        host: format!("b{node_id}").into(),
        port: 9092,
        ..MetadataResponseBroker::default()
    };
    let partition = MetadataResponsePartition {
        partition_index: 0,
        leader_id: leader,
        ..MetadataResponsePartition::default()
    };
    let topic = MetadataResponseTopic {
        name: Some("t".into()),
        partitions: vec![partition],
        ..MetadataResponseTopic::default()
    };
    MetadataResponse {
        brokers: (1..=brokers).map(broker).collect(),
        controller_id,
        topics: vec![topic],
        ..MetadataResponse::default()
    }
}

/// A client of the network through the hosts, in a paused runtime.
pub(crate) fn client(net: &Arc<FakeNet>, hosts: &[&str]) -> Client {
    let env = Env {
        net: Arc::new(Handle(Arc::clone(net))),
        clock: VirtualClock::shared(TimestampMs(0)),
        entropy: SeededEntropy::shared(1),
    };
    let config = ClientConfig {
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(5),
        operation_timeout: Duration::from_secs(20),
        ..ClientConfig::default()
    };
    let bootstrap = hosts.iter().map(|host| Endpoint { host: (*host).to_owned(), port: 9092 }).collect();
    Client::new(env, config, bootstrap)
}
