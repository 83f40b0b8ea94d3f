//! `serve` on storage that is not the machine's: the machine is lost, nothing acked is.
//!
//! The same life is lived on every kind of storage: folders elsewhere, an S3 server within this process, and a real one,
//! SeaweedFS, where its program is installed.
//!
//! - [`place`]: kinds of storage, and brokers started on them.
//! - [`standby`]: several brokers on one bucket.
//! - [`clients`]: producers that know what was acked, readers, members of a group.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests of real processes, in real time"
)]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::producer::Producer;
use waybill_tests::free_port;

use crate::clients::{Acks, Raw, check, committed, consume_some, create, idempotent, produce, resume};
use crate::place::Place;

mod clients;
mod place;
mod standby;

/// How often the machine is lost.
const ROUNDS: u64 = 3;

/// Produces, kills the broker, deletes its machine, starts another one elsewhere; several times. Then looks at everything.
fn lose_the_machine(place: &Place) {
    let port = free_port().unwrap();
    let mut server = place.start(port, &[]).unwrap();
    let bootstrap = server.bootstrap.clone();
    create(&bootstrap);
    let acks = Acks::default();
    let producer = idempotent(&bootstrap, &acks);
    let mut sent = 0;
    produce(&producer, &mut sent, Duration::from_millis(500));
    producer.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(acks.len() as u64, sent);
    let told = consume_some(&bootstrap, 100);
    let raw = Raw::start(&bootstrap);
    let mut last = raw.send(&bootstrap, 0);
    for round in 0..ROUNDS {
        produce(&producer, &mut sent, Duration::from_millis(250 + 130 * round));
        let acked = acks.len();
        server.kill().unwrap();
        let began = Instant::now();
        server = place.start(port, &[]).unwrap();
        println!("{place}, round {round}: {sent} sent, {acked} acked, up after {:?}", began.elapsed());
        assert_eq!(committed(&bootstrap), told, "what the group committed");
        let number = i32::try_from(round).unwrap();
        assert_eq!(raw.send(&bootstrap, number), last, "a retry across the loss is known, not appended");
        last = raw.send(&bootstrap, number + 1);
    }
    produce(&producer, &mut sent, Duration::from_millis(100));
    producer.flush(Duration::from_secs(60)).unwrap();
    check(&bootstrap, &acks, sent);
    raw.check(&bootstrap, ROUNDS + 1);
    resume(&bootstrap, &told, acks.len() - 100);
    assert!(server.stop().unwrap(), "a stop in order is a success");
    let server = place.start(port, &[]).unwrap();
    check(&bootstrap, &acks, sent);
    println!(
        "{place}: {sent} records acked over {ROUNDS} lost machines, each exactly once where it was acked"
    );
    drop(server);
}

/// What can not be is refused with what to do, and changes nothing.
fn refuse(place: &Place) {
    let port = free_port().unwrap();
    let server = place.start(port, &[]).unwrap();
    create(&server.bootstrap);
    let acks = Acks::default();
    let producer = idempotent(&server.bootstrap, &acks);
    let mut sent = 0;
    produce(&producer, &mut sent, Duration::from_millis(100));
    producer.flush(Duration::from_secs(60)).unwrap();
    let expect = |refused: anyhow::Result<waybill_tests::Server>, words: &[&str]| {
        let told = refused.err().unwrap().to_string();
        println!("{place}: {}", told.lines().last().unwrap_or_default());
        for word in words {
            assert!(told.contains(word), "{word}: {told}");
        }
    };
    expect(place.start_with_wrong_credentials(), &["s3://waybill/one", "credentials"]);
    expect(place.start_on("s3://nowhere/one"), &["s3://nowhere/one", place.word_for_a_missing_bucket()]);
    let elsewhere = ["--wal-storage", "s3://waybill/elsewhere"];
    expect(place.start(free_port().unwrap(), &elsewhere), &["--wal-storage", "Nothing was changed"]);
    expect(place.start(free_port().unwrap(), &["--rpc", "0.0.0.0:0"]), &["--rpc 0.0.0.0:0"]);
    // None of them has disturbed the one that runs.
    produce(&producer, &mut sent, Duration::from_millis(100));
    producer.flush(Duration::from_secs(60)).unwrap();
    check(&server.bootstrap, &acks, sent);
}

#[test]
fn a_root_elsewhere_survives_the_machine() {
    lose_the_machine(&Place::root());
}

#[test]
fn a_root_and_a_log_elsewhere_survive_the_machine() {
    let place = Place::root_and_log();
    lose_the_machine(&place);
    let without = place.start_without_log().err().unwrap().to_string();
    assert!(without.contains("is on an object store") && without.contains("--wal-storage"), "{without}");
    drop(place.start(free_port().unwrap(), &[]).unwrap());
}

#[test]
fn a_bucket_survives_the_machine() {
    lose_the_machine(&Place::double());
}

#[test]
fn what_a_bucket_can_not_be_used_for_is_said() {
    refuse(&Place::double());
}

#[test]
fn a_bucket_that_is_busy_or_away_for_seconds_is_waited_for() {
    let place = Place::double();
    let port = free_port().unwrap();
    let mut server = place.start(port, &[]).unwrap();
    create(&server.bootstrap);
    let acks = Acks::default();
    let producer = idempotent(&server.bootstrap, &acks);
    let mut sent = 0;
    // A third of all requests fails.
    place.s3().be_busy(3);
    produce(&producer, &mut sent, Duration::from_millis(1_500));
    server.kill().unwrap();
    server = place.start(port, &[]).unwrap();
    produce(&producer, &mut sent, Duration::from_millis(200));
    // Then all of them.
    place.s3().be_busy(1);
    produce(&producer, &mut sent, Duration::from_millis(1_500));
    assert!(acks.len() < sent as usize, "nothing is acked that is not in the bucket");
    place.s3().be_busy(0);
    producer.flush(Duration::from_secs(60)).unwrap();
    assert!(server.is_running().unwrap());
    check(&server.bootstrap, &acks, sent);
}

#[test]
fn a_damaged_object_is_named_and_mended_by_putting_it_back() {
    let place = Place::double();
    let port = free_port().unwrap();
    let server = place.start(port, &[]).unwrap();
    create(&server.bootstrap);
    let acks = Acks::default();
    let producer = idempotent(&server.bootstrap, &acks);
    let mut sent = 0;
    produce(&producer, &mut sent, Duration::from_millis(200));
    producer.flush(Duration::from_secs(60)).unwrap();
    server.kill().unwrap();
    let last = place.s3().keys().into_iter().rfind(|key| key.starts_with("one/wal/1/1/")).unwrap();
    let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    assert!(place.s3().tamper(&last, flip));
    let told = place.start(port, &[]).err().unwrap().to_string();
    assert!(told.contains(last.strip_prefix("one/").unwrap()), "{told}");
    assert!(place.s3().tamper(&last, flip));
    let server = place.start(port, &[]).unwrap();
    check(&server.bootstrap, &acks, sent);
}

/// Runs something on a real server, or says why not. One at a time: two servers that start at once take each other's
/// ports.
fn with_seaweed(run: impl FnOnce(&Place)) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    match Place::seaweed() {
        Some(place) => run(&place),
        None => {
            println!("skipped: no SeaweedFS (its program weed is looked for in WAYBILL_WEED and on the path)")
        }
    }
}

#[test]
fn a_real_bucket_survives_the_machine() {
    with_seaweed(lose_the_machine);
}

#[test]
fn what_a_real_bucket_can_not_be_used_for_is_said() {
    with_seaweed(refuse);
}
