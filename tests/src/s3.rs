//! A small S3 server within the test's process: what `waybill` asks of one, kept in memory, with faults on demand.
//!
//! It stands in where no real server is installed. It does not check signatures, only who signed; it knows one bucket.
//!
//! - [`http`]: requests and answers on a connection.
//! - this file: what S3 says to them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::http::{Answer, Request};

mod http;

/// Keys of one page of a LIST.
const PAGE: usize = 100;
/// The one that may sign.
const KEY: &str = "waybill";
/// Every object's time, which nobody looks at.
const MODIFIED: &str = "Tue, 24 Nov 2026 12:00:00 GMT";

/// A running server. It answers until the process ends.
pub struct LocalS3 {
    endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    bucket: String,
    objects: Mutex<Objects>,
    faults: Faults,
}

#[derive(Default)]
struct Objects {
    by_key: BTreeMap<String, Arc<Vec<u8>>>,
    /// Uploads in parts: the upload's id to its parts.
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    next_upload: u64,
}

#[derive(Default)]
struct Faults {
    /// Of how many requests one is answered 503. 0: none.
    busy_every: AtomicU64,
    /// Each request waits so long, in milliseconds.
    delay: AtomicU64,
    /// How long requests take on top of that.
    latency: Mutex<Option<LogNormal>>,
    /// No request is looked at.
    silent: AtomicBool,
    requests: AtomicU64,
    /// Requests by kind: PUT, GET, LIST, DELETE, others.
    counts: [AtomicU64; 5],
}

impl LocalS3 {
    /// Starts a server with one bucket.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(bucket: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            bucket: bucket.to_owned(),
            objects: Mutex::default(),
            faults: Faults::default(),
        });
        let for_connections = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&for_connections);
                std::thread::spawn(move || shared.serve(&connection));
            }
        });
        Ok(Self { endpoint, shared })
    }

    /// What a client must know, signing as `key`; the one that may is `waybill`.
    pub fn variables(&self, key: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", key.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "any".to_owned()),
        ]
    }

    /// From now on one of so many requests is answered 503. 1: all. 0: none.
    pub fn be_busy(&self, every: u64) {
        self.shared.faults.busy_every.store(every, Ordering::SeqCst);
    }

    /// From now on each request waits so long before it is looked at.
    pub fn be_slow(&self, delay: Duration) {
        self.shared.faults.delay.store(delay.as_millis().try_into().unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// From now on each request takes a time drawn from a log-normal distribution with this median and 99th percentile.
    pub fn be_like(&self, median: Duration, p99: Duration) {
        let mut latency = self.shared.faults.latency.lock().unwrap_or_else(PoisonError::into_inner);
        *latency = Some(LogNormal { median, p99 });
    }

    /// From now on no request is looked at, until this is called again: then those that wait are, whoever asked.
    pub fn be_silent(&self, silent: bool) {
        self.shared.faults.silent.store(silent, Ordering::SeqCst);
    }

    /// The names of all objects, in order.
    pub fn keys(&self) -> Vec<String> {
        self.shared.lock().by_key.keys().cloned().collect()
    }

    /// Changes an object's bytes behind everybody's back. Tells whether it is there.
    pub fn tamper(&self, key: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        match self.shared.lock().by_key.get_mut(key) {
            Some(object) => {
                change(Arc::make_mut(object));
                true
            }
            None => false,
        }
    }

    /// Requests so far: PUT, GET and HEAD, LIST, DELETE, others.
    pub fn counts(&self) -> [u64; 5] {
        self.shared.faults.counts.each_ref().map(|count| count.load(Ordering::SeqCst))
    }
}

fn fault(status: u16, code: &str) -> Answer {
    Answer::new(status).xml(format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"))
}

fn etag(bytes: &[u8]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}-{}\"", hasher.finish(), bytes.len())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What stands between the tags of each element with this name.
fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0)).collect()
}

/// How long a request takes, as real stores' requests do: most alike, a few much longer.
#[derive(Clone, Copy)]
struct LogNormal {
    median: Duration,
    p99: Duration,
}

