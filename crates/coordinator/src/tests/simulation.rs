//! Random members, restarts and time over many generations, from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::world::*;
use crate::answer::Refusal;
use crate::{Record, RequestId};

/// What the next random byte pair makes happen.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Join,
    Sync,
    Beat,
    Leave,
    Commit,
    CommitStale,
    Change,
    /// The client starts anew and knows only its instance id.
    Crash,
    /// Everyone joins who can, and those that are told a generation sync.
    Settle,
    Pass(u16),
    Restart,
    Delete,
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed)>> {
    let deed = prop_oneof![
        6 => Just(Deed::Join),
        6 => Just(Deed::Sync),
        4 => Just(Deed::Beat),
        1 => Just(Deed::Leave),
        3 => Just(Deed::Commit),
        2 => Just(Deed::CommitStale),
        1 => Just(Deed::Change),
        1 => Just(Deed::Crash),
        2 => Just(Deed::Settle),
        5 => (1u16..12_000).prop_map(Deed::Pass),
        1 => Just(Deed::Restart),
        1 => Just(Deed::Delete),
    ];
    prop::collection::vec((0usize..6, deed), 1..160)
}

/// A client as it sees itself.
#[derive(Debug, Clone)]
struct Client {
    who: Who,
    generation: i32,
    leads: bool,
    members: Vec<String>,
    join: Option<RequestId>,
    sync: Option<RequestId>,
}

#[derive(Default)]
struct Seen {
    leaders: BTreeMap<i32, String>,
    assigned: BTreeMap<(i32, String), Vec<u8>>,
    /// Generations restart with a group that was deleted, and repeat where one was never kept.
    era: u32,
}

struct Simulation {
    world: World,
    clients: Vec<Client>,
    seen: Seen,
    offset: i64,
}

impl Simulation {
    fn new() -> Self {
        let client = |at: usize| Client {
            who: if at < 2 { fixed("", &format!("i{at}")) } else { who("") },
            generation: -1,
            leads: false,
            members: Vec::new(),
            join: None,
            sync: None,
        };
        Self { world: World::new(), clients: (0..6).map(client).collect(), seen: Seen::default(), offset: 0 }
    }

    fn act(&mut self, at: usize, deed: Deed) {
        let client = self.clients[at].clone();
        let member = client.who.member_id.clone();
        match deed {
            Deed::Join if client.join.is_none() && client.sync.is_none() => {
                self.clients[at].join = Some(self.world.join(&client.who));
            }
            Deed::Sync if client.join.is_none() && client.sync.is_none() && client.generation >= 0 => {
                let tag = format!("{}:{}:{}", self.seen.era, client.generation, member);
                let shares: Vec<_> =
                    client.members.iter().map(|id| (id.as_str(), format!("{id} by {tag}"))).collect();
                let assign: Vec<_> = shares.iter().map(|(id, what)| (*id, what.as_str())).collect();
                let assign = if client.leads { assign } else { Vec::new() };
                self.clients[at].sync = Some(self.world.sync(&member, client.generation, &assign));
            }
            Deed::Beat => {
                let _ = self.world.beat(&member, client.generation);
            }
            Deed::Leave if !member.is_empty() => {
                self.world.leave(&member, client.who.instance.as_deref());
                self.clients[at].generation = -1;
                if client.who.instance.is_none() {
                    self.clients[at].who.member_id.clear();
                }
            }
            Deed::Commit => self.commit(&member, client.generation),
            Deed::CommitStale => self.commit(&member, client.generation - 1),
            Deed::Change => {
                let topics =
                    if client.who.protocols[0].metadata.len() > 15 { &["t"][..] } else { &["t", "u"] };
                self.clients[at].who.protocols = vec![consumer_protocol("range", topics)];
            }
            Deed::Crash => {
                let client = &mut self.clients[at];
                client.who.member_id.clear();
                (client.generation, client.join, client.sync) = (-1, None, None);
            }
            Deed::Settle => self.settle(),
            Deed::Pass(ms) => self.world.pass(Duration::from_millis(u64::from(ms))),
            Deed::Restart => {
                self.world.restart();
                // A generation that was not kept may come again, with other members.
                self.forget_generations();
            }
            Deed::Delete => {
                let now = self.world.now();
                let (done, step) = self.world.coordinator.delete_group(now, GROUP);
                self.world.take(step);
                if done.is_ok() {
                    self.forget_generations();
                }
            }
            Deed::Join | Deed::Sync | Deed::Leave => {}
        }
        self.collect();
        self.check();
    }

