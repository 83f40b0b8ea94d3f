//! A coordinator with a clock and a log, asked one thing at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId};

use crate::answer::{CommitAnswer, JoinAnswer, Refusal, SyncAnswer};
use crate::request::*;
use crate::{Coordinator, GroupConfig, Now, Parked, Record, RequestId, Step};

pub(crate) const GROUP: &str = "g";

pub(crate) struct World {
    pub(crate) coordinator: Coordinator,
    pub(crate) config: Arc<GroupConfig>,
    pub(crate) log: Vec<Record>,
    pub(crate) at: Duration,
    requests: u64,
    answers: BTreeMap<RequestId, Parked>,
}

/// What a member is called and can do.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) old_client: bool,
}

pub(crate) fn who(member_id: &str) -> Who {
    Who {
        member_id: member_id.to_owned(),
        instance: None,
        protocols: vec![consumer_protocol("range", &["t"])],
        old_client: false,
    }
}

pub(crate) fn fixed(member_id: &str, instance: &str) -> Who {
    Who { instance: Some(instance.to_owned()), ..who(member_id) }
}

/// A subscription of version 0 to these topics.
pub(crate) fn consumer_protocol(name: &str, topics: &[&str]) -> Protocol {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    Protocol { name: name.to_owned(), metadata: Bytes::from(bytes) }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(GroupConfig::default())
    }

    pub(crate) fn with(config: GroupConfig) -> Self {
        let config = Arc::new(config);
        let mut coordinator = Coordinator::new(Arc::clone(&config));
        let at = Duration::from_secs(1000);
        assert!(coordinator.loaded(now(at)).is_empty());
        Self { coordinator, config, log: Vec::new(), at, requests: 0, answers: BTreeMap::new() }
    }

    pub(crate) fn now(&self) -> Now {
        now(self.at)
    }

    pub(crate) fn take(&mut self, step: Step) {
        self.log.extend(step.records);
        for (to, answer) in step.answers {
            assert!(self.answers.insert(to, answer).is_none(), "answered twice");
        }
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// Lets time pass, firing what is due in its order.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.at + span;
        while let Some(deadline) = self.coordinator.next_deadline().filter(|deadline| *deadline <= end) {
            self.at = self.at.max(deadline);
            let step = self.coordinator.tick(now(self.at));
            self.take(step);
        }
        self.at = end;
    }

    pub(crate) fn join_request(&self, who: &Who) -> JoinRequest {
        let mut entropy = [0; 16];
        entropy[8..].copy_from_slice(&(self.requests + 1).to_be_bytes());
        JoinRequest {
            group_id: GROUP.to_owned(),
            member_id: who.member_id.clone(),
            instance_id: who.instance.clone(),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(60),
            protocol_type: "consumer".to_owned(),
            protocols: who.protocols.clone(),
            knows_member_id_required: !who.old_client,
            knows_skip_assignment: !who.old_client,
            entropy,
        }
    }

    pub(crate) fn ask_join(&mut self, request: JoinRequest) -> RequestId {
        let to = self.request();
        let step = self.coordinator.join(self.now(), request, to);
        self.take(step);
        to
    }

    pub(crate) fn join(&mut self, who: &Who) -> RequestId {
        let request = self.join_request(who);
        self.ask_join(request)
    }

    pub(crate) fn joined(&mut self, to: RequestId) -> Option<JoinAnswer> {
        match self.answers.remove(&to) {
            Some(Parked::Join(answer)) => Some(answer),
            Some(Parked::Sync(_)) => panic!("a join was answered as a sync"),
            None => None,
        }
    }

    /// Joins and takes the answer that must come at once.
    pub(crate) fn join_now(&mut self, who: &Who) -> JoinAnswer {
        let to = self.join(who);
        self.joined(to).expect("answered at once")
    }

    pub(crate) fn sync(&mut self, member_id: &str, generation: i32, assign: &[(&str, &str)]) -> RequestId {
        let to = self.request();
        let request = SyncRequest {
            group_id: GROUP.to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: assign
                .iter()
                .map(|(to, what)| ((*to).to_owned(), Bytes::copy_from_slice(what.as_bytes())))
                .collect(),
        };
        let step = self.coordinator.sync(self.now(), request, to);
        self.take(step);
        to
    }

    pub(crate) fn synced(&mut self, to: RequestId) -> Option<SyncAnswer> {
        match self.answers.remove(&to) {
            Some(Parked::Sync(answer)) => Some(answer),
            Some(Parked::Join(_)) => panic!("a sync was answered as a join"),
            None => None,
        }
    }

    pub(crate) fn beat(&mut self, member_id: &str, generation: i32) -> Result<(), Refusal> {
        let request = HeartbeatRequest {
            group_id: GROUP.to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: None,
        };
        self.coordinator.heartbeat(self.now(), &request)
    }

    pub(crate) fn leave(&mut self, member_id: &str, instance: Option<&str>) -> Option<Refusal> {
        let leaving =
            LeavingMember { member_id: member_id.to_owned(), instance_id: instance.map(str::to_owned) };
        let (left, step) = self.coordinator.leave(self.now(), GROUP, vec![leaving]);
        self.take(step);
        left.unwrap()[0].error
    }

    pub(crate) fn commit_request(&self, member_id: &str, generation: i32, offset: i64) -> CommitRequest {
        CommitRequest {
            group_id: GROUP.to_owned(),
            generation,
            member_id: member_id.to_owned(),
            instance_id: None,
            retention: None,
            knows_group_id_not_found: true,
            topics: vec![CommitTopic {
                topic_id: TopicId::ZERO,
                topic: "t".to_owned(),
                partitions: vec![CommitPartition {
                    partition: PartitionId(0),
                    offset: Offset(offset),
                    leader_epoch: 3,
                    metadata: Some("m".to_owned()),
                }],
            }],
        }
    }

    pub(crate) fn ask_commit(&mut self, request: CommitRequest) -> Result<CommitAnswer, Refusal> {
        let (answer, step) = self.coordinator.commit(self.now(), request);
        self.take(step);
        answer
    }

    pub(crate) fn commit(&mut self, member_id: &str, generation: i32, offset: i64) -> Result<(), Refusal> {
        let request = self.commit_request(member_id, generation, offset);
        self.ask_commit(request).map(|_| ())
    }

    pub(crate) fn committed(&self) -> i64 {
        let topic =
            FetchTopic { topic_id: TopicId::ZERO, topic: "t".to_owned(), partitions: vec![PartitionId(0)] };
        self.coordinator.fetch(GROUP, &[topic])[0].partitions[0].offset.0
    }

    /// A stable group of `count` members, old clients for short; the first leads.
    pub(crate) fn stable(&mut self, count: usize) -> (Vec<String>, i32) {
        let newcomer = Who { old_client: true, ..who("") };
        let joins: Vec<_> = (0..count).map(|_| self.join(&newcomer)).collect();
        self.pass(Duration::from_secs(9));
        let answers: Vec<_> = joins.into_iter().map(|to| self.joined(to).expect("joined")).collect();
        let members: Vec<String> = answers.iter().map(|answer| answer.member_id.clone()).collect();
        let generation = answers[0].generation;
        let leader = answers[0].leader.clone();
        for member in &members {
            if *member != leader {
                self.sync(member, generation, &[]);
            }
        }
        let assign: Vec<(&str, &str)> = members.iter().map(|member| (member.as_str(), "a")).collect();
        let to = self.sync(&leader, generation, &assign);
        assert_eq!(self.synced(to).expect("synced").error, None);
        self.answers.clear();
        (members, generation)
    }

    /// What another coordinator makes of the log.
    pub(crate) fn replayed(&self) -> Coordinator {
        let mut other = Coordinator::new(Arc::clone(&self.config));
        for record in &self.log {
            other.replay(record.clone(), self.now().wall);
        }
        other
    }

    /// Restarts the coordinator from the log; parked requests are answered first.
    pub(crate) fn restart(&mut self) {
        let fresh = self.replayed();
        let step = std::mem::replace(&mut self.coordinator, fresh).unload();
        assert!(step.records.is_empty());
        self.take(step);
        let step = self.coordinator.loaded(self.now());
        self.take(step);
    }
}

pub(crate) fn now(at: Duration) -> Now {
    Now { wall: TimestampMs(1_700_000_000_000).plus(at), monotonic: at }
}
