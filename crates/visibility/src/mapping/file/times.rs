//! Times as feeds write them.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};
use waybill_types::TimestampMs;

use crate::model::time::{DAY_MS, Day, When, instant_text};

/// What numbers since 1970 count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Days.
    Days,
    /// Seconds, whole or not.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl Unit {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "unix_days" => Self::Days,
            "unix_s" => Self::Seconds,
            "unix_ms" => Self::Millis,
            "unix_us" => Self::Micros,
            "unix_ns" => Self::Nanos,
            _ => return None,
        })
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Days => "days",
            Self::Seconds => "seconds",
            Self::Millis => "milliseconds",
            Self::Micros => "microseconds",
            Self::Nanos => "nanoseconds",
        }
    }

    /// The day or instant of a number.
    pub(super) fn when(self, text: &str) -> Option<When> {
        let whole = text.parse::<i64>().ok();
        let ms = match self {
            Self::Days => return Some(When::Day(Day(i32::try_from(whole?).ok()?))),
            Self::Seconds => match whole {
                Some(whole) => whole.checked_mul(1_000)?,
                None => seconds(text)?,
            },
            Self::Millis => whole?,
            Self::Micros => whole?.div_euclid(1_000),
            Self::Nanos => whole?.div_euclid(1_000_000),
        };
        DateTime::from_timestamp_millis(ms)?;
        Some(When::Instant(TimestampMs(ms)))
    }

    /// The same as text; what is a day or an instant already stays.
    pub(super) fn text(self, text: &str) -> Option<String> {
        let when = self.when(text).or_else(|| When::parse(text))?;
        Some(match when {
            When::Day(day) => day.to_string(),
            When::Instant(instant) => instant_text(instant),
        })
    }
}

/// Milliseconds of `1700000000.25`.
fn seconds(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.')?;
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ms: i64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    whole.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(sign * ms)
}

/// One way in which times are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// An RFC 3339 instant or a day.
    Rfc3339,
    /// A number since 1970.
    Unix(Unit),
    /// A pattern of strftime.
    Pattern {
        /// The pattern.
        pattern: String,
        /// It holds hours.
        has_time: bool,
        /// It holds a zone.
        has_zone: bool,
    },
}

impl Form {
    /// Reads a form; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "rfc3339" {
            return Ok(Self::Rfc3339);
        }
        if let Some(unit) = Unit::from_name(text) {
            return Ok(Self::Unix(unit));
        }
        if !text.contains('%') {
            return Err(format!("'{text}' is no form of times"));
        }
        if chrono::format::StrftimeItems::new(text).any(|item| matches!(item, chrono::format::Item::Error)) {
            return Err(format!("'{text}' is no pattern of strftime"));
        }
        let holds = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
        let has_time = holds(&["%H", "%I", "%k", "%l", "%T", "%R", "%r", "%s", "%c", "%+"]);
        let has_zone = holds(&["%z", "%:z", "%#z", "%+", "%s"]);
        Ok(Self::Pattern { pattern: text.to_owned(), has_time, has_zone })
    }
}

/// How a feed writes times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeRule {
    /// Tried in turn.
    pub(super) forms: Vec<Form>,
    /// Of times without a zone, seconds east of UTC.
    pub(super) offset: i32,
    /// Of an instant, only the day is meant.
    pub(super) is_day: bool,
}

impl Default for TimeRule {
    fn default() -> Self {
        Self { forms: vec![Form::Rfc3339], offset: 0, is_day: false }
    }
}

impl TimeRule {
    /// Reads a time in the first form that fits.
    pub(super) fn when(&self, text: &str) -> Option<When> {
        let text = text.trim();
        self.forms.iter().find_map(|form| self.by(form, text))
    }