    fn settle(&mut self) {
        for _ in 0..2 {
            (0..self.clients.len()).for_each(|at| self.act(at, Deed::Join));
        }
        self.act(0, Deed::Pass(9_500));
        (0..self.clients.len()).for_each(|at| self.act(at, Deed::Sync));
    }

    fn forget_generations(&mut self) {
        self.seen.leaders.clear();
        self.seen.assigned.clear();
        self.seen.era += 1;
    }

    fn commit(&mut self, member: &str, generation: i32) {
        self.offset += 1;
        let live = self.world.coordinator.generation_of(GROUP);
        let before = self.world.committed();
        let done = self.world.commit(member, generation, self.offset);
        if done.is_ok() && generation >= 0 {
            assert_eq!(Some(generation), live, "a commit of another generation was taken");
        }
        assert_eq!(self.world.committed(), if done.is_ok() { self.offset } else { before });
    }

    fn collect(&mut self) {
        for at in 0..self.clients.len() {
            if let Some(answer) = self.clients[at].join.and_then(|to| self.world.joined(to)) {
                let client = &mut self.clients[at];
                client.join = None;
                match answer.error {
                    None => {
                        client.who.member_id = answer.member_id.clone();
                        client.generation = answer.generation;
                        client.leads = answer.leader == answer.member_id;
                        client.members = answer.members.into_iter().map(|member| member.member_id).collect();
                        if client.leads && !answer.skip_assignment && !client.members.is_empty() {
                            self.led(answer.generation, &answer.member_id);
                        }
                    }
                    Some(Refusal::MemberIdRequired) => client.who.member_id = answer.member_id,
                    Some(Refusal::UnknownMemberId | Refusal::FencedInstanceId) => {
                        client.who.member_id.clear();
                        client.generation = -1;
                    }
                    Some(_) => {}
                }
            }
            if let Some(answer) = self.clients[at].sync.and_then(|to| self.world.synced(to)) {
                let client = &mut self.clients[at];
                client.sync = None;
                if answer.error.is_none() {
                    let key = (client.generation, client.who.member_id.clone());
                    let told = answer.assignment.to_vec();
                    let before = self.seen.assigned.entry(key).or_insert_with(|| told.clone());
                    assert_eq!(*before, told, "two assignments in one generation");
                }
            }
        }
    }

    fn led(&mut self, generation: i32, member: &str) {
        let before = self.seen.leaders.entry(generation).or_insert_with(|| member.to_owned());
        // A static leader that comes back leads on under another id.
        assert!(*before == member || before[..2] == member[..2], "two leaders: {before} and {member}");
    }

    fn check(&self) {
        let live = self.world.coordinator.settled();
        let mut replayed = self.world.replayed().settled();
        if self.world.coordinator.is_rebalancing(GROUP) {
            replayed.retain(|record| !matches!(record, Record::Group { .. }));
        }
        assert_eq!(dated(live), dated(replayed), "the log does not say what the coordinator knows");
    }
}

/// A group that only its offsets made has no record to date it.
fn dated(mut records: Vec<Record>) -> Vec<Record> {
    for record in &mut records {
        if let Record::Group { value: Some(value), .. } = record
            && value.generation == 0
        {
            value.since = None;
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn one_leader_one_assignment_no_stale_commit_and_the_log_tells_all(deeds in deeds()) {
        let mut simulation = Simulation::new();
        for (at, deed) in deeds {
            simulation.act(at, deed);
        }
    }
}
