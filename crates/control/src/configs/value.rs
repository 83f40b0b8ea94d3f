//! How configuration values are written, and which are legal.

/// How a value is written. The numbers are those of DescribeConfigs' `ConfigType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigKind {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    String,
    /// A 32-bit number.
    Int,
    /// A 16-bit number.
    Short,
    /// A 64-bit number.
    Long,
    /// A number with a fraction.
    Double,
    /// Texts separated by commas.
    List,
    /// A Java class name.
    Class,
    /// A secret, never shown.
    Password,
}

/// A value that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {name}: {problem}")]
pub struct ConfigFault {
    /// The key.
    pub name: String,
    /// The value.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
}

fn fault(name: &str, value: &str, problem: impl Into<String>) -> ConfigFault {
    ConfigFault { name: name.to_owned(), value: value.to_owned(), problem: problem.into() }
}

impl ConfigKind {
    /// The number that DescribeConfigs v3+ shows (KIP-569).
    #[must_use]
    pub const fn wire(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// The kind that Kafka's facts name.
    #[must_use]
    pub fn from_fact(name: &str) -> Option<Self> {
        Some(match name {
            "BOOLEAN" => Self::Boolean,
            "STRING" => Self::String,
            "INT" => Self::Int,
            "SHORT" => Self::Short,
            "LONG" => Self::Long,
            "DOUBLE" => Self::Double,
            "LIST" => Self::List,
            "CLASS" => Self::Class,
            "PASSWORD" => Self::Password,
            _ => return None,
        })
    }

    pub(super) fn check(self, name: &str, value: &str) -> Result<(), ConfigFault> {
        let text = value.trim();
        let legal = match self {
            Self::Boolean => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            Self::Int => text.parse::<i32>().is_ok(),
            Self::Short => text.parse::<i16>().is_ok(),
            Self::Long => text.parse::<i64>().is_ok(),
            Self::Double => text.parse::<f64>().is_ok(),
            Self::String | Self::List | Self::Class | Self::Password => true,
        };
        if legal { Ok(()) } else { Err(fault(name, value, format!("Not a value of type {self:?}"))) }
    }
}

/// Which values of a kind are legal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// All.
    Any,
    /// Numbers from here up.
    AtLeast(i64),
    /// Numbers from the first to the second.
    Between(i64, i64),
    /// This number, or numbers from the second to the third.
    OrBetween(i64, i64, i64),
    /// A share from 0 to 1.
    Share,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words, each at most once; may be empty.
    ListOf(&'static [&'static str]),
}

impl Rule {
    pub(super) fn check(self, name: &str, value: &str) -> Result<(), ConfigFault> {
        let text = value.trim();
        let number = text.parse::<i64>().unwrap_or(i64::MIN);
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(low) if number < low => {
                Err(fault(name, value, format!("Value must be at least {low}")))
            }
            Self::Between(low, high) | Self::OrBetween(_, low, high) if number < low || number > high => {
                match self {
                    Self::OrBetween(or, ..) if number == or => Ok(()),
                    _ => Err(fault(name, value, format!("Value must be between {low} and {high}"))),
                }
            }
            Self::Share if !text.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share)) => {
                Err(fault(name, value, "Value must be between 0 and 1"))
            }
            Self::OneOf(words) if !words.contains(&text) => {
                Err(fault(name, value, format!("String must be one of: {}", words.join(", "))))
            }
            Self::ListOf(words) => {
                let mut seen: Vec<&str> = Vec::new();
                for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    if !words.contains(&word) || seen.contains(&word) {
                        let problem = format!("each of {} may stand there once", words.join(", "));
                        return Err(fault(name, value, problem));
                    }
                    seen.push(word);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_refuse_what_kafka_refuses() {
        assert!(Rule::AtLeast(-1).check("retention.ms", "-2").is_err());
        assert!(Rule::AtLeast(-1).check("retention.ms", "-1").is_ok());
        assert!(Rule::OrBetween(-1, 1, 9).check("compression.gzip.level", "-1").is_ok());
        assert!(Rule::OrBetween(-1, 1, 9).check("compression.gzip.level", "0").is_err());
        assert!(Rule::ListOf(&["compact", "delete"]).check("cleanup.policy", "compact, delete").is_ok());
        assert!(Rule::ListOf(&["compact", "delete"]).check("cleanup.policy", "compress").is_err());
        assert!(Rule::Share.check("min.cleanable.dirty.ratio", "1.5").is_err());
        assert!(ConfigKind::Int.check("x", "one").is_err());
        assert!(ConfigKind::Boolean.check("x", "TRUE").is_ok());
    }
}