impl LogNormal {
    /// The time of the request with this number: the same at each run.
    fn sample(&self, number: u64) -> Duration {
        // Two uniform numbers by Weyl sequences, one normal number of them (Box and Muller).
        let uniform = |step: f64| (number as f64 * step + step).fract().max(1e-9);
        let (one, two) = (uniform(0.754_877_666_246_692_7), uniform(0.569_840_290_998_053_2));
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
        // The 99th percentile of a normal distribution lies 2.326 deviations above its mean.
        let deviation = (self.p99.as_secs_f64() / self.median.as_secs_f64()).ln() / 2.326_347_9;
        self.median.mul_f64((normal * deviation).exp())
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, connection: &TcpStream) {
        // Whoever closes a connection has what it wanted.
        let _ = http::serve(connection, |request| {
            let answer = self.answer(&request);
            if request.method == "HEAD" { answer.without_body() } else { answer }
        });
    }

    fn answer(&self, request: &Request) -> Answer {
        let delay = self.faults.delay.load(Ordering::SeqCst);
        if delay > 0 {
            std::thread::sleep(Duration::from_millis(delay));
        }
        while self.faults.silent.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let number = self.faults.requests.fetch_add(1, Ordering::SeqCst);
        let latency = *self.faults.latency.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(latency) = latency {
            std::thread::sleep(latency.sample(number));
        }
        let (bucket, key) = request.path.split_once('/').unwrap_or((&request.path, ""));
        let kind = match request.method.as_str() {
            "PUT" => 0,
            "GET" if key.is_empty() => 2,
            "GET" | "HEAD" => 1,
            "DELETE" => 3,
            _ => 4,
        };
        if let Some(count) = self.faults.counts.get(kind) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let every = self.faults.busy_every.load(Ordering::SeqCst);
        if every > 0 && number.is_multiple_of(every) {
            return fault(503, "SlowDown");
        }
        let signed = request.header("authorization").unwrap_or_default();
        if !signed.contains(&format!("Credential={KEY}/")) {
            return fault(403, "InvalidAccessKeyId");
        }
        if bucket != self.bucket {
            return fault(404, "NoSuchBucket");
        }
        match (request.method.as_str(), key) {
            ("GET", "") => self.list(request),
            ("POST", "") => self.delete_many(request),
            ("GET" | "HEAD", key) => self.get(request, key),
            ("DELETE", key) => {
                self.lock().by_key.remove(key);
                Answer::new(204)
            }
            ("PUT", key) if request.query("uploadId").is_some() => self.put_part(request, key),
            ("PUT", key) => self.put(request, key),
            ("POST", key) => self.upload(request, key),
            _ => fault(405, "MethodNotAllowed"),
        }
    }

    fn put(&self, request: &Request, key: &str) -> Answer {
        let mut objects = self.lock();
        let stored = objects.by_key.get(key).map(|bytes| etag(bytes));
        let wrong = request.header("if-none-match").is_some() && stored.is_some()
            || request.header("if-match").is_some_and(|wanted| stored.as_deref() != Some(wanted));
        if wrong {
            return fault(412, "PreconditionFailed");
        }
        let tag = etag(&request.body);
        objects.by_key.insert(key.to_owned(), Arc::new(request.body.clone()));
        Answer::new(200).header("ETag", tag)
    }

    fn get(&self, request: &Request, key: &str) -> Answer {
        let object = self.lock().by_key.get(key).cloned();
        let Some(bytes) = object else { return fault(404, "NoSuchKey") };
        let whole = bytes.len();
        let answer = |status| {
            Answer::new(status).header("ETag", etag(&bytes)).header("Last-Modified", MODIFIED.to_owned())
        };
        let Some(range) = request.header("range") else { return answer(200).body(bytes.to_vec()) };
        let Some((from, to)) = parse_range(range, whole) else { return fault(416, "InvalidRange") };
        let part = bytes.get(from..to).unwrap_or_default().to_vec();
        let text = format!("bytes {from}-{}/{whole}", to.saturating_sub(1));
        answer(206).header("Content-Range", text).body(part)
    }

