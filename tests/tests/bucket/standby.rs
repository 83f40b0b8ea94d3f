//! Several brokers on one bucket: one leads, the others wait, and go on from it when it is gone, frozen or cut off.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseRecord, Producer};
use waybill_tests::{Server, free_port};

use crate::clients::{Acks, Raw, TOPIC, check, controller, create, idempotent, produce, read_all};
use crate::place::Place;
use crate::with_seaweed;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Starts a broker beside one that leads, and waits until it stands by.
fn stand_by(place: &Place, leader: &Server) -> Server {
    let mut standby = place.spawn(free_port().unwrap(), &[]).unwrap();
    assert!(standby.wait_for("waiting as its standby", PATIENCE).unwrap(), "{}", standby.printed());
    assert!(standby.printed().contains(&format!("process {}", leader.pid())), "{}", standby.printed());
    let (status, body) = standby.get("/readyz").unwrap();
    assert!(status == 503 && body.contains("standby: node 1"), "{status} {body}");
    assert_eq!(standby.get("/healthz").unwrap().0, 200);
    assert_eq!(standby.get("/metrics").unwrap().0, 200);
    standby
}

/// A producer that gives up on a silent broker soon.
fn both(one: &Server, two: &Server) -> String {
    format!("{},{}", one.bootstrap, two.bootstrap)
}

/// The leader is frozen for longer than anybody waits for it, and comes back when another one leads.
fn freeze_the_leader(place: &Place) {
    let mut first = place.start(free_port().unwrap(), &[]).unwrap();
    create(&first.bootstrap);
    let acks = Acks::default();
    let mut second = stand_by(place, &first);
    let producer = idempotent(&both(&first, &second), &acks);
    let raw = Raw::start(&first.bootstrap);
    let (mut sent, mut last) = (0, raw.send(&first.bootstrap, 0));
    produce(&producer, &mut sent, Duration::from_millis(400));
    first.freeze(true).unwrap();
    let began = Instant::now();
    produce(&producer, &mut sent, Duration::from_millis(200));
    assert!(second.wait_for(" ready ", PATIENCE).unwrap(), "{}", second.printed());
    println!("{place}: the standby leads {:?} after the leader froze", began.elapsed());
    assert_eq!(controller(&second.bootstrap), 2, "clients are told the new one");
    assert_eq!(raw.send(&second.bootstrap, 0), last, "a retry is known to the new leader");
    last = raw.send(&second.bootstrap, 1);
    produce(&producer, &mut sent, Duration::from_millis(200));
    first.freeze(false).unwrap();
    let began = Instant::now();
    assert!(first.wait_for("going on as the next incarnation", PATIENCE).unwrap(), "{}", first.printed());
    println!("{place}: the frozen one stops leading {:?} after it came back", began.elapsed());
    assert!(first.wait_for("waiting as its standby", PATIENCE).unwrap(), "{}", first.printed());
    let (status, body) = first.get("/readyz").unwrap();
    assert!(status == 503 && body.contains("standby: node 2"), "{status} {body}");
    produce(&producer, &mut sent, Duration::from_millis(200));
    producer.flush(Duration::from_secs(60)).unwrap();
    check(&second.bootstrap, &acks, sent);
    // And back: the one that was frozen goes on from the other.
    second.kill().unwrap();
    assert!(first.wait_for(" ready ", PATIENCE).unwrap(), "{}", first.printed());
    assert_eq!(raw.send(&first.bootstrap, 1), last, "a retry is known to it too");
    raw.check(&first.bootstrap, 2);
    check(&first.bootstrap, &acks, sent);
    println!("{place}: {sent} records acked, each exactly once where it was acked");
}

