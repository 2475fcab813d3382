//! Durations with their unit, as in `"10ms"`, `"1.5s"`, `"2min"`.

use std::time::Duration;

/// The longest duration that can be written: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DurationError {
    /// A number alone.
    NoUnit,
    /// A number and something that is no unit.
    UnknownUnit,
    /// It does not begin with a number, or has more digits than make sense.
    NoNumber,
    /// Longer than a year.
    TooLong,
}

/// Reads a duration.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit_ns: u128 = match unit.trim() {
        "" => 0,
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ if number.is_empty() => return Err(DurationError::NoNumber),
        _ => return Err(DurationError::UnknownUnit),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 18 && !text.contains('.');
    if !digits(whole) || !digits(fraction) {
        return Err(DurationError::NoNumber);
    }
    if unit_ns == 0 {
        return Err(DurationError::NoUnit);
    }
    let read = |text: &str| text.parse::<u128>().map_err(|_| DurationError::NoNumber);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| DurationError::NoNumber)?);
    let total = read(whole)? * unit_ns + read(fraction)? * unit_ns / scale;
    if total > LONGEST.as_nanos() {
        return Err(DurationError::TooLong);
    }
    u64::try_from(total).map(Duration::from_nanos).map_err(|_| DurationError::TooLong)
}

/// Writes a duration in the largest unit that needs no fraction.
pub(crate) fn shown(duration: Duration) -> String {
    let ns = duration.as_nanos();
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    for (size, unit) in units {
        if ns.is_multiple_of(size) {
            return format!("{}{unit}", ns / size);
        }
    }
    format!("{ns}ns")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        assert_eq!(parse("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("2 min"), Ok(Duration::from_secs(120)));
        assert_eq!(shown(Duration::from_millis(1500)), "1500ms");
        assert_eq!(shown(Duration::from_secs(2)), "2s");
    }

    #[test]
    fn what_is_no_duration_says_why() {
        assert_eq!(parse("10"), Err(DurationError::NoUnit));
        assert_eq!(parse("10 parsecs"), Err(DurationError::UnknownUnit));
        assert_eq!(parse("soon"), Err(DurationError::NoNumber));
        assert_eq!(parse("1.2.3s"), Err(DurationError::NoNumber));
        assert_eq!(parse("s"), Err(DurationError::NoNumber));
        assert_eq!(parse("99999999999999999d"), Err(DurationError::TooLong));
        assert_eq!(parse("999999999999999999999999999s"), Err(DurationError::NoNumber));
    }
}
