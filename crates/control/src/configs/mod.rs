//! Every configuration that Kafka 4.4 knows, each honoured, inert (and why) or refused (and why); and Waybill's own.
//!
//! [`topic`] is written by hand, because each key is a decision; broker and group keys are facts of the pinned Kafka
//! in `broker.tsv` and `group.tsv` (name, type, default), with what Waybill honours listed in [`broker`].

pub mod broker;
mod levels;
pub mod topic;
mod value;

pub use levels::{BrokerConfigs, Level};
pub use value::{ConfigFault, ConfigKind, Rule};

/// What Waybill does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// The value decides what happens.
    Honoured,
    /// Any legal value is taken and shown; nothing depends on it, for this reason.
    Inert(&'static str),
    /// Only the default is taken: another value would promise what is not kept, for this reason.
    Refused(&'static str),
}

/// One configuration key.
#[derive(Debug, Clone, Copy)]
pub struct ConfigDef {
    /// The name.
    pub name: &'static str,
    /// How values are written.
    pub kind: ConfigKind,
    /// The default, as text; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Which values are legal.
    pub rule: Rule,
    /// What Waybill does with it.
    pub treatment: Treatment,
    /// The broker key whose value is the default of this topic key, if there is one.
    pub synonym: Option<&'static str>,
}

impl ConfigDef {
    /// Judges a value.
    ///
    /// # Errors
    /// When the value can not be read, is out of range, or asks for what is refused.
    pub fn check(&self, value: &str) -> Result<(), ConfigFault> {
        self.kind.check(self.name, value)?;
        self.rule.check(self.name, value)?;
        match self.treatment {
            Treatment::Refused(why) if Some(value.trim()) != self.default => Err(ConfigFault {
                name: self.name.to_owned(),
                value: value.to_owned(),
                problem: format!("is not supported: {why}"),
            }),
            _ => Ok(()),
        }
    }
}
