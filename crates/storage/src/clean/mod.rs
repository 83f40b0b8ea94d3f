//! Log compaction.

use crate::rewrite::RewriteError;
use crate::shared::Shared;

/// The rules by which a topic's logs are compacted.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanRules {}

impl Shared {
    pub(crate) async fn clean_all(&self) -> Result<(), RewriteError> {
        Ok(())
    }
}
