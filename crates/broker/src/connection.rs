//! One client's connection: its context, and the start of each of its requests.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;
use waybill_protocol::wire::{Message, Reader};
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::header::decode_request_header;
use waybill_protocol_gen::messages::ApiVersionsRequest;
use waybill_security::{ClientSoftware, RequestContext};

use crate::broker::Broker;
use crate::handler::{Call, ready};
use crate::handlers::{api_versions, route};
use crate::net::connection::Service;
use crate::net::outbox::{Pending, Reply};
use crate::{fetch, produce};

/// A reader that refuses a frame whose fields would take more memory than a request of its size ever needs: small
/// elements grow when they are decoded, and a hostile frame holds nothing but small elements.
pub(crate) fn bounded_reader(frame: Bytes) -> Reader {
    let limit = (1 << 20) + frame.len().saturating_mul(8);
    Reader::new(frame).with_memory_limit(limit)
}

/// The service behind one connection.
pub struct Connection {
    broker: Arc<Broker>,
    context: RequestContext,
    /// Resolves when the last fetch is answered and sent.
    fetching: Option<oneshot::Receiver<()>>,
}

impl Connection {
    /// Serves `broker` to the client that `context` describes.
    pub fn new(broker: Arc<Broker>, context: RequestContext) -> Self {
        Self { broker, context, fetching: None }
    }

    fn call(&self, version: i16, correlation_id: i32, client_id: Arc<str>) -> Call {
        let received = self.broker.clock.now();
        Call {
            context: RequestContext { client_id, received, ..self.context.clone() },
            version,
            correlation_id,
        }
    }
}

impl Service for Connection {
    fn is_exclusive(&self, frame: &[u8]) -> bool {
        let key = frame.first_chunk::<2>().map(|key| i16::from_be_bytes(*key));
        key != Some(ApiKey::Produce.into()) && key != Some(ApiKey::Fetch.into())
    }

    async fn start(&mut self, frame: BytesMut) -> Pending {
        let length = frame.len();
        let frame = frame.freeze();
        let mut reader = bounded_reader(frame.clone());
        let (key, header) = match decode_request_header(&mut reader) {
            Ok(decoded) => decoded,
            Err(error) => return ready(Reply::Close(error.to_string())),
        };
        let version = header.request_api_version;
        let client_id = header.client_id.map(Into::into).unwrap_or_default();
        let call = self.call(version, header.correlation_id, client_id);
        self.broker.net_metrics.request(key, length);
        if key == ApiKey::ApiVersions {
            return self.api_versions(call, reader);
        }
        let versions = match key {
            ApiKey::Produce | ApiKey::Fetch => Some(key.stable_versions()),
            _ => route(key).map(|_| key.stable_versions()),
        };
        if !versions.is_some_and(|versions| versions.contains(&version)) {
            return ready(Reply::Close(format!("{key} v{version} is not supported")));
        }
        let body = reader.position();
        let started = match key {
            ApiKey::Produce => {
                drop(reader);
                produce::start(&self.broker, call, frame, body).await
            }
            ApiKey::Fetch => {
                fetch::start(&self.broker, call, reader).map(|fetch| self.after_the_last_fetch(fetch))
            }
            _ => match route(key) {
                Some(route) => (route.start)(Arc::clone(&self.broker), call, reader),
                None => return ready(Reply::Close(format!("{key} is not supported"))),
            },
        };
        started.unwrap_or_else(|error| ready(Reply::Close(error.to_string())))
    }
}

impl Connection {
    /// Of the fetches of one connection each begins when the one before it is sent: what a later one had read would only
    /// take memory that the earlier one may be waiting for. Kafka starts no request of a connection before the last one is
    /// answered, and its clients send one fetch at a time.
    fn after_the_last_fetch(&mut self, fetch: Pending) -> Pending {
        let (turn, next) = oneshot::channel();
        let before = self.fetching.replace(next);
        Box::pin(async move {
            if let Some(before) = before {
                // It ends with an error, because the other half is dropped, not used.
                let _ = before.await;
            }
            let mut reply = fetch.await;
            if let Reply::Send { hold, .. } = &mut reply {
                hold.turn = Some(turn);
            }
            reply
        })
    }

    /// ApiVersions answers even versions it does not know, and tells the client's software (KIP-511).
    fn api_versions(&mut self, call: Call, mut reader: Reader) -> Pending {
        if !ApiKey::ApiVersions.stable_versions().contains(&call.version) {
            return ready(api_versions::unsupported(&self.broker, call));
        }
        match ApiVersionsRequest::decode(&mut reader, call.version) {
            Ok(request) => {
                if call.version >= 3 && api_versions::is_valid(&request) {
                    self.context.software = ClientSoftware {
                        name: request.client_software_name.clone().into_arc(),
                        version: request.client_software_version.clone().into_arc(),
                    };
                }
                ready(api_versions::answer(&self.broker, &call, &request))
            }
            Err(error) => ready(Reply::Close(error.to_string())),
        }
    }
}
