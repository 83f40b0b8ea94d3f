//! What a handler is: parse, authorise, apply, respond, for one Kafka API.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use waybill_protocol::wire::{DecodeError, Message, Reader, Writer};
use waybill_protocol_gen::header::encode_response_header;
use waybill_protocol_gen::{ApiKey, Request};
use waybill_security::{Authorized, QuotaKind, RequestContext};

use crate::broker::Broker;
use crate::net::outbox::{Hold, Pending, Reply};

/// One request: who asks, and how to answer.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asks, from where.
    pub context: RequestContext,
    /// The version of request and response.
    pub version: i16,
    /// What the response's header repeats.
    pub correlation_id: i32,
}

/// The response to a request of type `R`.
pub type ResponseOf<R> = <R as Request>::Response;

/// A handler of one API. The request reaches [`Handler::handle`] only through the gate.
pub trait Handler: 'static {
    /// What is asked.
    type Request: Request;

    /// Lets the request through the gate, or answers with the error that Kafka gives.
    ///
    /// # Errors
    /// The whole response, when the request is refused whole.
    fn authorise(
        broker: &Broker,
        call: &Call,
        request: Self::Request,
    ) -> Result<Authorized<Self::Request>, Box<ResponseOf<Self::Request>>>;

    /// Applies the request.
    fn handle(
        broker: Arc<Broker>,
        call: Call,
        request: Authorized<Self::Request>,
    ) -> impl Future<Output = ResponseOf<Self::Request>> + Send;

    /// Writes how long the client must wait into the response, where it has the field (KIP-219).
    fn throttle(response: &mut ResponseOf<Self::Request>, ms: i32);
}

/// How an API is reached.
pub struct Route {
    /// The API.
    pub key: ApiKey,
    /// Decodes and starts a request.
    pub start: fn(Arc<Broker>, Call, Reader) -> Result<Pending, DecodeError>,
}

impl Route {
    /// The route to a handler.
    pub const fn to<H: Handler>() -> Self {
        Self { key: H::Request::KEY, start: start::<H> }
    }
}

fn start<H: Handler>(broker: Arc<Broker>, call: Call, mut reader: Reader) -> Result<Pending, DecodeError> {
    let request = H::Request::decode(&mut reader, call.version)?;
    Ok(Box::pin(async move {
        let started = broker.clock.monotonic();
        let mut response = match H::authorise(&broker, &call, request) {
            Ok(authorized) => H::handle(Arc::clone(&broker), call.clone(), authorized).await,
            Err(refused) => *refused,
        };
        let spent = broker.clock.monotonic().saturating_sub(started).as_nanos();
        let spent = u64::try_from(spent).unwrap_or(u64::MAX);
        let throttle = broker.quotas.charge(&call.context, QuotaKind::RequestTime, spent);
        H::throttle(&mut response, throttle_ms(throttle));
        respond(&call, H::Request::KEY, &response, throttle)
    }))
}

/// A throttle time as responses carry it, in ms.
#[must_use]
pub fn throttle_ms(throttle: Duration) -> i32 {
    i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX)
}

/// Encodes a response with its header and length.
pub fn respond(call: &Call, key: ApiKey, response: &impl Message, throttle: Duration) -> Reply {
    let encode = || -> Result<Vec<Bytes>, waybill_protocol::wire::EncodeError> {
        let mut writer = Writer::framed();
        encode_response_header(&mut writer, key, call.version, call.correlation_id)?;
        response.encode(&mut writer, call.version)?;
        writer.into_segments()
    };
    match encode() {
        Ok(segments) => Reply::Send { segments, throttle, hold: Hold::default() },
        Err(error) => {
            tracing::error!(api = %key, version = call.version, %error, "a response can not be encoded");
            Reply::Close(error.to_string())
        }
    }
}

/// A boxed future that is ready.
pub fn ready(reply: Reply) -> BoxFuture<'static, Reply> {
    Box::pin(std::future::ready(reply))
}
