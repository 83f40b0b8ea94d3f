//! Against a server on loopback that answers as it is told.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use waybill_rt::{RealDisk, Running, SeededEntropy};

use super::*;
use crate::connect::{FolderSeams, connect};
use crate::disk_store::Sharing;

/// Answers in order: a status and a body. `0` closes the connection without an answer.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn say(&self, status: u16, body: &'static str) {
        self.answers.lock().push_back((status, body));
    }

    async fn serve(self, mut socket: TcpStream) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            while !bytes.windows(4).any(|at| at == b"\r\n\r\n") {
                if socket.read_buf(&mut bytes).await? == 0 {
                    return Ok(());
                }
            }
            let end = bytes.windows(4).position(|at| at == b"\r\n\r\n").unwrap() + 4;
            let head = String::from_utf8_lossy(&bytes[..end]).to_string();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                })
                .map_or(0, |length| length.trim().parse().unwrap());
            while bytes.len() < end + length {
                socket.read_buf(&mut bytes).await?;
            }
            bytes.drain(..end + length);
            self.requests.lock().push(head.clone());
            let (status, body) = self.answers.lock().pop_front().unwrap_or((200, ""));
            if status == 0 {
                return Ok(());
            }
            let content = if head.starts_with("HEAD") { "" } else { body };
            let etag = "ETag: \"1\"\r\nLast-Modified: Tue, 24 Nov 2026 11:00:00 GMT\r\n";
            let range = if status == 206 { "Content-Range: bytes 0-4/5\r\n" } else { "" };
            let answer = format!(
                "HTTP/1.1 {status} x\r\n{etag}{range}Content-Length: {}\r\n\r\n{content}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await?;
        }
    }
}

async fn server() -> (Script, crate::SharedStore) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let script = Script::default();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = script.clone();
    drop(tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(tokio::spawn(serving.clone().serve(socket)));
        }
    }));
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    let seams = FolderSeams {
        disk: RealDisk::shared(),
        entropy: SeededEntropy::shared(1),
        running: Running::Inline,
        sharing: Sharing::Alone,
    };
    (script, connect(&"s3://box/eu".parse().unwrap(), &variables, &seams).unwrap())
}

#[tokio::test]
async fn creates_are_conditional_and_tried_once() {
    let (script, store) = server().await;
    let put =
        || store.put("wal/1/2/3", vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")]);
    put().await.unwrap();
    let request = script.requests.lock().remove(0).to_ascii_lowercase();
    assert!(request.starts_with("put /box/eu/wal/1/2/3 "), "{request}");
    assert!(request.contains("if-none-match: *") && request.contains("content-length: 3"), "{request}");
    let cases = [
        (412, "", "exists"),
        (409, "<Code>ConditionalRequestConflict</Code>", "exists"),
        (429, "", "busy"),
        (500, "<Code>InternalError</Code>", "busy"),
        (503, "<Code>SlowDown</Code>", "busy"),
        (403, "<Code>InvalidAccessKeyId</Code>", "denied"),
        (401, "", "denied"),
        (404, "<Code>NoSuchBucket</Code>", "denied"),
        (400, "<Code>EntityTooLarge</Code>", "other"),
        (0, "", "other"),
    ];
    for (status, body, kind) in cases {
        script.requests.lock().clear();
        script.say(status, body);
        let error = put().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert_eq!(script.requests.lock().len(), 1, "{status} was tried again");
    }
    script.say(403, "<Code>SignatureDoesNotMatch</Code>");
    let error = put().await.unwrap_err().to_string();
    assert!(error.contains("SignatureDoesNotMatch"), "{error}");
}

#[tokio::test]
async fn reads_tell_absence_from_refusal() {
    let (script, store) = server().await;
    let get = || store.get("seg/00/1", 0..5);
    script.say(206, "hello");
    assert_eq!(get().await.unwrap(), "hello");
    let request = script.requests.lock().remove(0).to_ascii_lowercase();
    assert!(request.contains("range: bytes=0-4"), "{request}");
    for (status, body, kind) in [
        (404, "<Code>NoSuchKey</Code>", "not_found"),
        (404, "<Code>NoSuchBucket</Code>", "denied"),
        (403, "<Code>AccessDenied</Code>", "denied"),
        (503, "", "busy"),
    ] {
        script.say(status, body);
        assert_eq!(get().await.unwrap_err().kind(), kind, "{status}");
    }
    // A range behind the end: nothing is there.
    script.say(416, "<Code>InvalidRange</Code>");
    script.say(200, "hello");
    assert_eq!(store.get("seg/00/1", 7..9).await.unwrap(), "");
    script.say(404, "");
    assert_eq!(store.len("seg/00/1").await.unwrap_err().kind(), "not_found");
}

#[tokio::test]
async fn names_are_checked_and_the_prefix_is_kept_to() {
    let (script, store) = server().await;
    for name in ["", "/x", "a/../b", "a//b", "a b"] {
        assert_eq!(store.get(name, 0..1).await.unwrap_err().kind(), "other");
    }
    assert!(script.requests.lock().is_empty());
    let page = "<ListBucketResult><IsTruncated>false</IsTruncated>\
        <Contents><Key>eu/seg/3f/1</Key><Size>1</Size><LastModified>2026-11-24T11:00:00Z</LastModified></Contents>\
        <Contents><Key>eu/seg/40/2</Key><Size>1</Size><LastModified>2026-11-24T11:00:00Z</LastModified></Contents>\
        </ListBucketResult>";
    script.say(200, page);
    assert_eq!(store.list("seg/3").await.unwrap(), ["seg/3f/1"]);
    let request = script.requests.lock().remove(0);
    assert!(request.contains("prefix=eu%2Fseg%2F"), "{request}");
    script.say(403, "<Code>AccessDenied</Code>");
    assert_eq!(store.list("seg/").await.unwrap_err().kind(), "denied");
}
