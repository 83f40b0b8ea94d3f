//! One connection.
//!
//! Two tasks live as long as the [`Connection`]: the writer takes requests from a bounded queue, notes whom each
//! answer is for, and writes; the reader reads frames and hands them out in the order of those notes, which is the
//! order that Kafka promises. When either ends, the socket is closed, every waiting caller gets an error, and the
//! connection is of no further use.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use waybill_protocol::error_code::ErrorCode;
use waybill_protocol::framing::{FrameError, take_frame};
use waybill_protocol::wire::{DecodeError, EncodeError, Message, Reader, Writer};
use waybill_protocol_gen::header::encode_request_header;
use waybill_protocol_gen::messages::{ApiVersionsRequest, ApiVersionsResponse, ResponseHeader};
use waybill_protocol_gen::{ApiKey, Request};
use waybill_rt::Stream;

use crate::config::{ClientConfig, Endpoint, Env};
use crate::error::{ApiError, ClientError};
use crate::versions::ApiVersions;

/// The newest version of ApiVersions that is tried first. Version 5 adds a check on the broker's identity that is of
/// no use to whoever asks for it to learn that identity.
const API_VERSIONS: i16 = 4;

type Io = std::pin::Pin<Box<dyn waybill_rt::net::Duplex>>;

/// A connection to one broker.
pub struct Connection {
    endpoint: Endpoint,
    env: Env,
    config: Arc<ClientConfig>,
    requests: mpsc::Sender<Outgoing>,
    ended: Arc<OnceLock<String>>,
    versions: ApiVersions,
    tasks: [AbortHandle; 2],
}

struct Outgoing {
    key: ApiKey,
    version: i16,
    segments: Encoder,
    /// `None` for a request that is not answered.
    answer: Option<oneshot::Sender<Answer>>,
}

/// Writes a request once its correlation id is known.
type Encoder = Box<dyn FnOnce(i32) -> Result<Vec<Bytes>, EncodeError> + Send>;

/// What comes back for a request: its body behind a checked header.
type Answer = Result<Reader, Failure>;

#[derive(Debug)]
enum Failure {
    Encode(EncodeError),
    Header(DecodeError),
}

/// Who waits for the next frame.
struct Waiting {
    correlation_id: i32,
    header_version: i16,
    answer: oneshot::Sender<Answer>,
}

impl Connection {
    /// Connects and asks which versions the broker offers.
    ///
    /// # Errors
    /// [`ClientError::Connect`] when no connection is made in time, else as [`Self::call`].
    pub async fn open(
        env: &Env,
        config: &Arc<ClientConfig>,
        endpoint: Endpoint,
    ) -> Result<Self, ClientError> {
        let connecting = env.net.connect(&endpoint.host, endpoint.port);
        let stream = tokio::select! {
            stream = connecting => stream.map_err(|error| error.to_string()),
            () = env.clock.sleep(config.connect_timeout) => {
                Err(format!("no connection within {} ms", config.connect_timeout.as_millis()))
            }
        };
        let stream = stream.map_err(|reason| ClientError::Connect { endpoint: endpoint.clone(), reason })?;
        let mut connection = Self::over(env, config, endpoint, stream);
        connection.versions = connection.ask_versions().await?;
        Ok(connection)
    }

    fn over(env: &Env, config: &Arc<ClientConfig>, endpoint: Endpoint, stream: Stream) -> Self {
        let (read, write) = tokio::io::split(stream.io);
        let (requests, outgoing) = mpsc::channel(config.max_in_flight);
        let (note, waiting) = mpsc::channel(config.max_in_flight);
        let ended = Arc::new(OnceLock::new());
        let (told, also_told) = (Arc::clone(&ended), Arc::clone(&ended));
        let max_response = config.max_response;
        let reader = tokio::spawn(async move {
            let reason = read_answers(read, waiting, max_response).await;
            let _ = told.set(reason);
        });
        let reading = reader.abort_handle();
        let writer = tokio::spawn(async move {
            if let Err(reason) = write_requests(write, outgoing, note).await {
                let _ = also_told.set(reason);
                reading.abort();
            }
        });
        Self {
            endpoint,
            env: env.clone(),
            config: Arc::clone(config),
            requests,
            ended,
            versions: ApiVersions::default(),
            tasks: [reader.abort_handle(), writer.abort_handle()],
        }
    }