    fn by(&self, form: &Form, text: &str) -> Option<When> {
        let when = match form {
            Form::Rfc3339 => When::parse(text)?,
            Form::Unix(unit) => unit.when(text)?,
            Form::Pattern { pattern, has_time: false, .. } => {
                return NaiveDate::parse_from_str(text, pattern).ok().and_then(day);
            }
            Form::Pattern { pattern, has_zone: true, .. } => {
                let time = DateTime::parse_from_str(text, pattern).ok()?;
                if self.is_day {
                    return day(time.date_naive());
                }
                When::Instant(TimestampMs(time.timestamp_millis()))
            }
            Form::Pattern { pattern, .. } => {
                let time = NaiveDateTime::parse_from_str(text, pattern).ok()?;
                if self.is_day {
                    return day(time.date());
                }
                let zone = FixedOffset::east_opt(self.offset)?;
                When::Instant(TimestampMs(time.and_local_timezone(zone).single()?.timestamp_millis()))
            }
        };
        Some(if self.is_day { When::Day(self.local_day(when)) } else { when })
    }

    /// The day on which an instant lies where the feed is at home.
    fn local_day(&self, when: When) -> Day {
        match when {
            When::Day(day) => day,
            When::Instant(instant) => {
                let local = instant.get().saturating_add(i64::from(self.offset) * 1_000);
                Day(i32::try_from(local.div_euclid(DAY_MS)).unwrap_or(i32::MAX))
            }
        }
    }
}

fn day(date: NaiveDate) -> Option<When> {
    Day::parse(&date.format("%Y-%m-%d").to_string()).map(When::Day)
}

/// Seconds east of UTC of `UTC`, `Z` or `+05:30`.
pub(super) fn offset(text: &str) -> Option<i32> {
    if matches!(text, "UTC" | "Z") {
        return Some(0);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
    (0..=14).contains(&hours).then_some(())?;
    (0..60).contains(&minutes).then_some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(forms: &[&str], offset_: &str, is_day: bool, text: &str) -> Option<String> {
        let forms = forms.iter().map(|form| Form::parse(form).unwrap()).collect();
        let rule = TimeRule { forms, offset: offset(offset_).unwrap(), is_day };
        rule.when(text).map(|when| when.to_string())
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        let local = "%Y-%m-%d %H:%M:%S%.f";
        assert_eq!(
            read(&[local], "+02:00", false, "1996-07-04 00:30:00.000").unwrap(),
            "1996-07-03T22:30:00Z"
        );
        assert_eq!(read(&[local], "+02:00", true, "1996-07-04 00:30:00.000").unwrap(), "1996-07-04");
        assert_eq!(read(&["rfc3339"], "+02:00", true, "1996-07-03T22:30:00Z").unwrap(), "1996-07-04");
        assert_eq!(read(&["%d.%m.%Y", "rfc3339"], "UTC", false, "4.7.1996").unwrap(), "1996-07-04");
        assert_eq!(read(&["%d.%m.%Y", "rfc3339"], "UTC", false, "1996-07-04").unwrap(), "1996-07-04");
        assert_eq!(
            read(&["%Y%m%dT%H%M%S%z"], "UTC", false, "19960704T003000+0530").unwrap(),
            "1996-07-03T19:00:00Z"
        );
        assert_eq!(read(&["unix_s"], "UTC", false, "1700000000.25").unwrap(), "2023-11-14T22:13:20.250Z");
        assert_eq!(read(&["unix_us"], "UTC", false, "1700000000250000").unwrap(), "2023-11-14T22:13:20.250Z");
        assert_eq!(read(&["unix_days"], "UTC", false, "9681").unwrap(), "1996-07-04");
        for bad in ["", "yesterday", "1996-13-01 00:00:00", "99999999999999999999"] {
            assert_eq!(read(&[local, "unix_ms", "rfc3339"], "UTC", false, bad), None, "{bad}");
        }
        assert!(Form::parse("%Q").is_err() && Form::parse("iso").is_err());
        assert_eq!((offset("-05:30"), offset("CET"), offset("+15:00")), (Some(-19_800), None, None));
    }
}
