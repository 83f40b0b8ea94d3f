//! Any bytes on the port: the process stays up, its memory bounded, other clients served.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests of real processes, in real time"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::header::encode_request_header;
use waybill_rt::{Entropy, SeededEntropy};
use waybill_tests::{Server, free_port};

/// The bound on requests is 128 MiB; with the rest of the budgets the process stays below this.
const MEMORY_BOUND: u64 = 512 << 20;

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.bootstrap).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream
}

/// Sends a frame and waits for an answer or the end of the connection. The broker may close while we write.
fn throw(server: &Server, frame: &[u8]) {
    let mut stream = connect(server);
    let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
    let _ = stream.write_all(&[&length, frame].concat());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = [0; 4096];
    while stream.read(&mut answer).is_ok_and(|count| count > 0) {}
}

fn header(key: ApiKey, version: i16) -> Vec<u8> {
    let mut writer = waybill_protocol::wire::Writer::new();
    encode_request_header(&mut writer, key, version, 7, Some("hostile")).unwrap();
    writer.into_bytes().unwrap().to_vec()
}

/// The broker still answers a well-behaved client.
fn serves(server: &Server) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &server.bootstrap).create().unwrap();
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(10)).unwrap();
    assert_eq!(metadata.brokers().len(), 1);
}

fn check(server: &mut Server, after: &str) {
    assert!(server.is_running().unwrap(), "the broker died of {after}");
    let resident = server.resident_bytes().unwrap();
    assert!(resident < MEMORY_BOUND, "{} MiB resident after {after}", resident >> 20);
    serves(server);
}

#[test]
fn hostile_bytes_harm_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), free_port().unwrap(), &[]).unwrap();
    let entropy = SeededEntropy::new(20_261_124);
    let mut thrown = 0;
    for number in -2..200i16 {
        let Ok(key) = ApiKey::try_from(number) else {
            let mut frame = number.to_be_bytes().to_vec();
            frame.extend_from_slice(&[0; 20]);
            throw(&server, &frame);
            continue;
        };
        let versions = key.valid_versions();
        for version in *versions.start()..=*versions.end() + 1 {
            let head = header(key, version);
            let mut random = vec![0; 64 + entropy.below(200) as usize];
            entropy.fill(&mut random);
            let forged: [&[u8]; 4] =
                [&random, &[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff], &[0xff; 40], &[]];
            for body in forged {
                throw(&server, &[&head, body].concat());
                thrown += 1;
            }
        }
        assert!(server.is_running().unwrap(), "the broker died of {key}");
    }
    check(&mut server, "forged bodies");
    for _ in 0..300 {
        let mut random = vec![0; entropy.below(600) as usize];
        entropy.fill(&mut random);
        let mut stream = connect(&server);
        let _ = stream.write_all(&random);
    }
    check(&mut server, "random bytes");
    println!("{thrown} forged requests");
}

#[test]
fn half_sent_frames_hold_bounded_memory_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), free_port().unwrap(), &[]).unwrap();
    // Two hundred clients announce 100 MiB each and send a little of it: 20 GiB if it were believed.
    let announced = (100u32 << 20).to_be_bytes();
    let mut stalled = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(&server);
        stream.write_all(&announced).unwrap();
        stream.write_all(&[0; 1000]).unwrap();
        stalled.push(stream);
    }
    let started = Instant::now();
    check(&mut server, "half-sent frames");
    println!("another client was served after {:?}", started.elapsed());
    drop(stalled);
    check(&mut server, "half-sent frames that were given up");
}
