//! Durations of the command line. They need a unit: nobody has to guess what `10` means.

use std::time::Duration;

use evergate_api::control::MAX_SWITCHOVER_TIMEOUT_MS;

/// The longest hold that can be asked for; who wants more leaves it open.
const HOLD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// More digits than any duration needs.
const DIGITS_MAX: usize = 12;

/// Reads a timeout, 1 ms to 10 minutes.
pub fn timeout(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(MAX_SWITCHOVER_TIMEOUT_MS), "10min")
}

/// Reads how long a switchover holds, 1 ms to a year.
pub fn hold(text: &str) -> Result<Duration, String> {
    within(text, HOLD_MAX, "366d")
}

fn within(text: &str, longest: Duration, longest_text: &str) -> Result<Duration, String> {
    let duration = parse(text)?;
    if duration < Duration::from_millis(1) {
        return Err("the shortest is 1ms".to_owned());
    }
    if duration > longest {
        return Err(format!("the longest is {longest_text}"));
    }
    Ok(duration)
}

fn parse(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let no_duration = || format!("`{text}` is no duration; write it as 500ms, 2s or 1min");
    if number.is_empty() || number.len() > DIGITS_MAX {
        return Err(no_duration());
    }
    let number: f64 = number.parse().map_err(|_| no_duration())?;
    let seconds = match unit.trim() {
        "" => return Err(format!("it needs a unit: `{text}s`, `{text}ms` or `{text}min`?")),
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(no_duration()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| no_duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_with_a_unit_are_read() {
        assert_eq!(timeout("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(timeout("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(timeout("10min"), Ok(Duration::from_secs(600)));
        assert_eq!(hold("2 h"), Ok(Duration::from_secs(7200)));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_advice() {
        assert!(timeout("10").is_err_and(|text| text.contains("`10s`")));
        for bad in ["", "s", "-1s", "1.2.3s", "10 parsecs", "0s", "11min", "9999999999999s"] {
            assert!(timeout(bad).is_err(), "{bad}");
        }
        assert!(hold("367d").is_err());
    }
}