    fn list(&self, request: &Request) -> Answer {
        let prefix = request.query("prefix").unwrap_or_default();
        let after = request.query("continuation-token").or(request.query("start-after")).unwrap_or_default();
        let delimiter = request.query("delimiter").filter(|text| !text.is_empty());
        let (mut text, mut folders, mut listed, mut last) = (String::new(), Vec::new(), 0, None);
        let objects = self.lock();
        for (key, bytes) in objects.by_key.range(prefix.to_owned()..) {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            if key.as_str() <= after {
                continue;
            }
            if let Some(folder) = delimiter.and_then(|mark| Some(rest.split_once(mark)?.0)) {
                let folder = format!("{prefix}{folder}{}", delimiter.unwrap_or_default());
                if folders.last() != Some(&folder) {
                    folders.push(folder);
                }
                continue;
            }
            if listed == PAGE {
                text.push_str(&format!(
                    "<NextContinuationToken>{}</NextContinuationToken>",
                    last.unwrap_or("")
                ));
                break;
            }
            listed += 1;
            last = Some(key.as_str());
            text.push_str(&format!(
                "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-11-24T12:00:00.000Z</LastModified><ETag>{}</ETag></Contents>",
                escape(key), bytes.len(), etag(bytes)
            ));
        }
        for folder in folders {
            text.push_str(&format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape(&folder)));
        }
        Answer::new(200).xml(format!("<ListBucketResult>{text}</ListBucketResult>"))
    }

    fn delete_many(&self, request: &Request) -> Answer {
        let text = String::from_utf8_lossy(&request.body);
        let mut objects = self.lock();
        let mut answer = String::new();
        for key in elements(&text, "Key") {
            objects.by_key.remove(key);
            answer.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
        }
        Answer::new(200).xml(format!("<DeleteResult>{answer}</DeleteResult>"))
    }

    /// The begin and the end of an upload in parts.
    fn upload(&self, request: &Request, key: &str) -> Answer {
        let mut objects = self.lock();
        let Some(id) = request.query("uploadId") else {
            objects.next_upload += 1;
            let id = format!("upload-{}", objects.next_upload);
            objects.uploads.insert(id.clone(), BTreeMap::new());
            return Answer::new(200).xml(format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ));
        };
        let Some(parts) = objects.uploads.remove(id) else { return fault(404, "NoSuchUpload") };
        let bytes: Vec<u8> = parts.into_values().flatten().collect();
        let tag = etag(&bytes);
        objects.by_key.insert(key.to_owned(), Arc::new(bytes));
        Answer::new(200)
            .xml(format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"))
    }

    fn put_part(&self, request: &Request, _key: &str) -> Answer {
        let number = request.query("partNumber").and_then(|number| number.parse().ok());
        let id = request.query("uploadId").unwrap_or_default();
        let mut objects = self.lock();
        match (objects.uploads.get_mut(id), number) {
            (Some(parts), Some(number)) => {
                parts.insert(number, request.body.clone());
                Answer::new(200).header("ETag", etag(&request.body))
            }
            _ => fault(404, "NoSuchUpload"),
        }
    }
}

/// `bytes=FROM-TO`, `bytes=FROM-` or `bytes=-LAST` as a range that lies in the object.
fn parse_range(text: &str, whole: usize) -> Option<(usize, usize)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    if from.is_empty() {
        return Some((whole.saturating_sub(to.parse().ok()?), whole));
    }
    let from = from.parse().ok()?;
    let to = if to.is_empty() { whole } else { to.parse::<usize>().ok()?.saturating_add(1).min(whole) };
    (from < whole && from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_take_as_long_as_was_asked_for() {
        let latency = LogNormal { median: Duration::from_millis(60), p99: Duration::from_millis(250) };
        let mut times: Vec<Duration> = (0..10_000).map(|number| latency.sample(number)).collect();
        times.sort_unstable();
        let at = |share: usize| times.get(share).unwrap().as_secs_f64() * 1000.0;
        assert!((at(5_000) - 60.0).abs() < 2.0, "{}", at(5_000));
        assert!((at(9_900) - 250.0).abs() < 25.0, "{}", at(9_900));
    }
}
