//! `~SEQ`, `~SEQx` and `~LST`: one line many times, each time with other values of its variables.

use super::limits::GENERATED_MAX;
use super::variables;

/// What a line with a generator in front is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    /// As it was written, without its values.
    pub text: String,
    /// The variables with their values, once for each line.
    pub rounds: Vec<Vec<(String, String)>>,
    /// The line behind it.
    pub line: String,
}

/// Reads the generator in front of a line. None: there is none. An error: it is none that is known.
pub fn generator(line: &str) -> Option<Result<Generator, &'static str>> {
    let rest = line.strip_prefix('~')?;
    let (kind, rest) = rest.split_once('(')?;
    if !["SEQ", "SEQx", "LST"].contains(&kind) {
        return None;
    }
    let Some((inside, line)) = rest.split_once(')') else {
        return Some(Err("its `)` is missing"));
    };
    let rounds = if kind == "LST" { list(inside) } else { sequence(inside, kind == "SEQx") };
    Some(rounds.map(|rounds| {
        // A sequence may have no rounds, so its name is not taken from them.
        let names: Vec<&str> = match rounds.first() {
            Some(first) => first.iter().map(|(name, _)| name.as_str()).collect(),
            None => inside.split(',').map(str::trim).take(1).collect(),
        };
        let text = format!("~{kind}({}, …)", names.join(", "));
        Generator { text, rounds, line: line.trim().to_owned() }
    }))
}

/// `var, [start, [step,]] end`
fn sequence(inside: &str, is_hex: bool) -> Result<Vec<Vec<(String, String)>>, &'static str> {
    const WRONG: &str = "it takes a name and one to three numbers";
    let mut parts = inside.split(',').map(str::trim);
    let name = parts.next().filter(|name| variables::is_name(name)).ok_or(WRONG)?;
    let numbers: Option<Vec<i64>> = parts.map(number).collect();
    let (start, step, end) = match numbers.ok_or(WRONG)?[..] {
        [end] => (if end < 0 { -1 } else { 1 }, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return Err(WRONG),
    };
    let step = step.unwrap_or(if end < start { -1 } else { 1 });
    if step == 0 {
        return Err("its step is 0");
    }
    let (mut rounds, mut value) = (Vec::new(), start);
    while if step > 0 { value <= end } else { value >= end } {
        let text = if is_hex { format!("{value:x}") } else { value.to_string() };
        rounds.push(vec![(name.to_owned(), text)]);
        few(&rounds)?;
        let Some(next) = value.checked_add(step) else { break };
        value = next;
    }
    Ok(rounds)
}

/// `var, value…` or `{var, …}, {value, …}, …`
fn list(inside: &str) -> Result<Vec<Vec<(String, String)>>, &'static str> {
    const WRONG: &str = "it takes names, and as many values for each round";
    let mut parts = parts(inside).ok_or(WRONG)?.into_iter();
    let names = parts.next().ok_or(WRONG)?;
    if inside.contains('"') || !names.iter().all(|name| variables::is_name(name)) {
        return Err(WRONG);
    }
    let mut rounds = Vec::new();
    for values in parts {
        if values.len() != names.len() {
            return Err(WRONG);
        }
        let pair = |(name, value): (&String, String)| (name.clone(), value);
        rounds.push(names.iter().zip(values).map(pair).collect());
        few(&rounds)?;
    }
    if rounds.is_empty() { Err(WRONG) } else { Ok(rounds) }
}

/// Cut at commas; those within braces stay together.
fn parts(inside: &str) -> Option<Vec<Vec<String>>> {
    let trimmed = |text: &str| text.trim().to_owned();
    let (mut all, mut rest) = (Vec::new(), inside.trim());
    loop {
        let part = if let Some(braced) = rest.strip_prefix('{') {
            let (held, after) = braced.split_once('}')?;
            rest = after.trim_start();
            held.split(',').map(trimmed).collect()
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let part = vec![trimmed(&rest[..end])];
            rest = &rest[end..];
            part
        };
        all.push(part);
        if rest.is_empty() {
            return Some(all);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

fn few<T>(rounds: &[T]) -> Result<(), &'static str> {
    if rounds.len() > GENERATED_MAX { Err("it makes too many lines") } else { Ok(()) }
}

/// A number as C reads it: `0x` is hexadecimal, a leading 0 octal.
fn number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let value = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    value.ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> String {
        let generator = generator(line).expect("there is one").expect("it is known");
        let round = |round: &Vec<(String, String)>| {
            let values: Vec<&str> = round.iter().map(|(_, value)| value.as_str()).collect();
            values.join("/")
        };
        generator.rounds.iter().map(round).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn sequences_count_up_and_down() {
        assert_eq!(values("~SEQ(A, 0, 3) x"), "0 1 2 3");
        assert_eq!(values("~SEQ(A,3)x"), "1 2 3");
        assert_eq!(values("~SEQ(A,-2) x"), "-1 -2");
        assert_eq!(values("~SEQ(A,168,2,172) x"), "168 170 172");
        assert_eq!(values("~SEQ(A,0x12,-1,0x10) x"), "18 17 16");
        assert_eq!(values("~SEQx(A,144,16,192) x"), "90 a0 b0 c0");
        assert_eq!(values("~SEQ(A,010,9) x"), "8 9");
        assert_eq!(values("~SEQ(A,5,1,4) x"), "");
        let none = generator("~SEQ( A ,5,1,4) x").expect("one").expect("known");
        assert_eq!(none.text, "~SEQ(A, …)");
        assert_eq!(values("~SEQ(A,9223372036854775806,9223372036854775807) x").len(), 39);
    }

    #[test]
    fn lists_set_one_variable_or_several() {
        assert_eq!(values("~LST(A, 7, x y) z"), "7 x y");
        assert_eq!(values("~LST({A, B}, {10,1},{20,4}) z"), "10/1 20/4");
        let all = generator("~LST({A,B},{1,2}) ~SEQ(C,2) z").expect("one").expect("known");
        assert_eq!(all.line, "~SEQ(C,2) z");
        assert_eq!(all.text, "~LST(A, B, …)");
        assert_eq!(all.rounds[0][1], ("B".to_owned(), "2".to_owned()));
    }

    #[test]
    fn what_is_no_generator_is_said_so() {
        for none in ["x", "~", "~SEQ", "~OTHER(A,1) x", "~seq(A,1) x"] {
            assert_eq!(generator(none), None, "{none}");
        }
        for wrong in [
            "~SEQ(A,1",
            "~SEQ(A) x",
            "~SEQ(1,2) x",
            "~SEQ(A,1,0,2) x",
            "~SEQ(A,1,2,3,4) x",
            "~SEQ(A,0,1000000) x",
            "~SEQ(A,--1) x",
            "~LST(A) x",
            "~LST(A,\"b\") x",
            "~LST({A,B},{1}) x",
            "~LST({A,B},1) x",
            "~LST({A,1) x",
        ] {
            assert!(generator(wrong).is_some_and(|found| found.is_err()), "{wrong}");
        }
    }
}
