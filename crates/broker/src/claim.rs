//! Claiming an incarnation for a node that has its storage for itself.

use waybill_control::terms::claim::NodeChoice;
use waybill_control::terms::claiming::{self, Process};
use waybill_control::terms::creating::ControlStore;
use waybill_control::terms::holder::{CLAIMS, parse_claim};
use waybill_store::StoreError;
use waybill_types::{BrokerId, Incarnation};

/// Why no incarnation was claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store does not answer as it should.
    #[error("no incarnation can be claimed: {0}")]
    Store(#[from] StoreError),
    /// The claim failed.
    #[error(transparent)]
    Claim(#[from] claiming::ClaimError),
    /// Another node has used this storage.
    #[error(
        "this storage belongs to node {0}, and several brokers on one storage are not built yet: start with --node-id {0}, or \
         with a new --storage"
    )]
    OtherNode(BrokerId),
}

/// Claims the next incarnation of a node for this process.
pub(crate) async fn claim(
    io: &ControlStore,
    node: BrokerId,
    process: &Process,
) -> Result<Incarnation, ClaimError> {
    let names = io.list(CLAIMS).await?;
    let other = names.iter().filter_map(|name| parse_claim(name)).find(|(other, _)| *other != node);
    if let Some((other, _)) = other {
        return Err(ClaimError::OtherNode(other));
    }
    let claimed = claiming::claim(io, NodeChoice::Fixed(node), process).await?;
    Ok(claimed.holder.incarnation)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use waybill_control::terms::holder::{Holder, claim_name};
    use waybill_meta::Record as _;
    use waybill_rt::{RealClock, SeededEntropy};
    use waybill_store::{MemoryStore, ObjectStore as _};

    #[tokio::test]
    async fn each_process_is_an_incarnation_of_its_own_and_other_nodes_are_refused() {
        let store = Arc::new(MemoryStore::default());
        let entropy = Arc::new(SeededEntropy::new(1));
        let io = ControlStore::new(store.clone(), RealClock::shared(), entropy);
        let process = Process { host: "lyra".to_owned(), pid: 7, address: String::new() };
        assert_eq!(claim(&io, BrokerId(1), &process).await.unwrap(), Incarnation(1));
        store.fail_puts(2);
        assert_eq!(claim(&io, BrokerId(1), &process).await.unwrap(), Incarnation(2));
        let refused = claim(&io, BrokerId(2), &process).await.unwrap_err().to_string();
        assert!(refused.contains("--node-id 1"), "{refused}");
        let held = store.get(&claim_name(BrokerId(1), Incarnation(2)), 0..1000).await.unwrap();
        let held = Holder::decode(&held).unwrap();
        assert_eq!((held.host.as_str(), held.pid, held.incarnation), ("lyra", 7, Incarnation(2)));
    }
}