    /// Where it leads to.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What the broker offers.
    pub const fn versions(&self) -> &ApiVersions {
        &self.versions
    }

    /// Whether it has ended; a new one is needed then.
    pub fn is_closed(&self) -> bool {
        self.ended.get().is_some() || self.requests.is_closed()
    }

    /// The newest version of `R` that both sides know and that is at most `cap`.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`].
    pub fn negotiate<R: Request>(&self, cap: i16) -> Result<i16, ClientError> {
        self.versions.best(R::KEY, cap).ok_or_else(|| ClientError::Unsupported {
            endpoint: self.endpoint.clone(),
            api: R::KEY,
            offered: self.versions.words(R::KEY),
        })
    }

    /// Sends a request in the newest common version and waits for its answer.
    ///
    /// # Errors
    /// As [`Self::negotiate`] and [`Self::call`].
    pub async fn send<R: Request>(&self, request: R) -> Result<R::Response, ClientError> {
        let version = self.negotiate::<R>(i16::MAX)?;
        self.call(request, version).await
    }

    /// Sends a request in `version` and waits for its answer. Calls overlap: each is written at once, whether or not
    /// earlier ones are answered.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`], after which the connection is closed, because what arrives late would be taken for
    /// the answer to something else's place in the row; [`ClientError::Closed`], [`ClientError::Encode`],
    /// [`ClientError::Decode`].
    pub async fn call<R: Request>(&self, request: R, version: i16) -> Result<R::Response, ClientError> {
        let (answer, coming) = oneshot::channel();
        self.enqueue(request, version, Some(answer)).await?;
        let timeout = self.config.request_timeout;
        let answered = tokio::select! {
            answered = coming => answered,
            () = self.env.clock.sleep(timeout) => {
                self.close("a request timed out");
                return Err(ClientError::TimedOut { endpoint: self.endpoint.clone(), api: R::KEY, after: timeout });
            }
        };
        let mut body = match answered {
            Ok(Ok(body)) => body,
            Ok(Err(Failure::Encode(source))) => return Err(ClientError::Encode { api: R::KEY, source }),
            Ok(Err(Failure::Header(source))) => return Err(self.undecodable::<R>(source)),
            Err(_) => return Err(self.closed(R::KEY)),
        };
        if R::KEY == ApiKey::ApiVersions && is_refused_version(&body) {
            // A broker that does not know our version answers in version 0 (KIP-511).
            return R::Response::decode(&mut body, 0).map_err(|source| self.undecodable::<R>(source));
        }
        R::Response::decode(&mut body, version).map_err(|source| self.undecodable::<R>(source))
    }

    /// Sends a request that the broker does not answer (Produce with acks=0).
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the connection has ended.
    pub async fn call_unanswered<R: Request>(&self, request: R, version: i16) -> Result<(), ClientError> {
        self.enqueue(request, version, None).await
    }

    async fn enqueue<R: Request>(
        &self,
        request: R,
        version: i16,
        answer: Option<oneshot::Sender<Answer>>,
    ) -> Result<(), ClientError> {
        let client_id = self.config.client_id.clone();
        let segments: Encoder = Box::new(move |correlation_id| {
            let mut writer = Writer::framed();
            encode_request_header(&mut writer, R::KEY, version, correlation_id, Some(&client_id))?;
            request.encode(&mut writer, version)?;
            writer.into_segments()
        });
        let outgoing = Outgoing { key: R::KEY, version, segments, answer };
        self.requests.send(outgoing).await.map_err(|_| self.closed(R::KEY))
    }

