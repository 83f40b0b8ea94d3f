//! Claiming an incarnation: `control/broker/<node>/<e>` is created only if absent, before anything else is written.
//!
//! Whoever made the object is that incarnation, and nobody else ever is. Claims are never deleted.

use std::time::Duration;

use waybill_meta::Record;
use waybill_meta::codec::{Fault, FieldWriter, Fields};
use waybill_rt::{Clock, Entropy};
use waybill_store::{Created, ObjectStore, StoreError, create_certainly};
use waybill_types::{BrokerId, Incarnation, TimestampMs};

/// All claims.
const CLAIMS: &str = "control/broker/";
/// How long a claim may take.
const BUDGET: Duration = Duration::from_secs(20);

/// Who claims.
#[derive(Clone, Copy)]
pub(crate) struct Claimant<'a> {
    pub(crate) node: BrokerId,
    pub(crate) host: &'a str,
    pub(crate) pid: u32,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) entropy: &'a dyn Entropy,
}

/// Why no incarnation was claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store does not answer as it should.
    #[error("no incarnation can be claimed: {0}")]
    Store(#[from] StoreError),
    /// Another node has used this storage.
    #[error(
        "this storage belongs to node {0}, and several brokers on one storage are not built yet: start with --node-id {0}, or \
         with a new --storage"
    )]
    OtherNode(BrokerId),
}

/// What a claim's object says.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    node: BrokerId,
    incarnation: Incarnation,
    /// The machine, for humans.
    host: String,
    pid: u32,
    /// Where it answers other brokers; nowhere yet.
    address: String,
    /// Drawn for this object: no two writers have equal bytes.
    nonce: u64,
    written: TimestampMs,
}

impl Record for Holder {
    const KIND: &'static str = "holder";

    fn write(&self, out: &mut FieldWriter) {
        out.i32(1, self.node.get());
        out.u64(2, self.incarnation.get());
        out.text(3, &self.host);
        out.u32(4, self.pid);
        out.text(5, &self.address);
        out.u64(6, self.nonce);
        out.i64(7, self.written.get());
    }

    fn read(_version: u8, mut fields: Fields<'_>) -> Result<Self, Fault> {
        let (mut node, mut incarnation, mut nonce, mut pid) = (None, None, None, 0);
        let (mut host, mut address, mut written) = (String::new(), String::new(), TimestampMs::NONE);
        while let Some(field) = fields.next_field()? {
            match field.tag {
                1 => node = Some(BrokerId(field.i32()?)),
                2 => incarnation = Some(Incarnation(field.u64()?)),
                3 => field.text()?.clone_into(&mut host),
                4 => pid = u32::from_be_bytes(field.array()?),
                5 => field.text()?.clone_into(&mut address),
                6 => nonce = Some(field.u64()?),
                7 => written = TimestampMs(field.i64()?),
                _ => {}
            }
        }
        Ok(Self {
            node: node.ok_or(Fault::Missing(1))?,
            incarnation: incarnation.ok_or(Fault::Missing(2))?,
            host,
            pid,
            address,
            nonce: nonce.ok_or(Fault::Missing(6))?,
            written,
        })
    }
}

fn name(node: BrokerId, incarnation: Incarnation) -> String {
    format!("{CLAIMS}{node}/{:020}", incarnation.get())
}

fn parse(name: &str) -> Option<(BrokerId, Incarnation)> {
    let (node, incarnation) = name.strip_prefix(CLAIMS)?.split_once('/')?;
    Some((BrokerId(node.parse().ok()?), Incarnation(incarnation.parse().ok()?)))
}

/// Claims the next incarnation of a node for this process.
pub(crate) async fn claim(store: &dyn ObjectStore, who: &Claimant<'_>) -> Result<Incarnation, ClaimError> {
    loop {
        let claims: Vec<_> = store.list(CLAIMS).await?.iter().filter_map(|name| parse(name)).collect();
        if let Some((other, _)) = claims.iter().find(|(node, _)| *node != who.node) {
            return Err(ClaimError::OtherNode(*other));
        }
        let newest = claims.iter().map(|(_, incarnation)| incarnation.get()).max().unwrap_or(0);
        let incarnation = Incarnation(newest + 1);
        let holder = Holder {
            node: who.node,
            incarnation,
            host: who.host.to_owned(),
            pid: who.pid,
            address: String::new(),
            nonce: who.entropy.next_u64(),
            written: who.clock.now(),
        };
        let (name, bytes) = (name(who.node, incarnation), vec![holder.encode()]);
        match create_certainly(store, &name, bytes, BUDGET, who.clock, who.entropy).await? {
            Created::Ours => return Ok(incarnation),
            // Somebody was faster.
            Created::Taken(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_rt::{RealClock, SeededEntropy};
    use waybill_store::MemoryStore;

    #[tokio::test]
    async fn each_process_is_an_incarnation_of_its_own_and_other_nodes_are_refused() {
        let (store, clock, entropy) = (MemoryStore::default(), RealClock::shared(), SeededEntropy::new(1));
        let who =
            |node| Claimant { node: BrokerId(node), host: "lyra", pid: 7, clock: &*clock, entropy: &entropy };
        assert_eq!(claim(&store, &who(1)).await.unwrap(), Incarnation(1));
        store.fail_puts(2);
        assert_eq!(claim(&store, &who(1)).await.unwrap(), Incarnation(2));
        let refused = claim(&store, &who(2)).await.unwrap_err().to_string();
        assert!(refused.contains("--node-id 1"), "{refused}");
        let held = store.get(&name(BrokerId(1), Incarnation(2)), 0..1000).await.unwrap();
        let held = Holder::decode(&held).unwrap();
        assert_eq!((held.host.as_str(), held.pid, held.incarnation), ("lyra", 7, Incarnation(2)));
    }

    #[test]
    fn golden_bytes() {
        let holder = Holder {
            node: BrokerId(1),
            incarnation: Incarnation(2),
            host: "h".to_owned(),
            pid: 3,
            address: String::new(),
            nonce: 4,
            written: TimestampMs(5),
        };
        let golden: &[u8] = &[
            1, 1, 4, 0, 0, 0, 1, 2, 8, 0, 0, 0, 0, 0, 0, 0, 2, 3, 1, b'h', 4, 4, 0, 0, 0, 3, 5, 0, 6, 8, 0,
            0, 0, 0, 0, 0, 0, 4, 7, 8, 0, 0, 0, 0, 0, 0, 0, 5,
        ];
        assert_eq!(holder.encode(), golden, "encoding changed: add a version instead");
        assert_eq!(Holder::decode(golden), Ok(holder));
    }
}
