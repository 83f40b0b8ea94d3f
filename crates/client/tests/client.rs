//! The client against a cluster that answers as each test says.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use fake::{FakeNet, Reply, all_versions, client, encode, framed, metadata};
use waybill_client::admin::{NewTopic, OffsetSpec, TopicPartition};
use waybill_client::{ClientError, Route};
use waybill_protocol::error_code::ErrorCode;
use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use waybill_protocol_gen::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use waybill_protocol_gen::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use waybill_protocol_gen::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use waybill_protocol_gen::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use waybill_protocol_gen::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use waybill_protocol_gen::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use waybill_protocol_gen::messages::{ListGroupsRequest, MetadataRequest, MetadataResponse};

fn offset_answer(error_code: i16, offset: i64) -> ListOffsetsResponse {
    let partition = ListOffsetsPartitionResponse { error_code, offset, ..Default::default() };
    let topic =
        ListOffsetsTopicResponse { name: "t".into(), partitions: vec![partition], ..Default::default() };
    ListOffsetsResponse { topics: vec![topic], ..Default::default() }
}

/// Answers what every broker is asked first.
fn usual(asked: &fake::Asked, known: &MetadataResponse) -> Option<Reply> {
    match asked.key {
        ApiKey::ApiVersions => Some(asked.answer(&all_versions())),
        ApiKey::Metadata => Some(asked.answer(known)),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn calls_overlap_and_each_gets_its_own_answer() {
    let net = Arc::new(FakeNet::default());
    let held = parking_lot::Mutex::new(Vec::new());
    net.broker("b1", move |asked| {
        if let Some(reply) = usual(&asked, &metadata(1, 1, 1)) {
            return reply;
        }
        // Nothing is answered before all ten have arrived; then all answers go out at once, in order.
        let mut held = held.lock();
        let group = ListedGroup { group_id: asked.correlation_id.to_string().into(), ..Default::default() };
        let body = encode(&ListGroupsResponse { groups: vec![group], ..Default::default() }, asked.version);
        held.extend(framed(asked.key, asked.version, asked.correlation_id, &body));
        let whole = asked.correlation_id == 10;
        if whole { Reply::Raw(std::mem::take(&mut *held)) } else { Reply::Never }
    });
    let client = client(&net, &["b1"]);
    let connection = client.route(Route::Any).await.unwrap();
    let calls = (0..10).map(|_| connection.send(ListGroupsRequest::default()));
    let answers = futures::future::join_all(calls).await;
    let got: Vec<_> =
        answers.into_iter().map(|answer| answer.unwrap().groups[0].group_id.to_string()).collect();
    assert_eq!(got, (1..=10).map(|id: i32| id.to_string()).collect::<Vec<_>>());
    assert_eq!(*net.connections.lock(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_knows_only_old_versions_is_asked_again() {
    let net = Arc::new(FakeNet::default());
    net.broker("b1", |asked| {
        if asked.key == ApiKey::Metadata {
            return asked.answer(&metadata(1, 1, 1));
        }
        let api = |key: ApiKey, max_version| ApiVersion {
            api_key: key.into(),
            min_version: 0,
            max_version,
            ..Default::default()
        };
        let mut answer = ApiVersionsResponse {
            api_keys: vec![api(ApiKey::ApiVersions, 2), api(ApiKey::Metadata, 5)],
            ..Default::default()
        };
        if asked.version > 2 {
            answer.error_code = ErrorCode::UnsupportedVersion.code();
            return Reply::Body(encode(&answer, 0));
        }
        asked.answer(&answer)
    });
    let client = client(&net, &["b1"]);
    let connection = client.route(Route::Any).await.unwrap();
    assert_eq!(net.count("b1 ApiVersions"), 2);
    assert_eq!(connection.negotiate::<MetadataRequest>(i16::MAX).unwrap(), 5);
    assert_eq!(connection.negotiate::<MetadataRequest>(3).unwrap(), 3);
    let error = client.list_groups().await.unwrap_err();
    assert!(matches!(
        error,
        ClientError::Decode { .. } | ClientError::Closed { .. } | ClientError::Unsupported { .. }
    ));
    let error = connection.negotiate::<ListGroupsRequest>(i16::MAX).unwrap_err();
    assert!(error.to_string().contains("it offers none"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_ends_the_connection() {
    let net = Arc::new(FakeNet::default());
    net.broker("b1", |asked| usual(&asked, &metadata(1, 1, 1)).unwrap_or(Reply::Never));
    let client = client(&net, &["b1"]);
    let connection = client.route(Route::Any).await.unwrap();
    let start = client.env().clock.monotonic();
    let error = connection.send(ListGroupsRequest::default()).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    assert_eq!((client.env().clock.monotonic() - start), Duration::from_secs(5));
    assert!(connection.is_closed());
    let error = connection.send(ListGroupsRequest::default()).await.unwrap_err();
    assert!(error.to_string().contains("timed out"), "{error}");
    client.route(Route::Any).await.unwrap();
    assert_eq!(*net.connections.lock(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_moved_leader_is_found() {
    let net = Arc::new(FakeNet::default());
    let leader = Arc::new(AtomicI32::new(1));
    for id in 1..=2 {
        let leader = Arc::clone(&leader);
        net.broker(&format!("b{id}"), move |asked| {
            if let Some(reply) = usual(&asked, &metadata(2, 1, leader.load(Ordering::SeqCst))) {
                return reply;
            }
            if id == 1 {
                leader.store(2, Ordering::SeqCst);
                return asked.answer(&offset_answer(ErrorCode::NotLeaderOrFollower.code(), -1));
            }
            asked.answer(&offset_answer(0, 42))
        });
    }
    let client = client(&net, &["b1"]);
    let found = client.list_offset(&TopicPartition::new("t", 0), OffsetSpec::Latest).await.unwrap();
    assert_eq!(found.offset, Some(42));
    let unknown = client.list_offset(&TopicPartition::new("t", 7), OffsetSpec::Latest).await.unwrap_err();
    assert_eq!(unknown.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(start_paused = true)]
async fn topics_are_made_by_the_controller() {
    let net = Arc::new(FakeNet::default());
    for id in 1..=3 {
        net.broker(&format!("b{id}"), move |asked| {
            usual(&asked, &metadata(3, 3, 1)).unwrap_or_else(|| {
                let request: waybill_protocol_gen::messages::CreateTopicsRequest = asked.read();
                let exists = request.topics[0].name.as_str() == "old";
                let topic = CreatableTopicResult {
                    name: request.topics[0].name.clone(),
                    error_code: if exists { ErrorCode::TopicAlreadyExists.code() } else { 0 },
                    error_message: exists.then(|| "Topic 'old' already exists.".into()),
                    num_partitions: request.topics[0].num_partitions,
                    ..Default::default()
                };
                asked.answer(&CreateTopicsResponse { topics: vec![topic], ..Default::default() })
            })
        });
    }
    let client = client(&net, &["b1"]);
    let new = |name: &str| NewTopic { name: name.to_owned(), partitions: Some(7), ..NewTopic::default() };
    assert_eq!(client.create_topic(&new("new"), false).await.unwrap().partitions, Some(7));
    let error = client.create_topic(&new("old"), false).await.unwrap_err();
    assert_eq!(error.to_string(), "creating topic 'old': Topic 'old' already exists. (TOPIC_ALREADY_EXISTS)");
    assert_eq!(net.count("b3 CreateTopics"), 2);
    assert_eq!(net.count("b1 CreateTopics") + net.count("b2 CreateTopics"), 0);
}

#[tokio::test(start_paused = true)]
async fn dead_bootstrap_servers_are_passed_over() {
    let net = Arc::new(FakeNet::default());
    net.broker("b1", |asked| usual(&asked, &metadata(1, 1, 1)).unwrap());
    client(&net, &["dead", "b1"]).metadata(None).await.unwrap();
    let error = client(&net, &["dead", "gone"]).metadata(None).await.unwrap_err();
    let words = error.to_string();
    assert!(words.contains("dead:9092") && words.contains("gone:9092"), "{words}");
    // Somebody who was there once is waited for.
    let client = client(&net, &["b1"]);
    client.metadata(None).await.unwrap();
    net.broker("b1", |_asked| Reply::Close);
    let start = client.env().clock.monotonic();
    client.list_groups().await.unwrap_err();
    assert!(
        (client.env().clock.monotonic() - start) > Duration::from_secs(10),
        "{:?}",
        (client.env().clock.monotonic() - start)
    );
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_loads_is_waited_for_and_a_moved_one_looked_up_again() {
    let net = Arc::new(FakeNet::default());
    let tries = Arc::new(AtomicI32::new(0));
    for id in 1..=2 {
        let tries = Arc::clone(&tries);
        net.broker(&format!("b{id}"), move |asked| {
            if let Some(reply) = usual(&asked, &metadata(2, 1, 1)) {
                return reply;
            }
            if asked.key == ApiKey::FindCoordinator {
                let moved = tries.load(Ordering::SeqCst) >= 2;
                let node_id = if moved { 2 } else { 1 };
                let found = Coordinator {
                    key: "g".into(),
                    node_id,
                    host: format!("b{node_id}").into(),
                    port: 9092,
                    ..Default::default()
                };
                return asked
                    .answer(&FindCoordinatorResponse { coordinators: vec![found], ..Default::default() });
            }
            let error_code = match tries.fetch_add(1, Ordering::SeqCst) {
                0 => ErrorCode::CoordinatorLoadInProgress.code(),
                1 => ErrorCode::NotCoordinator.code(),
                _ => 0,
            };
            let result = DeletableGroupResult { group_id: "g".into(), error_code, ..Default::default() };
            asked.answer(&DeleteGroupsResponse { results: vec![result], ..Default::default() })
        });
    }
    let client = client(&net, &["b1"]);
    client.delete_group("g").await.unwrap();
    assert_eq!((net.count("b1 DeleteGroups"), net.count("b2 DeleteGroups")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn trying_again_ends() {
    let net = Arc::new(FakeNet::default());
    net.broker("b1", |asked| {
        usual(&asked, &metadata(1, 1, 1))
            .unwrap_or_else(|| asked.answer(&offset_answer(ErrorCode::LeaderNotAvailable.code(), -1)))
    });
    let client = client(&net, &["b1"]);
    let start = client.env().clock.monotonic();
    let error = client.list_offset(&TopicPartition::new("t", 0), OffsetSpec::Earliest).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::LeaderNotAvailable));
    let (taken, tries) = ((client.env().clock.monotonic() - start), net.count("b1 ListOffsets"));
    assert!(taken > Duration::from_secs(15) && taken <= Duration::from_secs(20), "{taken:?}");
    assert!((15..=40).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_is_not_deleted_again_and_again() {
    let net = Arc::new(FakeNet::default());
    net.broker("b1", |asked| {
        usual(&asked, &metadata(1, 1, 1)).unwrap_or_else(|| {
            let error_code = ErrorCode::UnknownTopicOrPartition.code();
            let result = DeletableTopicResult { name: Some("x".into()), error_code, ..Default::default() };
            asked.answer(&DeleteTopicsResponse { responses: vec![result], ..Default::default() })
        })
    });
    let error = client(&net, &["b1"]).delete_topic("x").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(net.count("b1 DeleteTopics"), 1);
}

/// What a broken or hostile broker may send where an answer is due: an error each, no panic, no endless wait.
#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_answer() {
    let wrong_id = framed(ApiKey::ListGroups, 5, 77, &encode(&ListGroupsResponse::default(), 5));
    let twice = {
        let one = framed(ApiKey::ListGroups, 5, 1, &encode(&ListGroupsResponse::default(), 5));
        [one.clone(), one].concat()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("huge", vec![0x7f, 0xff, 0xff, 0xff], "exceeds the maximum"),
        ("negative", vec![0xff; 4], "negative"),
        ("empty", vec![0; 4], "no such answer"),
        ("short", vec![0, 0, 0, 2, 1, 2], "no such answer"),
        ("wrong id", wrong_id, "answered request 77"),
        ("garbage", framed(ApiKey::ListGroups, 5, 1, &[0xff; 40]), "no such answer"),
    ];
    for (name, bytes, words) in cases {
        let net = Arc::new(FakeNet::default());
        net.broker("b1", move |asked| {
            usual(&asked, &metadata(1, 1, 1)).unwrap_or_else(|| Reply::Raw(bytes.clone()))
        });
        let client = client(&net, &["b1"]);
        let connection = client.route(Route::Any).await.unwrap();
        let error = connection.call(ListGroupsRequest::default(), 5).await.unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
        tokio::task::yield_now().await;
        assert!(connection.is_closed(), "{name}");
    }
    let net = Arc::new(FakeNet::default());
    net.broker("b1", move |asked| {
        usual(&asked, &metadata(1, 1, 1)).unwrap_or_else(|| Reply::Raw(twice.clone()))
    });
    let client = client(&net, &["b1"]);
    let connection = client.route(Route::Any).await.unwrap();
    connection.call(ListGroupsRequest::default(), 5).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(connection.is_closed(), "an answer that nobody asked for");
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_fails_everyone_who_waits() {
    let net = Arc::new(FakeNet::default());
    net.broker("b1", |asked| {
        usual(&asked, &metadata(1, 1, 1)).unwrap_or(if asked.correlation_id == 3 {
            Reply::Close
        } else {
            Reply::Never
        })
    });
    let client = client(&net, &["b1"]);
    let connection = client.route(Route::Any).await.unwrap();
    let calls = (0..5).map(|_| connection.send(ListGroupsRequest::default()));
    for answer in futures::future::join_all(calls).await {
        let error = answer.unwrap_err();
        assert!(matches!(error, ClientError::Closed { .. }), "{error}");
    }
}
