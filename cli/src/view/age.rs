//! Times as people read them: how long, how long ago, since when.

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// A span of milliseconds in the one or two units that matter.
pub fn span(ms: f64) -> String {
    let seconds = ms / 1000.0;
    if !ms.is_finite() {
        return "an unknown time".to_owned();
    }
    if ms < 10.0 && ms.fract() != 0.0 {
        return format!("{ms:.1} ms");
    }
    if ms < 1000.0 {
        return format!("{ms:.0} ms");
    }
    if seconds < 60.0 {
        let text = format!("{seconds:.1}");
        return format!("{} s", text.strip_suffix(".0").unwrap_or(&text));
    }
    let whole = std::time::Duration::try_from_secs_f64(seconds).map_or(u64::MAX, |d| d.as_secs());
    let two = |big: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{big} {unit}"),
        _ => format!("{big} {unit} {small} {part}"),
    };
    match whole {
        0..3600 => two(whole / 60, "min", whole % 60, "s"),
        3600..DAY_S => two(whole / 3600, "h", whole % 3600 / 60, "min"),
        _ => two(whole / DAY_S, "d", whole % DAY_S / 3600, "h"),
    }
}

/// How long ago something of this age was.
pub fn ago(age_ms: Option<u64>) -> String {
    age_ms.map_or("never".to_owned(), |ms| format!("{} ago", whole(ms)))
}

/// For how long, from a time to now, both as the daemon wrote them; none if either is no time.
pub fn lasting(since: &str, now: &str) -> Option<String> {
    let ms = unix_ms(now)?.checked_sub(unix_ms(since)?)?;
    Some(whole(u64::try_from(ms).ok()?))
}

/// A span of whole milliseconds.
pub fn whole(ms: u64) -> String {
    // Above 2^53 ms a float is off by less than a second in 285,000 years.
    #[allow(clippy::cast_precision_loss)]
    span(ms as f64)
}

/// `2026-01-02T03:04:05.678Z` as `2026-01-02 03:04:05.678`; anything else as it is.
pub fn clock(time: &str) -> String {
    match unix_ms(time) {
        Some(_) => time.trim_end_matches('Z').replacen('T', " ", 1),
        None => time.to_owned(),
    }
}

/// Milliseconds since 1970 of a time in RFC 3339, UTC only: the contract has no other.
fn unix_ms(time: &str) -> Option<i64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.split(':');
    let hour: i64 = clock.next()?.parse().ok()?;
    let minute: i64 = clock.next()?.parse().ok()?;
    let second = clock.next()?;
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let second: i64 = second.parse().ok()?;
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    in_range.then(|| {
        let hours = days_since_1970(year, month, day) * 24 + hour;
        (hours * 3600 + minute * 60 + second) * 1000 + ms
    })
}

/// Days of the Gregorian calendar; a year begins in March here, so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let years = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let leaps = years / 4 - years / 100 + years / 400;
    years * 365 + leaps + (months * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_units_that_matter() {
        let cases = [
            (0.0, "0 ms"),
            (0.25, "0.2 ms"),
            (33.0, "33 ms"),
            (999.0, "999 ms"),
            (1000.0, "1 s"),
            (12_345.0, "12.3 s"),
            (60_000.0, "1 min"),
            (245_000.0, "4 min 5 s"),
            (3_600_000.0, "1 h"),
            (183_600_000.0, "2 d 3 h"),
            (f64::NAN, "an unknown time"),
        ];
        for (ms, text) in cases {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn times_are_read_across_months_and_leap_years() {
        assert_eq!(unix_ms("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(unix_ms("2000-03-01T00:00:00Z"), Some(951_868_800_000));
        assert_eq!(unix_ms("2026-01-02T03:04:05.678Z"), Some(1_767_323_045_678));
        let day = lasting("2024-02-28T12:00:00.000Z", "2024-03-01T13:00:00.000Z");
        assert_eq!(day.as_deref(), Some("2 d 1 h"));
    }

    #[test]
    fn what_is_no_time_has_no_age() {
        let now = "2026-01-02T03:04:05.678Z";
        for bad in
            ["", "Z", "yesterday", "2026-13-01T00:00:00Z", "2026-01-02T03:04Z", "9-9-9T9:9:9Z"]
        {
            assert_eq!(lasting(bad, now), None, "{bad}");
            assert_eq!(clock(bad), bad);
        }
        assert_eq!(lasting("2026-01-02T03:04:06.000Z", now), None, "it lies in the future");
    }
}
