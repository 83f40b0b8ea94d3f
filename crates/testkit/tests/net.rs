//! The simulated network does what it says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waybill_rt::{Listener, SharedClock, VirtualClock};
use waybill_testkit::net::{SimNet, SimNetOptions};
use waybill_types::TimestampMs;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

fn net(seed: u64) -> (SimNet, SharedClock) {
    let clock = VirtualClock::shared(TimestampMs(0));
    let options = SimNetOptions { buffer: 1000, ..SimNetOptions::default() };
    (SimNet::new(seed, clock.clone(), options), clock)
}

async fn listen(net: &SimNet) -> Box<dyn Listener> {
    net.host(B).listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9092)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_late_in_order_and_whole() {
    let (net, clock) = net(1);
    net.name("broker", B);
    let listener = listen(&net).await;
    let echo = async {
        let mut server = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        server.io.read_to_end(&mut bytes).await.unwrap();
        server.io.write_all(&bytes).await.unwrap();
    };
    let host = net.host(A);
    let client = async {
        let mut client = host.connect("broker", 9092).await.unwrap();
        // More than the connection holds at a time.
        let sent: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
        client.io.write_all(&sent).await.unwrap();
        client.io.shutdown().await.unwrap();
        let mut back = Vec::new();
        client.io.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, sent);
    };
    tokio::join!(echo, client);
    // Connecting, and five times there and five times back at least.
    assert!(clock.monotonic() >= Duration::from_millis(12), "{:?}", clock.monotonic());
    assert!(clock.monotonic() < Duration::from_millis(100), "{:?}", clock.monotonic());
}

#[tokio::test(start_paused = true)]
async fn a_cut_holds_bytes_back_until_it_heals() {
    let (net, clock) = net(2);
    let listener = listen(&net).await;
    let host = net.host(A);
    let (client, server) = tokio::join!(host.connect("10.0.0.2", 9092), listener.accept());
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    assert_eq!(client.local, server.peer);
    net.cut(A, B);
    client.io.write_all(b"late").await.unwrap();
    server.io.write_all(b"now").await.unwrap();
    let mut three = [0; 3];
    client.io.read_exact(&mut three).await.unwrap();
    assert_eq!(&three, b"now");
    let mut four = [0; 4];
    let healing = async {
        clock.sleep(Duration::from_secs(5)).await;
        net.heal(A, B);
    };
    let (read, ()) = tokio::join!(server.io.read_exact(&mut four), healing);
    read.unwrap();
    assert_eq!(&four, b"late");
    assert!(clock.monotonic() >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_reset_breaks_connections_and_frees_the_port() {
    let (net, _) = net(3);
    let listener = listen(&net).await;
    let host = net.host(A);
    let (client, server) = tokio::join!(host.connect("10.0.0.2", 9092), listener.accept());
    let (mut client, _server) = (client.unwrap(), server.unwrap());
    assert!(net.host(B).listen(SocketAddr::new(B, 9092)).await.is_err(), "two listeners on a port");
    net.reset(B);
    assert_eq!(client.io.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(host.connect("10.0.0.2", 9092).await.is_err());
    let second = listen(&net).await;
    drop(listener);
    let (client, _) = tokio::join!(host.connect("10.0.0.2", 9092), second.accept());
    client.unwrap();
    assert!(host.connect("nowhere", 1).await.is_err());
}

#[test]
fn one_seed_gives_one_timing() {
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (net, clock) = net(seed);
            let listener = listen(&net).await;
            let host = net.host(A);
            let (client, server) = tokio::join!(host.connect("10.0.0.2", 9092), listener.accept());
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            let mut times = Vec::new();
            for _ in 0..20 {
                client.io.write_u8(1).await.unwrap();
                server.io.read_u8().await.unwrap();
                times.push(clock.monotonic());
            }
            times
        })
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
