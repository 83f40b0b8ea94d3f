//! Instants and days as the pages speak them: UTC, proleptic Gregorian, no time zone data.
//!
//! The crate has its own two newtypes because a page needs nothing but a number and its spelling; the
//! caller converts once, where it builds the view.

use std::fmt;

const DAY_MS: i64 = 86_400_000;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub i64);

/// A calendar day in UTC: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

/// When something happened: some sources know the instant, some only the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// An instant.
    At(Stamp),
    /// A day, with no time of day known.
    On(Day),
}

impl Stamp {
    /// The UTC day that holds this instant.
    pub fn day(self) -> Day {
        Day(self.0.div_euclid(DAY_MS))
    }

    /// RFC 3339 with `Z`; milliseconds only when they are not zero. This is the spelling of `as_of` in links.
    pub fn rfc3339(self) -> String {
        let ms = self.0.rem_euclid(1000);
        let fraction = if ms == 0 { String::new() } else { format!(".{ms:03}") };
        format!("{}T{}{fraction}Z", self.day(), self.clock_seconds())
    }

    /// Hours and minutes with `Z`, for example `14:05Z`.
    pub fn clock(self) -> String {
        let s = self.0.rem_euclid(DAY_MS) / 1000;
        format!("{:02}:{:02}Z", s / 3600, s / 60 % 60)
    }

    /// Hours, minutes and seconds without a zone letter, for example `14:05:12`.
    pub fn clock_seconds(self) -> String {
        let s = self.0.rem_euclid(DAY_MS) / 1000;
        format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }

    /// Milliseconds from `earlier` to this instant; negative when it is later.
    pub fn since(self, earlier: Stamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Day {
    /// Year, month 1 to 12, day of the month.
    pub fn civil(self) -> (i64, usize, i64) {
        // Days to civil date, counting years from March so that the leap day comes last.
        let z = self.0.saturating_add(719_468);
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        (year, usize::try_from(month).unwrap_or(1), doy - (153 * mp + 2) / 5 + 1)
    }

    /// The day of a civil date. The month is 1 to 12.
    pub fn from_civil(year: i64, month: i64, day: i64) -> Day {
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let yoe = y.rem_euclid(400);
        let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        Day(era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468)
    }

    /// The first instant of the day.
    pub fn start(self) -> Stamp {
        Stamp(self.0.saturating_mul(DAY_MS))
    }

    /// Short month name, for example `Mar`.
    pub fn month_name(self) -> &'static str {
        MONTHS.get(self.civil().1 - 1).copied().unwrap_or("Jan")
    }

    /// Day and month, for example `11 Mar`.
    pub fn short(self) -> String {
        format!("{} {}", self.civil().2, self.month_name())
    }

    /// Day, month and year, for example `11 Mar 2015`.
    pub fn long(self) -> String {
        format!("{} {}", self.short(), self.civil().0)
    }

    /// Day and month; with the year only where it differs from that of `near`.
    pub fn near(self, near: Day) -> String {
        if self.civil().0 == near.civil().0 { self.short() } else { self.long() }
    }

    /// Days from `earlier` to this day; negative when this day comes first.
    pub fn days_after(self, earlier: Day) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl When {
    /// The day of it.
    pub fn day(self) -> Day {
        match self {
            When::At(t) => t.day(),
            When::On(d) => d,
        }
    }

    /// The instant of it; a bare day counts from its first instant.
    pub fn stamp(self) -> Stamp {
        match self {
            When::At(t) => t,
            When::On(d) => d.start(),
        }
    }
}

/// `YYYY-MM-DD`, as the API writes days.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (y, m, d) = self.civil();
        write!(f, "{y:04}-{m:02}-{d:02}")
    }
}

/// A span in words of at most two units: `0.2 s`, `41 s`, `4 min`, `1 h 42 min`, `3 d 4 h`, `20 d`.
pub fn span(ms: i64) -> String {
    let ms = ms.max(0);
    let (s, min, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    if ms < 10_000 {
        return format!("{}.{} s", s, ms % 1000 / 100);
    }
    if s < 60 {
        return format!("{s} s");
    }
    if min < 60 {
        return format!("{min} min");
    }
    if h < 24 {
        return pair(h, "h", min % 60, "min");
    }
    if h < 24 * 7 { pair(h / 24, "d", h % 24, "h") } else { format!("{} d", grouped(h / 24)) }
}

fn pair(a: i64, unit_a: &str, b: i64, unit_b: &str) -> String {
    if b == 0 { format!("{a} {unit_a}") } else { format!("{a} {unit_a} {b} {unit_b}") }
}

/// A quantity with commas between thousands. Offsets are never written so: they get pasted.
pub fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::new();
    if n < 0 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 day`, `20 days`: the noun takes an s unless the count is one; `-y` becomes `-ies`, `-ch` `-ches`.
pub fn count(n: i64, noun: &str) -> String {
    let stem = noun.strip_suffix('y').filter(|s| !s.ends_with(['a', 'e', 'o', 'u']));
    match (n, stem) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{} {stem}ies", grouped(n)),
        _ if noun.ends_with("ch") => format!("{} {noun}es", grouped(n)),
        _ => format!("{} {noun}s", grouped(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_civil_dates_agree_over_eight_centuries() {
        for n in (-150_000..150_000).step_by(37) {
            let (y, m, d) = Day(n).civil();
            assert_eq!(Day::from_civil(y, i64::try_from(m).unwrap(), d), Day(n));
        }
        assert_eq!(Day::from_civil(2015, 3, 31).start(), Stamp(1_427_760_000_000));
        assert_eq!(Day::from_civil(2024, 2, 29).to_string(), "2024-02-29");
    }

    #[test]
    fn instants_are_spelt_as_the_api_spells_them() {
        assert_eq!(Stamp(1_427_820_000_000).rfc3339(), "2015-03-31T16:40:00Z");
        assert_eq!(Stamp(1_427_820_000_007).rfc3339(), "2015-03-31T16:40:00.007Z");
        assert_eq!(Stamp(-1).rfc3339(), "1969-12-31T23:59:59.999Z");
        assert_eq!(Stamp(1_427_820_000_000).clock(), "16:40Z");
    }

    #[test]
    fn spans_and_counts_read_like_speech() {
        assert_eq!(span(240), "0.2 s");
        assert_eq!(span(41_000), "41 s");
        assert_eq!(span(102 * 60_000), "1 h 42 min");
        assert_eq!(span(76 * 3_600_000), "3 d 4 h");
        assert_eq!(span(20 * 86_400_000), "20 d");
        assert_eq!(span(-5), "0.0 s");
        assert_eq!(count(1, "day"), "1 day");
        assert_eq!(count(2, "day"), "2 days");
        assert_eq!(count(2, "delivery"), "2 deliveries");
        assert_eq!(count(0, "match"), "0 matches");
        assert_eq!(count(18_204, "record"), "18,204 records");
        assert_eq!(grouped(-1_234_567), "-1,234,567");
    }
}
