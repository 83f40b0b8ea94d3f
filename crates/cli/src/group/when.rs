//! Instants and spans on the command line.

use waybill_types::TimestampMs;

/// An instant: RFC 3339, the same without a zone (then UTC), a day, or milliseconds since 1970.
pub(super) fn instant(text: &str) -> Result<TimestampMs, String> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>()
        && text.len() > 8
    {
        return Ok(TimestampMs(ms));
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(TimestampMs(time.timestamp_millis()));
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
        if let Ok(time) = chrono::NaiveDateTime::parse_from_str(text, form) {
            return Ok(TimestampMs(time.and_utc().timestamp_millis()));
        }
    }
    if let Ok(day) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d")
        && let Some(midnight) = day.and_hms_opt(0, 0, 0)
    {
        return Ok(TimestampMs(midnight.and_utc().timestamp_millis()));
    }
    Err("expected a time, as 2026-11-24T08:00:00Z, 2026-11-24, or milliseconds since 1970".to_owned())
}

/// A span in milliseconds: `90m`, `1d12h`, `30s`, `500ms`, or ISO 8601 as `PT1H30M`, `P2D`.
pub(super) fn span_ms(text: &str) -> Result<i64, String> {
    let fault = || "expected a span, as 90m, 1d12h, or PT1H30M".to_owned();
    let lower = text.trim().to_ascii_lowercase();
    let (iso, mut rest) = match lower.strip_prefix('p') {
        Some(rest) => (true, rest.replace('t', "")),
        None => (false, lower.clone()),
    };
    let mut total = 0i64;
    if rest.is_empty() {
        return Err(fault());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let letters = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, left) = unit.split_at(letters);
        let scale = match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" if !iso => 1,
            _ => return Err(fault()),
        };
        let amount = number.parse::<i64>().map_err(|_| fault())?;
        total = amount.checked_mul(scale).and_then(|part| total.checked_add(part)).ok_or_else(fault)?;
        rest = left.to_owned();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let day = 1_795_478_400_000; // 2026-11-24T00:00:00Z
        for (text, after) in [
            ("2026-11-24", 0),
            ("2026-11-24T08:00:00Z", 28_800_000),
            ("2026-11-24T09:00:00+01:00", 28_800_000),
            ("2026-11-24T08:00:00.250", 28_800_250),
            ("2026-11-24 08:00:00", 28_800_000),
            ("2026-11-24T08:00", 28_800_000),
            ("1795478400000", 0),
        ] {
            assert_eq!(instant(text), Ok(TimestampMs(day + after)), "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01", "20261124"] {
            assert!(instant(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans() {
        for (text, ms) in [
            ("90m", 5_400_000),
            ("1d12h", 129_600_000),
            ("30s", 30_000),
            ("500ms", 500),
            ("PT1H30M", 5_400_000),
            ("P2D", 172_800_000),
            ("P1DT1S", 86_401_000),
        ] {
            assert_eq!(span_ms(text), Ok(ms), "{text}");
        }
        for bad in ["", "P", "5", "h", "5x", "-5m", "99999999999999d", "PT5MS"] {
            assert!(span_ms(bad).is_err(), "{bad}");
        }
    }
}