/// The leader dies; how long until the standby has acked something.
fn kill_the_leader(place: &Place) {
    let first = place.start(free_port().unwrap(), &[]).unwrap();
    create(&first.bootstrap);
    let acks = Acks::default();
    let mut second = stand_by(place, &first);
    let producer = idempotent(&both(&first, &second), &acks);
    let mut sent = 0;
    produce(&producer, &mut sent, Duration::from_millis(400));
    producer.flush(Duration::from_secs(60)).unwrap();
    produce(&producer, &mut sent, Duration::from_millis(100));
    first.kill().unwrap();
    let began = Instant::now();
    // What the dead one had answered may still be on its way.
    std::thread::sleep(Duration::from_millis(50));
    let before = acks.len();
    assert!(second.wait_for(" ready ", PATIENCE).unwrap(), "{}", second.printed());
    let leads = began.elapsed();
    while acks.len() == before {
        assert!(began.elapsed() < PATIENCE, "nothing is acked");
        produce(&producer, &mut sent, Duration::from_millis(5));
    }
    println!(
        "{place}: {before} acked before the leader died, the standby leads after {leads:?}, acks after {:?}",
        began.elapsed()
    );
    producer.flush(Duration::from_secs(60)).unwrap();
    check(&second.bootstrap, &acks, sent);
    assert!(second.stop().unwrap(), "a stop in order is a success");
}

/// A second process of the same node takes over at once: the first can not ack any more, and ends.
fn take_over(place: &Place) {
    let own = ["--node-id", "7"];
    let mut first = place.start(free_port().unwrap(), &own).unwrap();
    create(&first.bootstrap);
    let acks = Acks::default();
    let producer = idempotent(&first.bootstrap, &acks);
    let mut sent = 0;
    produce(&producer, &mut sent, Duration::from_millis(200));
    producer.flush(Duration::from_secs(60)).unwrap();
    let second = place.start(free_port().unwrap(), &own).unwrap();
    let read = check(&second.bootstrap, &acks, sent);
    producer.send(BaseRecord::<(), str>::to(TOPIC).partition(0).payload("late")).unwrap();
    let began = Instant::now();
    let ended = first.ended_within(PATIENCE).unwrap();
    println!("{place}: the first process ended {:?} after a write to it", began.elapsed());
    assert_eq!(ended, Some(false), "the first ends, and says that it did not end well");
    let other = format!("process {}", second.pid());
    assert!(first.printed().contains(&other), "it names the other: {}", first.printed());
    assert_eq!(read_all(&second.bootstrap), read, "and has acked nothing more");
}

#[test]
fn a_frozen_leader_is_followed_and_comes_back_as_a_standby() {
    freeze_the_leader(&Place::double());
}

#[test]
fn a_dead_leader_is_followed_by_its_standby() {
    kill_the_leader(&Place::double());
}

#[test]
fn the_next_process_of_a_node_takes_over_at_once() {
    take_over(&Place::double());
}

#[test]
fn a_frozen_leader_on_a_real_bucket_is_followed() {
    with_seaweed(freeze_the_leader);
}

#[test]
fn a_dead_leader_on_a_real_bucket_is_followed() {
    with_seaweed(kill_the_leader);
}

#[test]
fn the_next_process_on_a_real_bucket_takes_over() {
    with_seaweed(take_over);
}

#[test]
fn a_store_that_falls_silent_for_longer_than_it_is_waited_for_is_gone_on_with() {
    let place = Place::double();
    let mut server = place.start(free_port().unwrap(), &["--wal-timeout", "2"]).unwrap();
    create(&server.bootstrap);
    let acks = Acks::default();
    let producer = idempotent(&server.bootstrap, &acks);
    let mut sent = 0;
    produce(&producer, &mut sent, Duration::from_millis(300));
    producer.flush(Duration::from_secs(60)).unwrap();
    place.s3().be_silent(true);
    produce(&producer, &mut sent, Duration::from_millis(6_000));
    assert!(acks.len() < sent as usize, "nothing is acked that is not in the bucket");
    assert_ne!(server.get("/readyz").unwrap().0, 200);
    // What was on its way lands now.
    place.s3().be_silent(false);
    let began = Instant::now();
    assert!(server.wait_for(" ready ", PATIENCE).unwrap(), "{}", server.printed());
    println!("serving again {:?} after the store was back", began.elapsed());
    producer.flush(Duration::from_secs(60)).unwrap();
    assert!(server.is_running().unwrap());
    check(&server.bootstrap, &acks, sent);
}

#[test]
fn a_second_process_on_a_folder_is_refused_and_names_the_first() {
    let place = Place::root();
    let first = place.start(free_port().unwrap(), &[]).unwrap();
    first.freeze(true).unwrap();
    let refused = place.start(free_port().unwrap(), &[]).err().unwrap().to_string();
    first.freeze(false).unwrap();
    assert!(refused.contains(&first.pid().to_string()), "{refused}");
    assert!(first.stop().unwrap());
}