    async fn ask_versions(&self) -> Result<ApiVersions, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: "waybill".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..ApiVersionsRequest::default()
        };
        let mut response: ApiVersionsResponse = self.call(request, API_VERSIONS).await?;
        if response.error_code == ErrorCode::UnsupportedVersion.code() {
            let theirs = ApiVersions::from_response(&response);
            let version = theirs.best(ApiKey::ApiVersions, 2).unwrap_or(0);
            response = self.call(ApiVersionsRequest::default(), version).await?;
        }
        ApiError::check(response.error_code, None).map_err(|error| {
            ClientError::refused(format!("asking {} for its versions", self.endpoint), error)
        })?;
        Ok(ApiVersions::from_response(&response))
    }

    fn close(&self, reason: &str) {
        let _ = self.ended.set(reason.to_owned());
        for task in &self.tasks {
            task.abort();
        }
    }

    fn closed(&self, api: ApiKey) -> ClientError {
        let reason = self.ended.get().cloned().unwrap_or_else(|| "closed".to_owned());
        ClientError::Closed { endpoint: self.endpoint.clone(), api, reason }
    }

    fn undecodable<R: Request>(&self, source: DecodeError) -> ClientError {
        self.close("an answer could not be read");
        ClientError::Decode { endpoint: self.endpoint.clone(), api: R::KEY, source }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close("dropped");
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.endpoint)
    }
}

/// Whether an ApiVersions body begins with UNSUPPORTED_VERSION.
fn is_refused_version(body: &Reader) -> bool {
    body.clone().i16("error_code").is_ok_and(|code| code == ErrorCode::UnsupportedVersion.code())
}

/// Writes requests until there are no more.
async fn write_requests(
    mut write: WriteHalf<Io>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    note: mpsc::Sender<Waiting>,
) -> Result<(), String> {
    let mut correlation_id = 0i32;
    while let Some(request) = outgoing.recv().await {
        let segments = match (request.segments)(correlation_id) {
            Ok(segments) => segments,
            Err(error) => {
                if let Some(answer) = request.answer {
                    let _ = answer.send(Err(Failure::Encode(error)));
                }
                continue;
            }
        };
        if let Some(answer) = request.answer {
            let header_version = request.key.response_header_version(request.version);
            let waiting = Waiting { correlation_id, header_version, answer };
            note.send(waiting).await.map_err(|_| "reading has ended".to_owned())?;
        }
        for segment in segments {
            write.write_all(&segment).await.map_err(|error| error.to_string())?;
        }
        write.flush().await.map_err(|error| error.to_string())?;
        correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
    }
    Ok(())
}

/// Reads answers until the connection ends, and says why it did.
async fn read_answers(mut read: ReadHalf<Io>, mut waiting: mpsc::Receiver<Waiting>, limit: usize) -> String {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        match take_frame(&mut buffer, limit) {
            Ok(Some(frame)) => match hand_out(frame.freeze(), &mut waiting) {
                Ok(()) => continue,
                Err(reason) => return reason,
            },
            Ok(None) => {}
            Err(error) => return frame_reason(error),
        }
        match read.read_buf(&mut buffer).await {
            Ok(0) => return "the broker closed it".to_owned(),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

fn frame_reason(error: FrameError) -> String {
    format!("the broker sent a bad frame: {error}")
}

/// Gives a frame to whom it is for. The note was written before the request, so it is always there.
fn hand_out(frame: Bytes, waiting: &mut mpsc::Receiver<Waiting>) -> Result<(), String> {
    let Ok(next) = waiting.try_recv() else {
        return Err("the broker sent an answer that nobody asked for".to_owned());
    };
    let mut reader = Reader::new(frame);
    match ResponseHeader::decode(&mut reader, next.header_version) {
        Ok(header) if header.correlation_id != next.correlation_id => Err(format!(
            "the broker answered request {} where {} was due",
            header.correlation_id, next.correlation_id
        )),
        Ok(_) => {
            let _ = next.answer.send(Ok(reader));
            Ok(())
        }
        Err(error) => {
            let reason = format!("the broker sent a bad header: {error}");
            let _ = next.answer.send(Err(Failure::Header(error)));
            Err(reason)
        }
    }
}
