//! Batches about chains, taken by a metadata store.

use futures::executor::block_on;
use waybill_meta::{MemoryMeta, MetaStore};

use super::*;

const FIRST: Attempt = Attempt { term: 1, number: 9 };
const SECOND: Attempt = Attempt { term: 2, number: 0 };

fn registration(incarnation: u64) -> Registration {
    Registration {
        node: BrokerId(1),
        incarnation: Incarnation(incarnation),
        wal_store: StoreId([7; 16]),
        at: TimestampMs(5),
        lead: 0,
    }
}

fn chain(meta: &MemoryMeta) -> ChainRecord {
    let found = block_on(meta.get(&keys::chain(BrokerId(1), Incarnation(1)))).unwrap().unwrap();
    ChainRecord::decode(&found).unwrap()
}

fn rules(meta: &MemoryMeta) -> ChainRules {
    ChainRules { record: chain(meta), sabotage: Sabotage::None }
}

fn node(meta: &MemoryMeta) -> Option<NodeRecord> {
    let found = block_on(meta.get(&keys::node(BrokerId(1)))).unwrap();
    found.map(|bytes| NodeRecord::decode(&bytes).unwrap())
}

fn registered() -> MemoryMeta {
    let meta = MemoryMeta::default();
    block_on(meta.commit(register(registration(1), None, None).unwrap())).unwrap();
    meta
}

#[test]
fn an_incarnation_registers_once_and_never_behind_a_newer_one() {
    let meta = registered();
    // Decided before it was registered.
    let again = register(registration(1), None, None).unwrap();
    assert!(block_on(meta.commit(again)).is_err());
    let known = node(&meta);
    let other = Registration { wal_store: StoreId([8; 16]), ..registration(2) };
    let refused = register(other, known.as_ref(), None);
    assert_eq!(refused, Err(RegisterRefusal::OtherStore(StoreId([7; 16]))));
    let ring = known.clone().map(|known| NodeRecord { wal_kind: WalKind::File, ..known });
    assert_eq!(register(registration(2), ring.as_ref(), None), Err(RegisterRefusal::OtherKind));
    block_on(meta.commit(register(registration(2), known.as_ref(), None).unwrap())).unwrap();
    // Decided on what was true before.
    assert!(block_on(meta.commit(register(registration(3), known.as_ref(), None).unwrap())).is_err());
    let (newer, first) = (node(&meta), chain(&meta));
    let refused = register(registration(1), newer.as_ref(), Some(&first));
    assert_eq!(refused, Err(RegisterRefusal::NewerIncarnation(Incarnation(2))));
}

#[test]
fn a_registration_that_nobody_was_told_of_is_restated_unless_the_chain_was_frozen() {
    let meta = registered();
    let (known, record) = (node(&meta), chain(&meta));
    let again = register(registration(1), known.as_ref(), Some(&record)).unwrap();
    assert!(again.ops.iter().all(|op| matches!(op, waybill_meta::Op::Require(..))), "it changes nothing");
    block_on(meta.commit(again.clone())).unwrap();
    block_on(meta.commit(rules(&meta).begin(FIRST).unwrap().0)).unwrap();
    assert!(block_on(meta.commit(again)).is_err());
    let refused = register(registration(1), known.as_ref(), Some(&chain(&meta)));
    assert_eq!(refused, Err(RegisterRefusal::Chain(Refusal::Recovering)));
    block_on(meta.commit(rules(&meta).close(FIRST, 4).unwrap())).unwrap();
    let refused = register(registration(1), known.as_ref(), Some(&chain(&meta)));
    assert_eq!(refused, Err(RegisterRefusal::Chain(Refusal::Closed)));
}

#[test]
fn a_recovery_freezes_the_chain_and_reads_the_trim_that_its_commit_found() {
    let meta = registered();
    let before = rules(&meta);
    block_on(meta.commit(before.index(4).unwrap())).unwrap();
    // Decided on an older trim: not taken.
    assert!(block_on(meta.commit(before.begin(FIRST).unwrap().0)).is_err());
    let now = rules(&meta);
    assert_eq!(now.index(3), Err(Refusal::TrimBack));
    let late = now.index(5).unwrap();
    let (begin, trim) = now.begin(FIRST).unwrap();
    assert_eq!(trim, 4);
    block_on(meta.commit(begin)).unwrap();
    assert!(block_on(meta.commit(late)).is_err());
    assert_eq!(rules(&meta).index(5), Err(Refusal::Recovering));
    assert!(!rules(&meta).ledger().may_delete(2, false));
}

#[test]
fn only_the_latest_attempt_closes_a_chain_and_only_once() {
    let meta = registered();
    assert_eq!(rules(&meta).close(FIRST, 9), Err(Refusal::Superseded));
    block_on(meta.commit(rules(&meta).begin(FIRST).unwrap().0)).unwrap();
    let (part, close) = (rules(&meta).part(FIRST).unwrap(), rules(&meta).close(FIRST, 9).unwrap());
    block_on(meta.commit(part.clone())).unwrap();
    assert_eq!(rules(&meta).begin(FIRST), Err(Refusal::Superseded));
    block_on(meta.commit(rules(&meta).begin(SECOND).unwrap().0)).unwrap();
    assert!(block_on(meta.commit(part)).is_err() && block_on(meta.commit(close)).is_err());
    assert_eq!(rules(&meta).part(FIRST), Err(Refusal::Superseded));
    block_on(meta.commit(rules(&meta).close(SECOND, 9).unwrap())).unwrap();
    let closed = rules(&meta);
    assert_eq!(closed.close(SECOND, 9), Err(Refusal::Closed));
    assert_eq!(closed.begin(Attempt { term: 3, number: 0 }), Err(Refusal::Closed));
    assert_eq!(closed.index(9), Err(Refusal::Closed));
    assert!(closed.ledger().may_delete(8, false) && closed.ledger().may_delete(40, false));
    assert!(!closed.ledger().may_delete(9, false) && !closed.ledger().may_delete(8, true));
}

#[test]
fn the_next_attempt_of_an_owner_is_later_than_all_before_it() {
    let meta = registered();
    for (term, expected) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
        let attempt = rules(&meta).next_attempt(term);
        assert_eq!(attempt, Attempt { term, number: expected });
        block_on(meta.commit(rules(&meta).begin(attempt).unwrap().0)).unwrap();
    }
    // An owner of an earlier term finds no attempt that counts.
    let late = rules(&meta).next_attempt(4);
    assert_eq!(rules(&meta).begin(late), Err(Refusal::Superseded));
}
