//! Who holds a term or an incarnation: the objects below `control/`, each created once and never changed.

use bytes::Bytes;
use waybill_meta::codec::{Fault, FieldWriter, Fields};
use waybill_meta::{Record, RecordError};
use waybill_types::{BrokerId, Incarnation, TimestampMs};

/// All terms.
pub const TERMS: &str = "control/term/";
/// All claims.
pub const CLAIMS: &str = "control/broker/";

/// The object of a term.
#[must_use]
pub fn term_name(term: u64) -> String {
    format!("{TERMS}{term:020}")
}

/// The term that an object's name says.
#[must_use]
pub fn parse_term(name: &str) -> Option<u64> {
    number(name.strip_prefix(TERMS)?)
}

/// The claims of a node.
#[must_use]
pub fn claims_of(node: BrokerId) -> String {
    format!("{CLAIMS}{node}/")
}

/// The object of an incarnation.
#[must_use]
pub fn claim_name(node: BrokerId, incarnation: Incarnation) -> String {
    format!("{CLAIMS}{node}/{:020}", incarnation.get())
}

/// The incarnation that an object's name says.
#[must_use]
pub fn parse_claim(name: &str) -> Option<(BrokerId, Incarnation)> {
    let (node, incarnation) = name.strip_prefix(CLAIMS)?.split_once('/')?;
    let id: i32 = node.parse().ok()?;
    (id >= 0 && id.to_string() == node).then_some((BrokerId(id), Incarnation(number(incarnation)?)))
}

fn number(digits: &str) -> Option<u64> {
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// A process that holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its node id.
    pub node: BrokerId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The machine that it runs on, to be shown to a human.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Where it answers other brokers, `host:port`.
    pub address: String,
    /// Drawn by the process: no two processes write equal bytes, and each knows its own claims again.
    pub nonce: u64,
    /// When it was written, by its own clock.
    pub written: TimestampMs,
}

impl Holder {
    /// Reads an object of a term or claim.
    ///
    /// # Errors
    /// When the bytes are no such object, or of a version that this release does not know.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, RecordError> {
        Self::decode(bytes)
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { node, incarnation, host, pid, .. } = self;
        write!(f, "node {node}, incarnation {}, process {pid} on {host}", incarnation.get())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_parse_back_and_others_do_not() {
        assert_eq!(term_name(7), "control/term/00000000000000000007");
        assert_eq!(parse_term(&term_name(u64::MAX)), Some(u64::MAX));
        let claim = claim_name(BrokerId(3), Incarnation(9));
        assert_eq!(claim, "control/broker/3/00000000000000000009");
        assert!(claim.starts_with(&claims_of(BrokerId(3))));
        assert_eq!(parse_claim(&claim), Some((BrokerId(3), Incarnation(9))));
        for name in ["control/term/7", "control/term/+0000000000000000007", "control/probe", ""] {
            assert_eq!(parse_term(name), None, "{name}");
        }
        for name in ["control/broker/03/00000000000000000009", "control/broker/-1/00000000000000000009"] {
            assert_eq!(parse_claim(name), None, "{name}");
        }
    }

    #[test]
    fn golden_bytes() {
        let holder = Holder {
            node: BrokerId(1),
            incarnation: Incarnation(2),
            host: "h".to_owned(),
            pid: 3,
            address: "a:1".to_owned(),
            nonce: 4,
            written: TimestampMs(5),
        };
        let golden: &[u8] = &[
            1, 1, 4, 0, 0, 0, 1, 2, 8, 0, 0, 0, 0, 0, 0, 0, 2, 3, 1, b'h', 4, 4, 0, 0, 0, 3, 5, 3, b'a',
            b':', b'1', 6, 8, 0, 0, 0, 0, 0, 0, 0, 4, 7, 8, 0, 0, 0, 0, 0, 0, 0, 5,
        ];
        assert_eq!(holder.encode(), golden, "encoding changed: add a version instead");
        assert_eq!(Holder::decode(golden), Ok(holder));
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Holder::decode(&bytes);
        }
    }
}
