//! Days and instants, as sources tell them and as answers show them.
//!
//! Days are written `YYYY-MM-DD`, instants RFC 3339 with `Z`. Everything is UTC; a local time that a source gives is
//! turned into the instant it names.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use waybill_types::TimestampMs;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// The minute in which an instant lies, counted from 1970.
#[must_use]
pub const fn minute(instant: TimestampMs) -> i64 {
    instant.0.div_euclid(MINUTE_MS)
}

/// The last millisecond of the minute in which an instant lies.
#[must_use]
pub const fn end_of_minute(instant: TimestampMs) -> TimestampMs {
    TimestampMs(minute(instant).saturating_mul(MINUTE_MS).saturating_add(MINUTE_MS - 1))
}

/// Times before this day are kept as facts but never count: no business system of ours told of them in good faith.
pub const BUSINESS_FLOOR: Day = Day(7_305); // 1990-01-01

/// Times further ahead of their telling than this many days (ten years) are kept as facts but never count.
pub const FARTHEST_AHEAD_DAYS: i64 = 3_653;

/// A calendar day in UTC: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day of a calendar date; `None` when there is no such date.
    #[must_use]
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        NaiveDate::from_ymd_opt(year, month, day).map(Self::from_date)
    }

    /// Reads `YYYY-MM-DD`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // chrono would also take a one-digit month.
        if text.len() != 10 {
            return None;
        }
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Self::from_date)
    }

    fn from_date(date: NaiveDate) -> Self {
        // The epoch is day 719,163 of the common era; dates of chrono fit 32 bits.
        Self(date.num_days_from_ce() - 719_163)
    }

    /// The day in which an instant lies.
    #[must_use]
    pub fn of(instant: TimestampMs) -> Self {
        let days = instant.get().div_euclid(DAY_MS);
        Self(i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX }))
    }

    /// Its first instant, 00:00Z.
    #[must_use]
    pub const fn start(self) -> TimestampMs {
        TimestampMs(self.0 as i64 * DAY_MS)
    }

    /// Days from `earlier` to this one; negative when it lies before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 as i64 - earlier.0 as i64
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NaiveDate::from_num_days_from_ce_opt(self.0.saturating_add(719_163)) {
            Some(date) => write!(f, "{}", date.format("%Y-%m-%d")),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("'{text}' is not a day, expected YYYY-MM-DD")))
    }
}

/// A time as precise as its source told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// Some time on that day.
    Day(Day),
    /// That instant.
    Instant(TimestampMs),
}

impl When {
    /// Reads `YYYY-MM-DD` or an RFC 3339 instant.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Day::parse(text).map(Self::Day).or_else(|| parse_instant(text).map(Self::Instant))
    }

    /// The first instant it may mean: what comparisons use.
    #[must_use]
    pub const fn start(self) -> TimestampMs {
        match self {
            Self::Day(day) => day.start(),
            Self::Instant(instant) => instant,
        }
    }

    /// The last millisecond that it may mean.
    #[must_use]
    pub const fn end(self) -> TimestampMs {
        match self {
            Self::Day(day) => TimestampMs(day.start().0 + DAY_MS - 1),
            Self::Instant(instant) => instant,
        }
    }

    /// The day in which it lies.
    #[must_use]
    pub fn day(self) -> Day {
        match self {
            Self::Day(day) => day,
            Self::Instant(instant) => Day::of(instant),
        }
    }

    /// Whether it may count: from [`BUSINESS_FLOOR`] to ten years after it was told.
    #[must_use]
    pub fn is_plausible(self, told: TimestampMs) -> bool {
        self.day() >= BUSINESS_FLOOR && self.day().since(Day::of(told)) <= FARTHEST_AHEAD_DAYS
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Instant(instant) => f.write_str(&instant_text(*instant)),
        }
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("'{text}' is neither a day (YYYY-MM-DD) nor an RFC 3339 instant"))
        })
    }
}

/// An RFC 3339 instant with `Z`; milliseconds only when there are any.
#[must_use]
pub fn instant_text(instant: TimestampMs) -> String {
    let form = if instant.get().rem_euclid(1_000) == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    match DateTime::<Utc>::from_timestamp_millis(instant.get()) {
        Some(time) => time.to_rfc3339_opts(form, true),
        None => instant.get().to_string(),
    }
}

/// Reads an RFC 3339 instant with its zone; finer than milliseconds is cut off.
#[must_use]
pub fn parse_instant(text: &str) -> Option<TimestampMs> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| TimestampMs(time.timestamp_millis()))
}

/// For `#[serde(with = "instant")]` on a [`TimestampMs`].
pub mod instant {
    use super::{Deserialize, Deserializer, Serializer, TimestampMs, instant_text, parse_instant};
    use serde::de::Error as _;

    /// Writes RFC 3339 with `Z`.
    pub fn serialize<S: Serializer>(instant: &TimestampMs, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&instant_text(*instant))
    }

    /// Reads RFC 3339 with any zone.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimestampMs, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_instant(&text)
            .ok_or_else(|| D::Error::custom(format!("'{text}' is not an RFC 3339 instant with a zone")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_instants_survive_text() {
        for text in ["1970-01-01", "2006-06-02", "2015-12-31", "1969-12-31"] {
            assert_eq!(Day::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Day::from_ymd(1990, 1, 1), Some(BUSINESS_FLOOR));
        assert_eq!(
            When::parse("2005-04-03T20:33:31.116-06:00").unwrap().to_string(),
            "2005-04-04T02:33:31.116Z"
        );
        assert_eq!(instant_text(TimestampMs(0)), "1970-01-01T00:00:00Z");
        for bad in ["22-07-2026", "2026-7-22", "2026-02-30", "2026-07-22T10:00:00", ""] {
            assert!(When::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn plausible_is_from_the_floor_to_ten_years_ahead() {
        let told = Day::from_ymd(2020, 1, 1).unwrap().start();
        let plausible = |text: &str| When::parse(text).unwrap().is_plausible(told);
        assert!(plausible("1990-01-01") && plausible("2030-01-01"));
        assert!(!plausible("1989-12-31") && !plausible("2030-01-03"));
    }
}
