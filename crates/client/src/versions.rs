//! Which versions a broker offers.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use waybill_protocol_gen::ApiKey;
use waybill_protocol_gen::messages::ApiVersionsResponse;

/// A broker's answer to ApiVersions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiVersions {
    ranges: BTreeMap<i16, (i16, i16)>,
}

impl ApiVersions {
    pub(crate) fn from_response(response: &ApiVersionsResponse) -> Self {
        let ranges =
            response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Self { ranges }
    }

    /// The versions of `api` that the broker offers.
    pub fn offered(&self, api: ApiKey) -> Option<RangeInclusive<i16>> {
        self.ranges.get(&api.into()).map(|(min, max)| *min..=*max)
    }

    /// The newest version of `api` that both sides know and that is at most `cap`.
    pub fn best(&self, api: ApiKey, cap: i16) -> Option<i16> {
        let theirs = self.offered(api)?;
        let ours = api.stable_versions();
        let version = (*theirs.end()).min(*ours.end()).min(cap);
        (version >= *theirs.start() && version >= *ours.start()).then_some(version)
    }

    /// The offer in words.
    pub(crate) fn words(&self, api: ApiKey) -> String {
        match self.offered(api) {
            Some(range) => format!("versions {} to {}", range.start(), range.end()),
            None => "none".to_owned(),
        }
    }
}
