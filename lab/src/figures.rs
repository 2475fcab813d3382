//! Figures as people read them.

use std::time::Duration;

/// The median of some figures; the mean of the middle two if their number is even; none of nothing.
pub fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The greatest of some figures.
pub fn worst(figures: &[f64]) -> Option<f64> {
    figures.iter().copied().max_by(f64::total_cmp)
}

/// A count with thin groups of three, such as `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds with as many decimals as make sense.
pub fn millis(value: f64) -> String {
    if value < 1000.0 {
        return format!("{value:.1} ms");
    }
    let whole = Duration::from_secs_f64(value / 1000.0).as_millis();
    format!("{} ms", count(u64::try_from(whole).unwrap_or(u64::MAX)))
}

/// An amount of bytes, such as `1.4 MB`.
pub fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", number as f64 / 1e3),
        _ => format!("{:.1} MB", number as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(worst(&[1.0, 9.0, 3.0]), Some(9.0));
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(millis(3049.3), "3,049 ms");
        assert_eq!(millis(31.24), "31.2 ms");
        assert_eq!(bytes(1_430_000), "1.4 MB");
    }
}
